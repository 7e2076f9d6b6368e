"""A board that is reached over adb, in a test: a real adbd of Debian in a network of its own, and an adb server of the test's own.

adbd listens without authentication, so it never gets a network that anybody else is in: `tests.rig.jail` starts it in a namespace whose
only way out is a `Relay` on a loopback port of this machine, which the adb server connects to. Its rootfs is unpacked by
``tests/rig/setup.sh`` into a cache outside the repository; what runs on the board is this machine's Python.
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

from hwnas.core.access import AdbOptions
from hwnas.core.device import Device
from tests.rig.processes import naming
from tests.rig.relay import Relay, connect_inside

PATIENCE_S = 30.0
CLEAN_S = 90.0
"""An agent whose line stands still ends by its host's silence, after half a minute."""
ADBD_PORT = 5555
ROOTFS = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hwnas" / "rig" / "adbd-trixie"
"""As in tests/rig/setup.sh."""


def _program(name: str) -> list[str]:
    """A program of the rootfs with its own libraries, whatever this machine has."""
    loaders = sorted(ROOTFS.glob("usr/lib*/ld-linux*.so.*")) + sorted(ROOTFS.glob("usr/lib/*/ld-linux*.so.*"))
    libraries = [str(path.parent) for path in ROOTFS.glob("usr/lib/*/libc.so.6")]
    libraries += [str(path) for path in ROOTFS.glob("usr/lib/*/android")]
    return [str(loaders[0]), "--library-path", ":".join(libraries), str(ROOTFS / "usr/lib/android-sdk/platform-tools" / name)]


