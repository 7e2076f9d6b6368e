"""What board this is and how it is set: model, system, memory, clusters of cores, power mode, throttling. Each fact is optional.

Files are those of Linux (procfs, the device tree, cpufreq and thermal sysfs) of a `hwnas_agent.files.Source`. Some boards tell more through
a tool of their own: ``vcgencmd get_throttled`` (Raspberry Pi; its documentation names the bits), ``nvpmodel -q`` (NVIDIA Jetson),
``getprop`` and ``dumpsys thermalservice`` (Android). What a tool prints is read strictly or not at all.
"""

from __future__ import annotations

import re
import time
from typing import Any, Callable, Sequence

from hwnas_agent.files import Fact, Here, Source, Unknown, fact, line_of, number
from hwnas_agent.thermal import hottest_c
from hwnas_agent.wire import printable

WATCH_S = 0.2
_CPU = "sys/devices/system/cpu"
_THROTTLED_BITS = ((0, "under-voltage"), (1, "frequency capped"), (2, "throttled"), (3, "soft temperature limit"))
_THERMAL = ("none", "light", "moderate", "severe", "critical", "emergency", "shutdown")


def device_facts(cores: Sequence[int], device: Source) -> dict[str, Fact]:
    """Boot id, core set, processor, clock governor, frequency and temperature: what every session tells."""
    cpufreq = f"{_CPU}/cpu{cores[0] if cores else 0}/cpufreq/"
    return {
        "boot_id": fact(lambda: boot_id(device)),
        "core_set": {"value": ",".join(str(c) for c in cores)[:300] or None, "reason": None if cores else "the system does not tell"},
        "cpu": fact(lambda: _cpu_name(device)),
        "governor": fact(lambda: line_of(device, cpufreq + "scaling_governor")),
        "frequency_mhz": fact(lambda: _positive(line_of(device, cpufreq + "scaling_cur_freq")) / 1e3),
        "temperature_c": fact(lambda: hottest_c(device)),
    }


def boot_id(device: Source) -> str:
    """What is another one each time that the device starts."""
    return line_of(device, "proc/sys/kernel/random/boot_id")


def _positive(text: str) -> float:
    value = number(text)
    if value is None:
        raise Unknown("not a number: " + printable(text, 40))
    if not 0 <= value < 1e12:
        raise Unknown("no such value can be: " + printable(text, 40))
    return value


def _cpu_name(device: Source) -> str:
    for line in device.text("proc/cpuinfo").splitlines():
        key, _, value = line.partition(":")
        if key.strip() in ("model name", "Model", "Hardware"):
            return value.strip()
    raise Unknown("/proc/cpuinfo names no model")


def board_facts(cores: Sequence[int], device: Source | None = None) -> dict[str, Fact]:
    """What only those want to know who ask for the device itself; one that is absent has its reason. It takes a moment."""
    top = device or Here()
    facts: dict[str, Callable[[], Any]] = {
        "model": lambda: _model(top),
        "soc": lambda: _soc(top),
        "os": lambda: _os(top),
        "memory_bytes": lambda: _memory(top),
        "clusters": lambda: _by_cores(top, cores, "cpuinfo_max_freq", _mhz),
        "governors": lambda: _by_cores(top, cores, "scaling_governor", printable),
        "idle_share": lambda: _idle_share(top, cores),
        "throttled": lambda: _throttled(top),
        "power_mode": lambda: _power_mode(top),
        "thermal_status": lambda: _thermal_status(top),
    }
    return {name: fact(read) for name, read in facts.items()}


def _first(*reads: Callable[[], str]) -> str:
    """The first that tells something; otherwise why the first one does not."""
    reasons = []
    for read in reads:
        try:
            return read()
        except Unknown as problem:
            reasons.append(problem)
    raise reasons[0]


def _property(device: Source, name: str) -> str:
    text = device.tool(["getprop", name]).strip()
    if not text:
        raise Unknown(f"getprop knows no {name}")
    return text.splitlines()[0]


def _model(device: Source) -> str:
    return _first(
        lambda: line_of(device, "proc/device-tree/model"),
        lambda: line_of(device, "sys/class/dmi/id/product_name"),
        lambda: _property(device, "ro.product.model"),
    )


def _soc(device: Source) -> str:
    return _first(lambda: line_of(device, "sys/devices/soc0/machine"), lambda: _property(device, "ro.soc.model"))


