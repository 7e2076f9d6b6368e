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
import subprocess
import sys
from pathlib import Path

import pytest

from hwnas.core.access import SshOptions
from hwnas.core.device import Device
from hwnas.profiler.hostkeys import HostKey, pin_key
from tests.rig import board as boards

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


class Board(boards.Board):
    """A running sshd, and what a host needs to know of it."""

    works = ".cache/hwnas"

    def __init__(self, root: Path, *, address: str = "127.0.0.1", port: int | None = None, before: tuple[str, ...] = ()) -> None:
        super().__init__(root)
        self.address = address
        self.port = port or boards.free_port()
        self.before = before
        make_key(root / "host_key")
        self.key = make_key(root / "user_key")
        shutil.copy(root / "user_key.pub", root / "authorized_keys")
        self.greet("")
        (root / "config").write_text(CONFIG.format(address=address, port=self.port, root=root))
        self.process: subprocess.Popen[bytes] | None = None

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

    def start(self) -> None:
        """Until sshd answers."""
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        command = [*self.before, str(find_sshd()), "-D", "-e", "-f", str(self.root / "config")]
        with (self.root / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        self.begun(self.process, lambda: boards.listens(self._pid, self.port), "sshd")

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

    def signal(self, number: signal.Signals, *, only_sshd: bool = True) -> None:
        """Send a signal to every sshd of the board."""
        for pid in self.processes():
            with contextlib.suppress(OSError):
                if not only_sshd or b"sshd" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    os.kill(pid, number)

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
