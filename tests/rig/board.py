"""What every board of a test is, however it is reached: a folder of this machine, with what its agents leave there."""

from __future__ import annotations

import contextlib
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.rig.processes import naming

PATIENCE_S = 30.0
CLEAN_S = 90.0
"""An agent whose line stands still ends by its host's silence, after half a minute."""
_INSTEAD = r"*agent.pyz\ --work*|*hwnas_agent.__main__*"
"""Command lines of agents: one that was pushed, and one of this machine."""


def soon(done: Callable[[], object], within_s: float = PATIENCE_S) -> bool:
    """Whether ``done()`` comes true within so many seconds."""
    deadline = time.monotonic() + within_s
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def free_port(address: str = "127.0.0.1") -> int:
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])


def stand_in(path: Path, behaviour: str) -> str:
    """Write an interpreter that does ``behaviour`` (shell) in place of the agent, and is a real one otherwise."""
    path.write_text(f'#!/bin/sh\ncase "$*" in {_INSTEAD}) ;; *) exec {shlex.quote(sys.executable)} "$@";; esac\n{behaviour}\n')
    path.chmod(0o755)
    return str(path)


def listens(pid: int, port: int) -> bool:
    """Whether anybody listens on ``port`` in the network of a process. Asked of the kernel: nobody is connected to."""
    wanted = f":{port:04X} "
    for name in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            lines = Path(f"/proc/{pid}/net/{name}").read_text().splitlines()
            if any(wanted in line.split(None, 2)[1] + " " and line.split()[3] == "0A" for line in lines):
                return True
    return False


class Board:
    """A folder ``root`` with the home of the board's user, in which agents make their work folders below ``works``."""

    works = "hwnas"

    def __init__(self, root: Path) -> None:
        self.root = root
        self.home = root / "home"
        self.home.mkdir(parents=True)

    @property
    def work_folders(self) -> list[str]:
        """What agents left behind."""
        return sorted(p.name for p in self.home.glob(f"{self.works}/*"))

    def agents(self) -> list[int]:
        """Whatever runs in a work folder of the board, whoever its parent is now."""
        return naming(f"{self.home}/{self.works}/")

    def python(self, behaviour: str) -> str:
        """An interpreter that does ``behaviour`` (shell) in place of the agent, and is a real one otherwise."""
        return stand_in(self.root / "python", behaviour)

    def is_clean(self) -> bool:
        """Whether soon no agent and no folder of one is left."""
        return soon(lambda: not self.agents() and not self.work_folders, CLEAN_S)

    def begun(self, process: subprocess.Popen[bytes], ready: Callable[[], bool], what: str) -> None:
        """Wait until ``ready()``; a program that ends, or is not ready for a while, raises with what it said."""
        if not soon(lambda: process.poll() is not None or ready()) or process.poll() is not None:
            logs = {path.name: path.read_text(errors="replace")[-2000:] for path in self.root.glob("*log")}
            raise RuntimeError(f"{what} does not start: {logs}")
