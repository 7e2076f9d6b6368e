"""Asking devices what they are, for ``hwnas devices check``: all at once, each for itself, none for longer than its deadline."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace

from hwnas.core.device import Device
from hwnas.core.errors import (
    AgentTimeout,
    AuthFailed,
    DeviceError,
    DeviceLost,
    HostKeyMismatch,
    HwnasError,
    ProtocolError,
    Unreachable,
    UsageError,
)
from hwnas.pipeline.advice import advice
from hwnas.profiler.channel import LAUNCHERS, Launcher
from hwnas.profiler.check import DeviceReport, check
from hwnas.profiler.nativefacts import native_report

DEADLINE_S = 120.0
"""For a connection, a login, an agent that is pushed, and its runtimes, each imported."""
PAGE_WAIT_S = 10.0
"""How long the page of a device is awaited that was not asked for by name: it is there already, or somebody stands beside it."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What a device answered. ``fixes`` is empty when there is nothing to do, ``report`` None when it did not answer."""

    device: str
    reachable: bool
    usable: bool
    summary: str
    fixes: tuple[str, ...]
    report: DeviceReport | None = None


def check_devices(devices: Sequence[Device], *, wait_s: float | None = None, deadline_s: float = DEADLINE_S) -> list[Checked]:
    """Ask all ``devices``, each in a thread of its own; one that is not done after ``deadline_s`` is told as unreachable.

    ``wait_s`` is how long pages are awaited, and comes on top of the deadline; None is what each transport waits by itself.
    """
    found: dict[str, Checked | BaseException] = {}

    def ask(device: Device) -> None:
        try:
            found[device.id] = check_device(device, wait_s=wait_s)
        except BaseException as problem:  # noqa: BLE001 - raised again where it is waited for
            found[device.id] = problem

    # threads that do not keep the command from ending: one that hangs is left behind
    threads = [threading.Thread(target=ask, args=(device,), name=f"check-{device.id}", daemon=True) for device in devices]
    for thread in threads:
        thread.start()
    end = time.monotonic() + deadline_s + (wait_s or 0.0)
    for thread in threads:
        thread.join(timeout=max(0.0, end - time.monotonic()))
    return [_outcome(device, found.get(device.id), deadline_s) for device in devices]


def _outcome(device: Device, found: Checked | BaseException | None, deadline_s: float) -> Checked:
    if isinstance(found, BaseException):
        raise found
    if found is not None:
        return found
    silent = AgentTimeout(f"{device.id}: it was not done within {deadline_s:g} s")
    return Checked(device.id, False, False, str(silent), (_remedy(device, silent),))


def check_device(device: Device, *, wait_s: float | None = None) -> Checked:
    """Ask the device's agent, or its shell where it has none, what it is; a device that cannot be asked is a result, not an error."""
    try:
        report = report_of(device, wait_s=wait_s)
    except (DeviceError, UsageError) as problem:
        return Checked(device.id, False, False, str(problem), (_remedy(device, problem),))
    wanted = device.runtimes or tuple(report.runtimes)
    usable = any(name in report.runtimes and report.runtimes[name].version is not None for name in wanted)
    have = [f"{name} {found.version}" for name, found in report.runtimes.items() if found.version is not None]
    words = [f"Python {report.python}" if report.python else report.system, report.arch, f"{len(report.cores)} cores", *have]
    if device.native is not None:
        words[-len(have) :] = [f"no agent: {device.native.tool} measures {device.native.runtime} there, in the typical regime alone"]
    return Checked(device.id, True, usable, ", ".join(filter(None, words)), advice(report, wanted), report)


def report_of(device: Device, *, wait_s: float | None = None) -> DeviceReport:
    """What the device says of itself; `DeviceError` where it does not, `UsageError` where it cannot be asked from here."""
    if device.native is not None:
        return native_report(device)
    return check(_waiting(LAUNCHERS.get(device.transport)(device), wait_s))


def _waiting(launcher: Launcher, wait_s: float | None) -> Launcher:
    """A launcher that waits for somebody, as those of pages do, waits for ``wait_s``."""
    if wait_s is None or not is_dataclass(launcher) or "wait_s" not in {f.name for f in fields(launcher)}:
        return launcher
    changed: Launcher = replace(launcher, wait_s=wait_s)
    return changed


def first_unusable(checked: Iterable[Checked]) -> Checked | None:
    """The first device that cannot be measured on."""
    return next((one for one in checked if not one.usable), None)


def _remedy(device: Device, problem: HwnasError) -> str:
    """What to do about a device that did not answer, by the kind of error; the error's own words are shown beside it."""
    where = f"devices/{device.id}.toml"
    let_in = f"let 'ssh {device.address}' log in without a password, and name that key in {where}: key under [ssh]"
    if device.transport == "adb":
        let_in = "unlock the device and allow debugging from this computer, then check again"
    remedies: tuple[tuple[type[HwnasError], str], ...] = (
        (UsageError, f"do what its message says, or correct {where}"),
        (
            Unreachable,
            f"open the link on the device: 'hwnas devices check {device.id}' shows it and waits"
            if device.is_page
            else f"switch the device on and connect it, or correct the address in {where}",
        ),
        (AuthFailed, let_in),
        (HostKeyMismatch, f"compare the fingerprint with the device's own, then run 'hwnas devices trust {device.id}'"),
        (ProtocolError, "let its login shell print less, or nothing, where there is no terminal"),
        (AgentTimeout, "look whether the device is overloaded or out of memory, then check again"),
        (DeviceLost, "look at the connection and at what the agent said last, then check again"),
    )
    return next(
        (words for kind, words in remedies if isinstance(problem, kind)), "make the device reachable as its message says, then check again"
    )
