"""The folder that a host made for this agent: files that it pushed are checked here, and the folder goes when the agent does.

A folder is owned by the agent that holds the lock on its file ``owner``. An agent that was killed leaves its folder behind; the next one
removes what nobody owns any more.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import time
from pathlib import Path

from hwnas_agent.wire import WireError

try:
    import fcntl
except ImportError:  # no Unix: nothing to lock with, and no host that makes such folders
    fcntl = None  # type: ignore[assignment]

OWNER = "owner"
STALE_S = 900.0
"""A folder that nobody has owned yet may belong to a host that is still pushing the agent; after so long it does not."""
_NAME = re.compile(r"hwnas-work-[0-9a-f]{16}")


class WorkFolder:
    """Owns ``path``, which is named ``hwnas-work-`` and 16 hexadecimal digits; anything else raises ``ValueError``."""

    def __init__(self, path: str) -> None:
        self.path = Path(path)
        if _NAME.fullmatch(self.path.name) is None or not self.path.is_absolute() or not self.path.is_dir() or self.path.is_symlink():
            raise ValueError("not a work folder: " + path)
        self._fd = os.open(str(self.path / OWNER), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        if not _lock(self._fd):
            raise ValueError("another agent owns " + path)
        os.write(self._fd, b"%d\n" % os.getpid())

    def accept(self, name: str, sha256: str) -> None:
        """Give ``name.part`` its name if its content is what the host sent; a torn file raises `WireError`."""
        part = self.path / (name + ".part")
        found = hashlib.sha256()
        try:
            with part.open("rb") as file:
                for block in iter(lambda: file.read(1 << 20), b""):
                    found.update(block)
            if found.hexdigest() == sha256:
                part.rename(self.path / name)
        except OSError as problem:
            raise WireError(f"a pushed file cannot be used: {problem.strerror}") from None
        if found.hexdigest() != sha256:
            raise WireError("a pushed file arrived torn: its SHA-256 is not the one that was sent; is the disk full?")

    def sweep(self) -> None:
        """Remove the folders beside this one whose agents are dead."""
        for other in self.path.parent.glob("hwnas-work-*"):
            if other.name != self.path.name and _NAME.fullmatch(other.name) and not other.is_symlink() and _abandoned(other):
                shutil.rmtree(str(other), ignore_errors=True)

    def remove(self) -> None:
        """Remove the folder with everything in it; never raises."""
        shutil.rmtree(str(self.path), ignore_errors=True)


def _lock(fd: int) -> bool:
    if fcntl is None:
        return True
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _abandoned(folder: Path) -> bool:
    """Whether nobody uses ``folder``: its owner let go of the lock, or it never got one and is old."""
    try:
        status = folder.stat()
        if hasattr(os, "getuid") and status.st_uid != os.getuid():
            return False
        try:
            fd = os.open(str(folder / OWNER), os.O_RDWR | os.O_NOFOLLOW)
        except FileNotFoundError:
            return time.time() - status.st_mtime > STALE_S
    except OSError:
        return False
    try:
        return _lock(fd)
    finally:
        os.close(fd)
