"""The agent's own process: pinned, ended with its parent, its standard output kept clean, its waiting for a core observed."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import Sequence

_PR_SET_PDEATHSIG = 1


def die_with_parent(number: int = signal.SIGKILL) -> bool:
    """Ask the kernel to send this process a signal when its parent dies; False where it cannot."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        return bool(ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0) == 0)
    except (OSError, AttributeError):
        return False


def take_stdout() -> int:
    """A private descriptor of standard output; from now on everything that libraries print goes to standard error."""
    sys.stdout.flush()
    private = os.dup(1)
    os.dup2(2, 1)
    return private


def pin(threads: int, wanted: Sequence[int]) -> list[int]:
    """Pin the calling thread, and those it starts later, to ``threads`` cores; the cores, empty where the system cannot.

    Without ``wanted`` the last allowed cores are taken: the first ones serve most interrupts. Too few cores raise ``ValueError``.
    """
    if not hasattr(os, "sched_setaffinity"):
        return []
    allowed = sorted(os.sched_getaffinity(0))
    foreign = sorted(set(wanted) - set(allowed))
    if foreign:
        raise ValueError(f"cores {foreign} are not among those that the agent may use: {allowed}")
    cores = sorted(set(wanted)) or allowed[-threads:]
    if len(cores) < threads:
        raise ValueError(f"{threads} threads need as many cores; the agent may use {cores}")
    os.sched_setaffinity(0, cores)
    return cores


class RunQueue:
    """Time that the main thread has waited for a core although it could have run: field 2 of ``/proc/self/schedstat``."""

    def __init__(self, path: str = "/proc/self/schedstat") -> None:
        self._fd: int | None = None
        try:
            self._fd = os.open(path, os.O_RDONLY)
            int(os.pread(self._fd, 96, 0).split()[1])
        except (OSError, ValueError, IndexError):
            self.close()

    @property
    def seen(self) -> bool:
        """False where the kernel does not tell; `waited_ns` is then always 0 and filters nothing."""
        return self._fd is not None

    def waited_ns(self) -> int:
        """Nanoseconds since the process began."""
        return int(os.pread(self._fd, 96, 0).split()[1]) if self._fd is not None else 0

    def close(self) -> None:
        """Give the descriptor back."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
