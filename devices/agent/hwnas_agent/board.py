"""What board this is and how it is set: model, system, memory, clusters of cores, power mode, throttling. Each fact is optional.

Files are those of Linux (procfs, the device tree, cpufreq and thermal sysfs) below ``root``. Some boards tell more through a tool of their
own: ``vcgencmd get_throttled`` (Raspberry Pi; its documentation names the bits), ``nvpmodel -q`` (NVIDIA Jetson), ``getprop`` and
``dumpsys thermalservice`` (Android). A tool gets seconds, no input, and what it prints is read strictly or not at all.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any, Callable, Dict, Sequence

from hwnas_agent.wire import printable

Fact = Dict[str, Any]
Tool = Callable[[Sequence[str]], str]

TOOL_S = 3.0
MAX_OUTPUT = 16 * 1024
WATCH_S = 0.2
_THROTTLED_BITS = ((0, "under-voltage"), (1, "frequency capped"), (2, "throttled"), (3, "soft temperature limit"))
_THERMAL = ("none", "light", "moderate", "severe", "critical", "emergency", "shutdown")


class Unknown(Exception):
    """A fact that this device does not tell, with the reason."""


def run_tool(arguments: Sequence[str]) -> str:
    """What a tool prints; one that is not there, fails or takes too long raises `Unknown`."""
    path = shutil.which(arguments[0])
    if path is None:
        raise Unknown(arguments[0] + " is not there")
    try:
        done = subprocess.run(
            [path, *arguments[1:]],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=TOOL_S,
        )
    except subprocess.TimeoutExpired:
        raise Unknown(f"{arguments[0]} did not end within {TOOL_S:g} s") from None
    except OSError as problem:
        raise Unknown(f"{arguments[0]} does not start: {problem.strerror}") from None
    if done.returncode != 0:
        raise Unknown(f"{arguments[0]} ended with {done.returncode}")
    return done.stdout[:MAX_OUTPUT].decode("utf-8", "replace")


def board_facts(cores: Sequence[int], root: str = "/", tool: Tool = run_tool) -> dict[str, Fact]:
    """All of them by name; one that is absent has its reason."""
    top = Path(root)
    facts: dict[str, Callable[[], Any]] = {
        "model": lambda: _model(top, tool),
        "soc": lambda: _soc(top, tool),
        "os": lambda: _os(top, tool),
        "memory_bytes": lambda: _memory(top),
        "clusters": lambda: _by_cores(top, cores, "cpuinfo_max_freq", _mhz),
        "governors": lambda: _by_cores(top, cores, "scaling_governor", printable),
        "idle_share": lambda: _idle_share(top, cores),
        "hottest_c": lambda: _hottest(top),
        "throttled": lambda: _throttled(tool),
        "power_mode": lambda: _power_mode(tool),
        "thermal_status": lambda: _thermal_status(tool),
    }
    return {name: _fact(read) for name, read in facts.items()}


def _fact(read: Callable[[], Any]) -> Fact:
    try:
        value = read()
    except Unknown as problem:
        return {"value": None, "reason": printable(str(problem))}
    except (OSError, ValueError) as problem:
        return {"value": None, "reason": printable(str(problem))}
    return {"value": printable(value) if isinstance(value, str) else value, "reason": None}


def _line(path: Path) -> str:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            text = file.readline(512).split("\0")[0].strip()
    except OSError as problem:
        raise Unknown(f"{path}: {problem.strerror}") from None
    if not text:
        raise Unknown(f"{path} is empty")
    return text


def _first(*reads: Callable[[], str]) -> str:
    """The first that tells something; otherwise why the first one does not."""
    reasons = []
    for read in reads:
        try:
            return read()
        except Unknown as problem:
            reasons.append(problem)
    raise reasons[0]


def _property(tool: Tool, name: str) -> str:
    text = tool(["getprop", name]).strip()
    if not text:
        raise Unknown(f"getprop knows no {name}")
    return text.splitlines()[0]


def _model(top: Path, tool: Tool) -> str:
    return _first(
        lambda: _line(top / "proc/device-tree/model"),
        lambda: _line(top / "sys/class/dmi/id/product_name"),
        lambda: _property(tool, "ro.product.model"),
    )


def _soc(top: Path, tool: Tool) -> str:
    return _first(lambda: _line(top / "sys/devices/soc0/machine"), lambda: _property(tool, "ro.soc.model"))


def _os(top: Path, tool: Tool) -> str:
    return _first(lambda: _os_release(top / "etc/os-release"), lambda: "Android " + _property(tool, "ro.build.version.release"))


def _os_release(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")[:MAX_OUTPUT]
    except OSError as problem:
        raise Unknown(f"{path}: {problem.strerror}") from None
    found = re.search(r'^PRETTY_NAME="?([^"\n]+)"?$', text, re.MULTILINE)
    if found is None:
        raise Unknown(f"{path} has no PRETTY_NAME")
    return found.group(1)


def _memory(top: Path) -> int:
    line = _line(top / "proc/meminfo")
    found = re.fullmatch(r"MemTotal:\s+([0-9]{1,12}) kB", line)
    if found is None:
        raise Unknown("/proc/meminfo does not begin with MemTotal")
    return 1024 * int(found.group(1))


def _mhz(text: str) -> str:
    if not text.isdigit() or len(text) > 9:
        raise Unknown("not a frequency: " + printable(text, 40))
    return f"{int(text) / 1000:.0f} MHz"


def _by_cores(top: Path, cores: Sequence[int], name: str, shown: Callable[[str], str]) -> str:
    """``0-3: 1800 MHz, 4-5: 2400 MHz``: which cores have which value, slow and fast clusters apart."""
    if not cores:
        raise Unknown("the system does not tell its cores")
    groups: dict[str, list[int]] = {}
    for core in sorted(cores):
        value = shown(_line(top / f"sys/devices/system/cpu/cpu{core}/cpufreq/{name}"))
        groups.setdefault(value, []).append(core)
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


def _hottest(top: Path) -> float:
    """Of the thermal zones that say something plausible, in degrees Celsius."""
    seen = []
    for path in sorted(top.glob("sys/class/thermal/thermal_zone*/temp")):
        try:
            celsius = float(_line(path)) / 1e3
        except (Unknown, ValueError):
            continue
        if 0 < celsius < 150:
            seen.append(celsius)
    if not seen:
        raise Unknown("no thermal zone tells a temperature")
    return max(seen)


def _throttled(tool: Tool) -> str:
    """Bits 0 to 3 of a Raspberry Pi's firmware are about now, bits 16 to 19 about the time since it started."""
    text = tool(["vcgencmd", "get_throttled"]).strip()
    found = re.fullmatch(r"throttled=0x([0-9a-fA-F]{1,8})", text)
    if found is None:
        raise Unknown("vcgencmd answers " + repr(printable(text, 60)))
    flags = int(found.group(1), 16)
    now = [word for bit, word in _THROTTLED_BITS if flags >> bit & 1]
    before = [word for bit, word in _THROTTLED_BITS if flags >> (16 + bit) & 1 and word not in now]
    told = ["now: " + ", ".join(now)] * bool(now) + ["since it started: " + ", ".join(before)] * bool(before)
    return "; ".join(told) or "no"