def _os(device: Source) -> str:
    return _first(lambda: _os_release(device), lambda: "Android " + _property(device, "ro.build.version.release"))


def _os_release(device: Source) -> str:
    found = re.search(r'^PRETTY_NAME="?([^"\n]+)"?$', device.text("etc/os-release"), re.MULTILINE)
    if found is None:
        raise Unknown("/etc/os-release has no PRETTY_NAME")
    return found.group(1)


def _memory(device: Source) -> int:
    found = re.fullmatch(r"MemTotal:\s+([0-9]{1,12}) kB", line_of(device, "proc/meminfo"))
    if found is None:
        raise Unknown("/proc/meminfo does not begin with MemTotal")
    return 1024 * int(found.group(1))


def _mhz(text: str) -> str:
    if not text.isdigit() or len(text) > 9:
        raise Unknown("not a frequency: " + printable(text, 40))
    return f"{int(text) / 1000:.0f} MHz"


def _by_cores(device: Source, cores: Sequence[int], name: str, shown: Callable[[str], str]) -> str:
    """``0-3: 1800 MHz, 4-5: 2400 MHz``: which cores have which value, slow and fast clusters apart."""
    if not cores:
        raise Unknown("the system does not tell its cores")
    paths = {core: f"{_CPU}/cpu{core}/cpufreq/{name}" for core in sorted(cores)}
    lines = device.lines(list(paths.values()))
    groups: dict[str, list[int]] = {}
    for core, path in paths.items():
        groups.setdefault(shown(lines.get(path) or line_of(device, path)), []).append(core)
    return ", ".join(f"{_spans(members)}: {value}" for value, members in groups.items())


def _spans(cores: Sequence[int]) -> str:
    """``0-3,6``."""
    spans: list[list[int]] = []
    for core in cores:
        if spans and core == spans[-1][1] + 1:
            spans[-1][1] = core
        else:
            spans.append([core, core])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in spans)


def _throttled(device: Source) -> str:
    """Bits 0 to 3 of a Raspberry Pi's firmware are about now, bits 16 to 19 about the time since it started."""
    text = device.tool(["vcgencmd", "get_throttled"]).strip()
    found = re.fullmatch(r"throttled=0x([0-9a-fA-F]{1,8})", text)
    if found is None:
        raise Unknown("vcgencmd answers " + repr(printable(text, 60)))
    flags = int(found.group(1), 16)
    now = [word for bit, word in _THROTTLED_BITS if flags >> bit & 1]
    before = [word for bit, word in _THROTTLED_BITS if flags >> (16 + bit) & 1 and word not in now]
    told = ["now: " + ", ".join(now)] * bool(now) + ["since it started: " + ", ".join(before)] * bool(before)
    return "; ".join(told) or "no"


def _power_mode(device: Source) -> str:
    found = re.search(r"^NV Power Mode: ?(\S.{0,60})$", device.tool(["nvpmodel", "-q"]), re.MULTILINE)
    if found is None:
        raise Unknown("nvpmodel names no power mode")
    return found.group(1).strip()


def _thermal_status(device: Source) -> str:
    found = re.search(r"^Thermal Status: ([0-6])$", device.tool(["dumpsys", "thermalservice"]), re.MULTILINE)
    if found is None:
        raise Unknown("dumpsys names no thermal status")
    return _THERMAL[int(found.group(1))]


def _idle_share(device: Source, cores: Sequence[int]) -> float:
    """Share of a short while in which nothing ran on the last core, which is the one that a session of one thread measures on."""
    if not cores:
        raise Unknown("the system does not tell its cores")
    idle, total = _ticks(device, cores[-1])
    time.sleep(WATCH_S)
    idle_after, total_after = _ticks(device, cores[-1])
    if total_after <= total or idle_after < idle:
        raise Unknown("/proc/stat does not go on")
    return (idle_after - idle) / (total_after - total)


def _ticks(device: Source, core: int) -> tuple[int, int]:
    """Idle ticks of a core, and all of them."""
    for words in map(str.split, device.text("proc/stat").splitlines()):
        if words[:1] == [f"cpu{core}"] and len(words) > 8 and all(word.isdigit() for word in words[1:]):
            ticks = [int(word) for word in words[1:9]]
            return ticks[3] + ticks[4], sum(ticks)
    raise Unknown(f"/proc/stat has no core {core}")
