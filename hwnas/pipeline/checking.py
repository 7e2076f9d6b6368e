"""Asking devices what they are, for ``hwnas devices check``."""

from __future__ import annotations

from dataclasses import dataclass

from hwnas.core.device import Device
from hwnas.core.errors import AgentTimeout, AuthFailed, DeviceError, DeviceLost, HostKeyMismatch, ProtocolError, Unreachable
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
        return Checked(device.id, False, False, str(problem), _remedy(device, problem))
    wanted = device.runtimes or tuple(report.runtimes)
    missing = [name for name in wanted if name not in report.runtimes or report.runtimes[name].version is None]
    have = [f"{name} {found.version}" for name, found in report.runtimes.items() if found.version is not None]
    words = [f"Python {report.python}" if report.python else report.system, report.arch, f"{len(report.cores)} cores", *have]
    governor = report.facts.get("governor")
    fixes = [f"install {name} on the device" for name in missing]
    if isinstance(governor, str) and governor not in ("performance", "schedutil"):
        fixes.append(f"the clock governor is '{governor}'; 'performance' measures more steadily")
    return Checked(device.id, True, len(missing) < len(wanted), ", ".join(words), "; ".join(fixes), report)


def _remedy(device: Device, problem: DeviceError) -> str:
    """What to do about a device that did not answer, by the kind of error; the error's own words are shown beside it."""
    where = f"devices/{device.id}.toml"
    let_in = f"let 'ssh {device.address}' log in without a password, and name that key in {where}: key under [ssh]"
    if device.transport == "adb":
        let_in = "unlock the device and allow debugging from this computer, then check again"
    remedies: tuple[tuple[type[DeviceError], str], ...] = (
        (Unreachable, f"switch the device on and connect it, or correct the address in {where}"),
        (AuthFailed, let_in),
        (HostKeyMismatch, f"compare the fingerprint with the device's own, then run 'hwnas devices trust {device.id}'"),
        (ProtocolError, "let its login shell print less, or nothing, where there is no terminal"),
        (AgentTimeout, "look whether the device is overloaded or out of memory, then check again"),
        (DeviceLost, "look at the connection and at what the agent said last, then check again"),
    )
    return next(
        (words for kind, words in remedies if isinstance(problem, kind)), "make the device reachable as its message says, then check again"
    )