def _power_mode(tool: Tool) -> str:
    found = re.search(r"^NV Power Mode: ?(\S.{0,60})$", tool(["nvpmodel", "-q"]), re.MULTILINE)
    if found is None:
        raise Unknown("nvpmodel names no power mode")
    return found.group(1).strip()


def _thermal_status(tool: Tool) -> str:
    found = re.search(r"^Thermal Status: ([0-6])$", tool(["dumpsys", "thermalservice"]), re.MULTILINE)
    if found is None:
        raise Unknown("dumpsys names no thermal status")
    return _THERMAL[int(found.group(1))]


def _idle_share(top: Path, cores: Sequence[int]) -> float:
    """Share of a short while in which nothing ran on the last core, which is the one that a session of one thread measures on."""
    if not cores:
        raise Unknown("the system does not tell its cores")
    idle, total = _ticks(top, cores[-1])
    time.sleep(WATCH_S)
    idle_after, total_after = _ticks(top, cores[-1])
    if total_after <= total or idle_after < idle:
        raise Unknown("/proc/stat does not go on")
    return (idle_after - idle) / (total_after - total)


def _ticks(top: Path, core: int) -> tuple[int, int]:
    """Idle ticks of a core, and all of them."""
    path = top / "proc/stat"
    with path.open(encoding="ascii", errors="replace") as file:
        for words in map(str.split, file):
            if words[:1] == [f"cpu{core}"] and len(words) > 8 and all(word.isdigit() for word in words[1:]):
                ticks = [int(word) for word in words[1:9]]
                return ticks[3] + ticks[4], sum(ticks)
    raise Unknown(f"{path} has no core {core}")
