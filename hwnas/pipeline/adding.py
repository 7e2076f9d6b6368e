"""Adding a device to a workspace: ask it what it is, and write its descriptor; nothing is written of a device that does not answer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hwnas.core.device import Device
from hwnas.core.errors import ConfigError, DeviceError, HostKeyMismatch
from hwnas.core.serial import write_atomic
from hwnas.pipeline.checking import report_of
from hwnas.pipeline.descriptor import Asked, device_in, render, usable_runtimes
from hwnas.profiler.check import DeviceReport
from hwnas.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Added:
    """The file that was written, what it describes, and what the device said; ``report`` is None if it was not asked."""

    path: Path
    device: Device
    report: DeviceReport | None


def add_device(workspace: Workspace, asked: Asked, *, offline: bool = False, force: bool = False, wait_s: float | None = None) -> Added:
    """Ask the device, unless ``offline``, and write its descriptor; ``force`` replaces one that is there.

    `ConfigError`: what was asked for is wrong, or there is such a file. `DeviceError`: the device does not answer, or has no runtime.
    """
    path = workspace.root / "devices" / f"{asked.id}.toml"
    if path.exists() and not force:
        raise ConfigError(f"{path} exists; --force replaces it")
    candidate = device_in(render(asked), path)
    report = None if offline else _asked(candidate, wait_s)
    if report is not None:
        _require_usable(asked, report)
    text = render(asked, report)
    device = device_in(text, path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, text)
    return Added(path, device, report)


def _asked(device: Device, wait_s: float | None) -> DeviceReport:
    try:
        return report_of(device, wait_s=wait_s)
    except HostKeyMismatch as problem:
        words = str(problem).removesuffix(f": hwnas devices trust {device.id}")
        raise HostKeyMismatch(
            f"{words}: write its file without asking it (the same command with --offline), run 'hwnas devices trust {device.id}',"
            " then the same command with --force"
        ) from None


def _require_usable(asked: Asked, report: DeviceReport) -> None:
    if report.cores and asked.threads > len(report.cores):
        raise ConfigError(f"{asked.id}: --threads {asked.threads}, and the device has {len(report.cores)} cores")
    if not usable_runtimes(report):
        reasons = "; ".join(f"{name}: {found.reason}" for name, found in sorted(report.runtimes.items()) if found.reason)
        raise DeviceError(f"{asked.id}: it answers, but has no runtime to measure with; install one there ({reasons or 'it names none'})")
