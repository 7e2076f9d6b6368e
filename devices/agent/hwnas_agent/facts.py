"""What the agent can say about its device without privileges. What cannot be read is None with the reason, never zero."""

from __future__ import annotations

import os
import platform
import sys
from typing import Sequence

from hwnas_agent import __version__
from hwnas_agent.board import board_facts, device_facts
from hwnas_agent.files import Here
from hwnas_agent.runtimes import RUNTIMES, find_runtime
from hwnas_agent.wire import Message


def allowed_cores() -> list[int]:
    """Cores that this process may run on; empty where the system does not tell."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return []


def hello(runtimes: Sequence[str]) -> Message:
    """The agent's introduction; ``runtimes`` are looked for by importing them, all known ones when none is named.

    A host that names none wants to know the device: it is also told what board this is, which takes a moment.
    """
    cores = allowed_cores()
    libc = " ".join(platform.libc_ver()).strip()
    return {
        "type": "hello",
        "agent": __version__,
        "python": platform.python_version()[:64],
        "system": (f"{sys.platform} {platform.release()}")[:64],
        "arch": platform.machine()[:64],
        "libc": libc[:64] or None,
        "cores": cores,
        "runtimes": {name[:64]: find_runtime(name)._asdict() for name in (runtimes or sorted(RUNTIMES))},
        "facts": {**device_facts(cores, Here()), **(board_facts(cores) if not runtimes else {})},
    }
