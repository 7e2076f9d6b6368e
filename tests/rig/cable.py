"""A network cable that can be cut: two network namespaces of the test's own, joined by a pair of interfaces."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import subprocess

HOST, BOARD = "10.203.0.1", "10.203.0.2"


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=60)
    if done.returncode != 0:
        raise OSError(f"ip {' '.join(words)}: {done.stderr.strip()}")


class Cable:
    """Commands that begin with ``host`` run at one end, where the address is `HOST`, those with ``board`` at the other."""

    def __init__(self) -> None:
        mark = secrets.token_hex(3)
        self._host, self._board = f"hwnas-h{mark}", f"hwnas-b{mark}"
        self.host = ("ip", "netns", "exec", self._host)
        self.board = ("ip", "netns", "exec", self._board)

    def lay(self) -> None:
        for name in (self._host, self._board):
            _ip("netns", "add", name)
        _ip("-n", self._host, "link", "add", "end", "type", "veth", "peer", "name", "end", "netns", self._board)
        for name, address in ((self._host, HOST), (self._board, BOARD)):
            _ip("-n", name, "address", "add", f"{address}/30", "dev", "end")
            for link in ("lo", "end"):
                _ip("-n", name, "link", "set", link, "up")

    def cut(self) -> None:
        _ip("-n", self._board, "link", "set", "end", "down")

    def mend(self) -> None:
        _ip("-n", self._board, "link", "set", "end", "up")

    def remove(self) -> None:
        for name in (self._host, self._board):
            with contextlib.suppress(OSError):
                _ip("netns", "delete", name)


@contextlib.contextmanager
def laid():
    """A cable that is there inside; `OSError` with the reason where this machine does not allow it."""
    if shutil.which("ip") is None:
        raise OSError("no ip here; tests/rig/setup.sh installs it")
    if os.geteuid() != 0:
        raise OSError("only root makes network namespaces")
    cable = Cable()
    try:
        cable.lay()
        yield cable
    finally:
        cable.remove()
