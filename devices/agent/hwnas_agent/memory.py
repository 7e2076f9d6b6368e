"""How much memory a model takes: by how much the agent's resident memory grows from before it is loaded to its peak in the first runs.

Linux keeps the peak (``VmHWM``) and begins it anew when 5 is written to ``clear_refs`` (man 5 proc). Where that is not allowed, the peak of
the process since its start (``ru_maxrss``) tells about models that go beyond it, and nothing about the others. What is small fits into
memory that the process has already, and the kernel counts pages in batches: below some 100 KiB nothing is seen, which is None, not 0.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import sys
from pathlib import Path

if os.name == "posix":
    import resource

_LINE = re.compile(rb"^(VmHWM|VmRSS):\s+(\d+) kB$", re.MULTILINE)


class MemoryPeak:
    """Watches one model from `begin` on; ``root`` is the process' own folder in ``/proc``."""

    def __init__(self, root: str = "/proc/self") -> None:
        self._root = Path(root)
        self._before = 0
        self._resets = False

    def begin(self) -> None:
        """Before the model is loaded: give memory of earlier ones back to the system, and begin the peak anew."""
        _trim()
        try:
            with (self._root / "clear_refs").open("wb", buffering=0) as file:
                file.write(b"5")
            self._before, self._resets = self._status()[b"VmRSS"], True
        except (OSError, KeyError):
            self._before, self._resets = _peak_since_start(), False

    def grown_bytes(self) -> int | None:
        """After its first runs: the growth, None where it cannot be seen."""
        try:
            peak = self._status()[b"VmHWM"] if self._resets else _peak_since_start()
        except (OSError, KeyError):
            return None
        return peak - self._before if peak > self._before else None

    def _status(self) -> dict[bytes, int]:
        with (self._root / "status").open("rb") as file:
            return {name: int(kib) * 1024 for name, kib in _LINE.findall(file.read(16384))}


def _peak_since_start() -> int:
    """Peak of the process in bytes; 0 where the system does not tell."""
    if os.name != "posix":
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def _trim() -> None:
    """Give free memory of the C library's heap back, where it can: what an earlier model left would hide what the next one takes."""
    if sys.platform.startswith("linux"):
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)
