"""Asking devices what they are, for ``hwnas devices check``."""

from __future__ import annotations

from dataclasses import dataclass

from hwnas.core.device import Device
from hwnas.core.errors import DeviceError
from hwnas.profiler.channel import LAUNCHERS
from hwnas.profiler.check import DeviceReport, check


@dataclass(frozen=True, slots=True)
class Checked:
    """What a device answered. ``fix`` is empty when there is nothing to do."""

    device: str
    reachable: bool
    usable: bool
    summary: str
    fix: str
    report: DeviceReport | None = None


def check_device(device: Device) -> Checked:
    """Start the device's agent, ask it, and end it; an unreachable device is a result, not an error."""
    try:
        report = check(LAUNCHERS.get(device.transport)(device))
    except DeviceError as problem:
        return Checked(device.id, False, False, str(problem), "make the device reachable, then check again")
    wanted = device.runtimes or tuple(report.runtimes)
    missing = [name for name in wanted if name not in report.runtimes or report.runtimes[name].version is None]
    have = [f"{name} {found.version}" for name, found in report.runtimes.items() if found.version is not None]
    words = [f"Python {report.python}" if report.python else report.system, report.arch, f"{len(report.cores)} cores", *have]
    governor = report.facts.get("governor")
    fixes = [f"install {name} on the device" for name in missing]
    if isinstance(governor, str) and governor not in ("performance", "schedutil"):
        fixes.append(f"the clock governor is '{governor}'; 'performance' measures more steadily")
    return Checked(device.id, True, len(missing) < len(wanted), ", ".join(words), "; ".join(fixes), report)
