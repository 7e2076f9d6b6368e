"""What the agent can say about its device without privileges. What cannot be read is None with the reason, never zero."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path
from typing import Any, Dict, Sequence

from hwnas_agent import __version__
from hwnas_agent.board import board_facts
from hwnas_agent.runtimes import RUNTIMES, find_runtime
from hwnas_agent.wire import Message, printable

Fact = Dict[str, Any]


def allowed_cores() -> list[int]:
    """Cores that this process may run on; empty where the system does not tell."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return []


def fact_from(path: str) -> Fact:
    """The first line of a file of the kernel's, as a fact."""
    try:
        with Path(path).open(encoding="utf-8", errors="replace") as file:
            line = printable(file.readline().strip())
    except OSError as problem:
        return {"value": None, "reason": f"{path}: {problem.strerror}"}
    return {"value": line, "reason": None} if line else {"value": None, "reason": path + " is empty"}


def _scaled(fact: Fact, scale: float) -> Fact:
    if fact["value"] is None:
        return fact
    try:
        value = float(fact["value"]) * scale
    except ValueError:
        return {"value": None, "reason": "not a number: {}".format(fact["value"])}
    if value < 0:
        return {"value": None, "reason": "below zero: {}".format(fact["value"])}
    return {"value": value, "reason": None}


def device_facts(cores: Sequence[int]) -> dict[str, Fact]:
    """Boot id, core set, clock governor, frequency and temperature."""
    core = cores[0] if cores else 0
    cpufreq = f"/sys/devices/system/cpu/cpu{core}/cpufreq/"
    return {
        "boot_id": fact_from("/proc/sys/kernel/random/boot_id"),
        "core_set": {"value": ",".join(str(c) for c in cores)[:300] or None, "reason": None if cores else "the system does not tell"},
        "cpu": _cpu_name(),
        "governor": fact_from(cpufreq + "scaling_governor"),
        "frequency_mhz": _scaled(fact_from(cpufreq + "scaling_cur_freq"), 1e-3),
        "temperature_c": _scaled(fact_from("/sys/class/thermal/thermal_zone0/temp"), 1e-3),
    }


def _cpu_name() -> Fact:
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8", errors="replace") as file:
            for line in file:
                key, _, value = line.partition(":")
                if key.strip() in ("model name", "Model", "Hardware"):
                    return {"value": printable(value.strip()), "reason": None}
    except OSError as problem:
        return {"value": None, "reason": f"/proc/cpuinfo: {problem.strerror}"}
    return {"value": None, "reason": "/proc/cpuinfo names no model"}


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
        "facts": {**device_facts(cores), **(board_facts(cores) if not runtimes else {})},
    }
