"""Processes of this machine, for rigs whose boards share it."""

from __future__ import annotations

import contextlib
from pathlib import Path


def naming(words: str) -> list[int]:
    """Those whose command line has ``words`` in it, whoever their parent is now."""
    mark = words.encode()
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and mark in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
    return found
