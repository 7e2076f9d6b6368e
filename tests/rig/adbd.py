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
import subprocess
import sys
from pathlib import Path

import pytest

from hwnas.core.access import AdbOptions
from hwnas.core.device import Device
from tests.rig import board as boards
from tests.rig.pythons import cache
from tests.rig.relay import Relay, connect_inside

ADBD_PORT = 5555
ROOTFS = cache() / "adbd-trixie"
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


class Board(boards.Board):
    """A running adbd, the line to it, and the adb server of the host's side."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.programs = root / "bin"
        """Programs that only the board has."""
        self.programs.mkdir()
        self._networks: set[int] = set()
        self.process: subprocess.Popen[bytes] | None = None
        self.server: subprocess.Popen[bytes] | None = None
        self.relay = Relay(lambda: connect_inside(self.pid, ADBD_PORT))
        self.server_port = boards.free_port()

    @property
    def serial(self) -> str:
        return f"127.0.0.1:{self.relay.port}"

    @property
    def pid(self) -> int:
        if self.process is None:
            raise OSError("adbd does not run")
        return self.process.pid

    def device(self, name: str = "board", *, address: str | None = None, **options: object) -> Device:
        fields: dict[str, object] = {"server": f"127.0.0.1:{self.server_port}", "python": sys.executable, "folder": f"{self.home}/hwnas"}
        return Device(name, "adb", self.serial if address is None else address, adb=AdbOptions(**{**fields, **options}))  # type: ignore[arg-type]

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
        self.begun(self.process, self._listens, "adbd")
        self._networks.add(Path(f"/proc/{self.pid}/ns/net").stat().st_ino)

    def start_adbd_again(self) -> None:
        """Start adbd if it does not run."""
        if self.process is None or self.process.poll() is not None:
            self.start_adbd()

    def start_server(self) -> None:
        with (self.root / "server.log").open("ab") as log:
            self.server = server = subprocess.Popen(
                [*_program("adb"), "-P", str(self.server_port), "nodaemon", "server"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={"PATH": os.environ["PATH"], "HOME": str(self.root), "TMPDIR": str(self.root), "ADB_MDNS": "0", "ADB_USB": "0"},
                start_new_session=True,
            )
        self.begun(self.server, lambda: boards.listens(server.pid, self.server_port), "the adb server")

    def _listens(self) -> bool:
        """In the board's own network, which it may not have yet."""
        with contextlib.suppress(OSError):
            inside = Path(f"/proc/{self.pid}/ns/net").stat().st_ino != Path("/proc/self/ns/net").stat().st_ino
            return inside and boards.listens(self.pid, ADBD_PORT)
        return False

    def processes(self) -> list[int]:
        """Everything that runs on the board, whoever its parent is now: what is in one of its networks."""
        found = []
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if entry.name.isdigit() and (entry / "ns/net").stat().st_ino in self._networks:
                    found.append(int(entry.name))
        return found

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
