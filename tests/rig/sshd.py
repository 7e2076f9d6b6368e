"""A board that is reached over ssh, in a test: a real sshd of the test's own on a high loopback port, with its own keys.

Everything it makes lies in a folder of the test's. It lets the user in who runs the test, by one key, and every command goes through a
login script of the board's, so that a test can make the login shell talk. A login shell reads the user's own ``~/.bashrc`` unless it takes
itself for a shell within a shell (SHLVL): what is in there may take long, and what it locks stays locked when a test kills it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hwnas.core.access import SshOptions
from hwnas.core.device import Device
from hwnas.profiler.hostkeys import HostKey, pin_key
from tests.rig.processes import naming

PATIENCE_S = 30.0
CONFIG = """\
ListenAddress {address}:{port}
HostKey {root}/host_key
AuthorizedKeysFile {root}/authorized_keys
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin yes
MaxStartups 100
Subsystem sftp internal-sftp
ForceCommand {root}/login
LogLevel ERROR
SetEnv SHLVL=2
"""
LOGIN = """\
#!/bin/sh
export HOME={root}/home
cd "$HOME"
case "$SSH_ORIGINAL_COMMAND" in
  internal-sftp) exec {sftp};;
esac
{greeting}
eval "$SSH_ORIGINAL_COMMAND"
"""
SERVERS = ("/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server", "/usr/libexec/sftp-server", "/usr/lib/ssh/sftp-server")


def missing() -> str:
    """What this machine lacks for such a board; empty where it has all."""
    if find_sshd() is None:
        return "no sshd here; tests/rig/setup.sh installs it"
    if shutil.which("ssh-keygen") is None or sftp_server() is None:
        return "no ssh-keygen or sftp-server here; tests/rig/setup.sh installs them"
    return ""


def find_sshd() -> str | None:
    return shutil.which("sshd", path=f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin{os.pathsep}/usr/local/sbin")


def sftp_server() -> str | None:
    return next((path for path in SERVERS if Path(path).is_file()), None)


def make_key(path: Path, *options: str) -> Path:
    """A new private key."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "rig", *options, "-f", str(path)], check=True, timeout=60)
    return path


def free_port(address: str = "127.0.0.1") -> int:
    with socket.socket() as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])


class Board:
    """A running sshd, and what a host needs to know of it."""

    def __init__(self, root: Path, *, address: str = "127.0.0.1", port: int | None = None, before: tuple[str, ...] = ()) -> None:
        self.root = root
        self.address = address
        self.port = port or free_port()
        self.before = before
        self.home = root / "home"
        self.home.mkdir(parents=True)
        make_key(root / "host_key")
        self.key = make_key(root / "user_key")
        shutil.copy(root / "user_key.pub", root / "authorized_keys")
        self.greet("")
        (root / "config").write_text(CONFIG.format(address=address, port=self.port, root=root))
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def work_folders(self) -> list[str]:
        """What agents left behind."""
        return sorted(p.name for p in self.home.glob(".cache/hwnas/*"))

    @property
    def host_key(self) -> HostKey:
        kind, blob = (self.root / "host_key.pub").read_text().split()[:2]
        return HostKey(kind, blob)

    def device(self, name: str = "board", *, trusted: bool = True, **options: object) -> Device:
        """The board as a device whose host key is pinned."""
        known_hosts = self.root / "known_hosts"
        if trusted:
            pin_key(known_hosts, name, self.host_key)
        fields: dict[str, object] = {"key": str(self.key), "python": sys.executable, "known_hosts": str(known_hosts), **options}
        return Device(name, "ssh", f"{self.address}:{self.port}", ssh=SshOptions(**fields))  # type: ignore[arg-type]

    def greet(self, commands: str) -> None:
        """Shell commands that every login runs first."""
        login = self.root / "login"
        login.write_text(LOGIN.format(root=self.root, sftp=sftp_server(), greeting=commands))
        login.chmod(0o755)

    def new_host_key(self) -> None:
        """Another host key; sshd reads it when it starts."""
        for name in ("host_key", "host_key.pub"):
            (self.root / name).unlink()
        make_key(self.root / "host_key")

    def python(self, behaviour: str) -> str:
        """An interpreter that does ``behaviour`` (shell) in place of the agent, and is a real one otherwise."""
        path = self.root / "python"
        path.write_text(f'#!/bin/sh\ncase "$*" in *agent.pyz\\ --work*) ;; *) exec {sys.executable} "$@";; esac\n{behaviour}\n')
        path.chmod(0o755)
        return str(path)

    def start(self) -> None:
        """Until sshd answers."""
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        command = [*self.before, str(find_sshd()), "-D", "-e", "-f", str(self.root / "config")]
        with (self.root / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        for _ in range(int(PATIENCE_S / 0.02)):
            if self.process.poll() is not None:
                break
            if self._listens():
                return
            time.sleep(0.02)
        raise RuntimeError(f"sshd does not start: {(self.root / 'log').read_text()}")

    def _listens(self) -> bool:
        """Asked of the kernel: the board may be in a network of its own."""
        wanted = f":{self.port:04X} "
        found = Path(f"/proc/{self._pid}/net/tcp").read_text().splitlines()
        return any(wanted in line.split(None, 2)[1] + " " and line.split()[3] == "0A" for line in found)

    @property
    def _pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def processes(self) -> list[int]:
        """sshd, its children and theirs, sshd first."""
        found = [self._pid]
        for pid in found:
            with contextlib.suppress(OSError):
                for task in Path(f"/proc/{pid}/task").iterdir():
                    found += [int(child) for child in (task / "children").read_text().split()]
        return found

    def agents(self) -> list[int]:
        """Agents that run on the board, whoever their parent is now."""
        return naming(f"{self.home}/.cache/hwnas/")

    def signal(self, number: signal.Signals, *, only_sshd: bool = True) -> None:
        """Send a signal to every sshd of the board."""
        for pid in self.processes():
            with contextlib.suppress(OSError):
                if not only_sshd or b"sshd" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    os.kill(pid, number)

    def is_clean(self) -> bool:
        """Whether soon no agent and no folder of one is left."""
        for _ in range(int(PATIENCE_S / 0.05)):
            if not self.agents() and not self.work_folders:
                return True
            time.sleep(0.05)
        return False

    def stop(self) -> None:
        if self.process is not None:
            for pid in reversed(self.processes()):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.process.wait()
            self.process = None


@contextlib.contextmanager
def running(root: Path, **options):
    """A board that runs inside."""
    board = Board(root, **options)
    try:
        board.start()
        yield board
    finally:
        board.stop()


@pytest.fixture
def board(tmp_path, monkeypatch):
    """A board for one test; skipped where the machine lacks an sshd. Nothing is read of the user's own ``~/.ssh``."""
    if missing():
        pytest.skip(missing())
    monkeypatch.setenv("HOME", str(tmp_path))
    with running(tmp_path / "board") as found:
        yield found
