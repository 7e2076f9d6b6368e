"""Two hosts do not measure on the same cores of one device: a lock a core, which ends with the process that holds it, however it ends.

A lock is a ``flock`` on an empty file, named after the boot of the device and the core. It is never removed: whoever removes a lock file
lets two processes hold two files of the same name. Processes that do not share a temporary folder (containers) do not see each other.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from pathlib import Path
from typing import Iterator, Sequence

from hwnas_agent.board import boot_id
from hwnas_agent.files import Here, fact

try:
    import fcntl
except ImportError:  # no Unix: nothing to lock with
    fcntl = None  # type: ignore[assignment]

WAIT_S = 40.0
"""Longer than an agent lives whose host was cut off: the host that comes back waits for it instead of being turned away."""
_STEP_S = 0.2


class CoresBusy(Exception):
    """Another process holds one of the cores, or nobody can tell."""


@contextlib.contextmanager
def cores_locked(cores: Sequence[int], wait_s: float = WAIT_S, folder: str | None = None) -> Iterator[None]:
    """Inside, ``cores`` belong to this process; those still held by another after ``wait_s`` raise `CoresBusy`.

    No cores stand for the whole device: systems that pin nothing.
    """
    if fcntl is None:
        yield
        return
    held: list[int] = []
    deadline = time.monotonic() + wait_s
    try:
        # one order for everybody, so that two agents never wait for each other
        for name in [f"core{core}" for core in sorted(set(cores))] or ["cores"]:
            try:
                held.append(_open(name, folder))
            except OSError as problem:
                raise CoresBusy(f"{problem.filename} cannot be opened to lock {name} of this device: {problem.strerror}") from None
            _lock(held[-1], name, deadline)
        yield
    finally:
        for fd in held:
            os.close(fd)


def _open(name: str, folder: str | None) -> int:
    boot = "".join(c for c in str(fact(lambda: boot_id(Here()))["value"]) if c.isalnum() or c == "-")
    # the same folder for every user, whatever their TMPDIR says
    root = folder or ("/tmp" if Path("/tmp").is_dir() else tempfile.gettempdir())  # noqa: S108 - shared on purpose
    path = str(Path(root) / f"hwnas-{boot}-{name}.lock")
    # reading suffices for flock, and a file of another user's can be opened in no other way
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        return os.open(path, flags)
    except FileNotFoundError:
        pass
    try:
        fd = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o644)
    except FileExistsError:
        return os.open(path, flags)
    os.fchmod(fd, 0o644)
    return fd


def _lock(fd: int, name: str, deadline: float) -> None:
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise CoresBusy(f"{name} of this device is being measured on by another session{_holder(fd)}; wait until it ends") from None
            time.sleep(_STEP_S)
        else:
            return


def _holder(fd: int) -> str:
    """`` (process N)`` where the kernel tells who holds the lock."""
    status = os.fstat(fd)
    mark = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    try:
        lines = Path("/proc/locks").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return ""
    for words in map(str.split, lines):
        if len(words) > 5 and words[1] == "FLOCK" and words[5] == mark and words[4].isdigit() and words[4] != "0":
            return f" (process {words[4]})"
    return ""