def missing() -> str:
    """What this machine lacks for such a board; empty where it has all."""
    if not (ROOTFS / "usr/lib/android-sdk/platform-tools/adbd").is_file() or not list(ROOTFS.glob("usr/lib/*/libc.so.6")):
        return "no adbd here; tests/rig/setup.sh unpacks one"
    if os.geteuid() != 0 or shutil.which("unshare") is None or shutil.which("ip") is None:
        return "only root makes the network namespace that an adbd needs (with unshare and ip)"
    return ""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Board:
    """A running adbd, the line to it, and the adb server of the host's side."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.home = root / "home"
        self.home.mkdir(parents=True)
        self.programs = root / "bin"
        """Programs that only the board has."""
        self.programs.mkdir()
        self._networks: set[int] = set()
        self.process: subprocess.Popen[bytes] | None = None
        self.server: subprocess.Popen[bytes] | None = None
        self.relay = Relay(lambda: connect_inside(self.pid, ADBD_PORT))
        self.server_port = _free_port()

    @property
    def serial(self) -> str:
        return f"127.0.0.1:{self.relay.port}"

    @property
    def pid(self) -> int:
        if self.process is None:
            raise OSError("adbd does not run")
        return self.process.pid

    @property
    def work_folders(self) -> list[str]:
        """What agents left behind."""
        return sorted(p.name for p in self.home.glob("hwnas/*"))

    def device(self, name: str = "board", *, address: str | None = None, **options: object) -> Device:
        fields: dict[str, object] = {"server": f"127.0.0.1:{self.server_port}", "python": sys.executable, "folder": f"{self.home}/hwnas"}
        return Device(name, "adb", self.serial if address is None else address, adb=AdbOptions(**{**fields, **options}))  # type: ignore[arg-type]

    def python(self, behaviour: str) -> str:
        """An interpreter that does ``behaviour`` (shell) in place of the agent, and is a real one otherwise."""
        path = self.root / "python"
        path.write_text(f'#!/bin/sh\ncase "$*" in *agent.pyz\\ --work*) ;; *) exec {sys.executable} "$@";; esac\n{behaviour}\n')
        path.chmod(0o755)
        return str(path)

    def start(self) -> None:
        """Until adbd listens and the adb server answers."""
        self.start_adbd()
        self.start_server()

    def start_adbd(self) -> None:
        jail = [sys.executable, "-I", str(Path(__file__).with_name("jail.py"))]
        with (self.root / "log").open("ab") as log:
            self.process = subprocess.Popen(
                ["unshare", "--net", *jail, *_program("adbd")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={"PATH": f"{self.programs}:{os.environ['PATH']}", "HOME": str(self.home), "ADBD_PORT": str(ADBD_PORT)},
                start_new_session=True,
                cwd=self.home,
            )
        self._until(self._listens, self.process, "adbd")
        self._networks.add(Path(f"/proc/{self.pid}/ns/net").stat().st_ino)

    def start_adbd_again(self) -> None:
        """Start adbd if it does not run."""
        if self.process is None or self.process.poll() is not None:
            self.start_adbd()

    def start_server(self) -> None:
        with (self.root / "server.log").open("ab") as log:
            self.server = subprocess.Popen(
                [*_program("adb"), "-P", str(self.server_port), "nodaemon", "server"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={"PATH": os.environ["PATH"], "HOME": str(self.root), "TMPDIR": str(self.root), "ADB_MDNS": "0", "ADB_USB": "0"},
                start_new_session=True,
            )
        self._until(self._answers, self.server, "the adb server")

    def _until(self, done, process, what: str) -> None:
        for _ in range(int(PATIENCE_S / 0.02)):
            if process.poll() is not None:
                break
            if done():
                return
            time.sleep(0.02)
        logs = [(self.root / name).read_text(errors="replace")[-2000:] for name in ("log", "server.log") if (self.root / name).exists()]
        raise RuntimeError(f"{what} does not start: {logs}")

    def _listens(self) -> bool:
        """Asked of the kernel, in the board's own network."""
        wanted = f":{ADBD_PORT:04X} "
        with contextlib.suppress(OSError):
            if Path(f"/proc/{self.pid}/ns/net").stat().st_ino == Path("/proc/self/ns/net").stat().st_ino:
                return False
            for name in ("tcp", "tcp6"):
                lines = Path(f"/proc/{self.pid}/net/{name}").read_text().splitlines()
                if any(wanted in line.split(None, 2)[1] + " " and line.split()[3] == "0A" for line in lines):
                    return True
        return False

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.server_port), timeout=1):
            return True
        return False

    def processes(self) -> list[int]:
        """Everything that runs on the board, whoever its parent is now: what is in one of its networks."""
        found = []
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if entry.name.isdigit() and (entry / "ns/net").stat().st_ino in self._networks:
                    found.append(int(entry.name))
        return found

    def agents(self) -> list[int]:
        """Whatever runs in a work folder of the board, whoever its parent is now."""
        return naming(f"{self.home}/hwnas/")

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to adbd alone."""
        os.kill(self.pid, number)
        if number == signal.SIGKILL and self.process is not None:
            self.process.wait()

    def power_off(self) -> None:
        """Everything on the board is gone at once."""
        if self.process is not None:
            for pid in self.processes():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.process.wait()

    def is_clean(self) -> bool:
        """Whether soon no agent and no folder of one is left."""
        for _ in range(int(CLEAN_S / 0.05)):
            if not self.agents() and not self.work_folders:
                return True
            time.sleep(0.05)
        return False

    def stop_server(self) -> None:
        if self.server is not None:
            self.server.kill()
            self.server.wait()
            self.server = None

    def stop(self) -> None:
        self.power_off()
        self.process = None
        self.stop_server()
        self.relay.close()


@contextlib.contextmanager
def running(root: Path):
    """A board that runs inside."""
    board = Board(root)
    try:
        board.start()
        yield board
    finally:
        board.stop()


@pytest.fixture
def adb_board(tmp_path):
    """A board for one test; skipped where the machine lacks what it needs."""
    if missing():
        pytest.skip(missing())
    with running(tmp_path / "board") as found:
        yield found
