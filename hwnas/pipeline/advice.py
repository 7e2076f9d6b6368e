"""What keeps a device that answered from being measured well, and what to do about it, a line each."""

from __future__ import annotations

from collections.abc import Sequence

from hwnas.profiler.check import DeviceReport

HOT_C = 75.0
"""Boards begin to slow down at 80 to 85 degrees, and measuring makes them hotter."""
IDLE = 0.9
FULL_IR = 10
"""ONNX IR that onnxruntime reads from 1.19 on; files for older ones have to do without newer operators."""
SET_GOVERNOR = "echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"


def advice(report: DeviceReport, wanted: Sequence[str]) -> tuple[str, ...]:
    """Lines about ``report``; ``wanted`` are the runtimes that the device is meant to have."""
    lines = [*_runtimes(report, wanted), *_clock(report), *_heat(report)]
    idle = report.facts.get("idle_share")
    if isinstance(idle, (int, float)) and idle < IDLE and report.cores:
        lines.append(f"core {report.cores[-1]}, on which it would be measured, is idle for {idle:.0%} only; end what runs there")
    return tuple(lines)


def _runtimes(report: DeviceReport, wanted: Sequence[str]) -> list[str]:
    found = {name: report.runtimes[name] for name in wanted if name in report.runtimes and report.runtimes[name].version is not None}
    lines = [f"install {name} on the device" for name in wanted if name not in found]
    for name, runtime in found.items():
        if runtime.max_ir is not None and runtime.max_ir < FULL_IR:
            lines.append(f"{name} {runtime.version} reads models up to IR {runtime.max_ir} and opset {runtime.max_opset}; 1.19 reads all")
    return lines


def _clock(report: DeviceReport) -> list[str]:
    governors = report.facts.get("governors") or report.facts.get("governor")
    if not isinstance(governors, str) or all(part.split(": ")[-1] == "performance" for part in governors.split(", ")):
        return []
    return [f"the clock governor is '{governors}'; 'performance' measures more steadily: {SET_GOVERNOR}"]


def _heat(report: DeviceReport) -> list[str]:
    lines = []
    hottest, flags = report.facts.get("temperature_c"), report.facts.get("throttled")
    if isinstance(hottest, (int, float)) and hottest > HOT_C:
        lines.append(f"it is {hottest:.0f} degrees hot; let it cool, or give it a fan")
    if isinstance(flags, str) and flags != "no":
        remedy = "a stronger power supply" if "under-voltage" in flags else "a fan"
        lines.append(f"it slows itself down ({flags}); give it {remedy}")
    status = report.facts.get("thermal_status")
    if isinstance(status, str) and status != "none":
        lines.append(f"its thermal status is '{status}'; let it cool")
    return lines
