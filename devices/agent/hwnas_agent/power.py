"""Energy of a model on a device with power rails: a counter of the processor (RAPL), or an INA3221 sensor on the board.

RAPL counts micro-joules of a whole package and wraps around (Linux, power capping framework, ``/sys/class/powercap``). An INA3221, as on
Jetson boards, gives voltage in mV and current in mA (Linux, hwmon sysfs interface), or on older kernels the power in mW (iio). Where one of
its rails is the board's input, that one is taken, else the sum of all.

The model runs back to back for a window that is long for the rail. All that the rail feeds is in the figure, what idles included. What
cannot be read is None, never zero.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Callable, Iterator, NamedTuple, Sequence

from hwnas_agent.files import number_in, text_in
from hwnas_agent.runtime import Run

Clock = Callable[[], int]

COUNTER_WINDOW_NS = 60_000_000
SENSOR_WINDOW_NS = 120_000_000
SENSOR_STEP_NS = 10_000_000
MAX_RAILS = 16
_INPUT = re.compile(r"(^|_)V?IN$|5V_IN$|VDD_IN$", re.IGNORECASE)


class _Counter(NamedTuple):
    """A RAPL domain."""

    name: str
    path: Path
    range_uj: int


class _Sensor(NamedTuple):
    """A rail of an INA3221; ``files`` are voltage in mV and current in mA, or power in mW alone."""

    name: str
    files: Sequence[Path]


class PowerRails:
    """The rails of this device, below ``root``; none where there are none or they may not be read."""

    def __init__(self, root: str = "/") -> None:
        self._counters = [c for c in _counters(Path(root)) if number_in(c.path) is not None][:MAX_RAILS]
        sensors = [] if self._counters else [s for s in _sensors(Path(root)) if _milliwatts(s) is not None][:MAX_RAILS]
        self._sensors = [s for s in sensors if _INPUT.search(s.name)] or sensors

    @property
    def names(self) -> list[str]:
        """What is measured, as the device names it."""
        return [counter.name[:64] for counter in self._counters] + [sensor.name[:64] for sensor in self._sensors]

    def energy_mj(self, run: Run, clock: Clock, deadline_ns: float) -> float | None:
        """Energy of one inference among many, in mJ; None without rails, or where the window would end after the deadline."""
        window_ns = COUNTER_WINDOW_NS if self._counters else SENSOR_WINDOW_NS
        if not self.names or clock() + window_ns > deadline_ns:
            return None
        energy = self._counted_mj(run, clock) if self._counters else self._sensed_mj(run, clock)
        return energy if energy is not None and energy > 0 else None

    def _counted_mj(self, run: Run, clock: Clock) -> float | None:
        before = [number_in(c.path) for c in self._counters]
        runs, _ = _runs(run, clock, COUNTER_WINDOW_NS)
        total_uj = 0.0
        for counter, begin, end in zip(self._counters, before, [number_in(c.path) for c in self._counters]):
            if begin is None or end is None or (end < begin and not counter.range_uj):
                return None
            total_uj += end - begin if end >= begin else end - begin + counter.range_uj
        return total_uj / 1e3 / runs

    def _sensed_mj(self, run: Run, clock: Clock) -> float | None:
        """Mean power over pieces of the window; what reading the sensor takes is not the model's and does not count as its time."""
        runs, lasted_ns, seen_mw = 0, 0, []
        while lasted_ns < SENSOR_WINDOW_NS:
            more, took_ns = _runs(run, clock, SENSOR_STEP_NS)
            runs, lasted_ns = runs + more, lasted_ns + took_ns
            rails = [_milliwatts(sensor) for sensor in self._sensors]
            if None in rails:
                return None
            seen_mw.append(sum(mw for mw in rails if mw is not None))
        return sum(seen_mw) / len(seen_mw) * lasted_ns / 1e9 / runs


def _runs(run: Run, clock: Clock, least_ns: int) -> tuple[int, int]:
    """Run for a while; how often, and how long that took in ns."""
    begin, runs = clock(), 0
    while True:
        run()
        runs += 1
        took_ns = clock() - begin
        if took_ns >= least_ns:
            return runs, took_ns


def _counters(root: Path) -> Iterator[_Counter]:
    """Whole packages; their parts are in them already, and the platform's counter (psys) holds the packages."""
    for folder in sorted(root.glob("sys/class/powercap/intel-rapl:*")):
        name = text_in(folder / "name") or folder.name
        if folder.name.count(":") == 1 and name.startswith("package"):
            yield _Counter(name, folder / "energy_uj", int(number_in(folder / "max_energy_range_uj") or 0))


def _sensors(root: Path) -> Iterator[_Sensor]:
    for folder in sorted(root.glob("sys/class/hwmon/hwmon*")):
        if text_in(folder / "name") == "ina3221":
            for number in (1, 2, 3):
                name = text_in(folder / f"in{number}_label") or f"{folder.name} channel {number}"
                yield _Sensor(name, (folder / f"in{number}_input", folder / f"curr{number}_input"))
    for folder in sorted(root.glob("sys/bus/i2c/drivers/ina3221x/*/iio:device*")):
        for number in (0, 1, 2):
            name = text_in(folder / f"rail_name_{number}") or f"{folder.name} channel {number}"
            yield _Sensor(name, (folder / f"in_power{number}_input",))


def _milliwatts(sensor: _Sensor) -> float | None:
    values = [number_in(path) for path in sensor.files]
    if any(value is None or value < 0 for value in values):
        return None
    first = values[0] or 0.0
    return first if len(values) == 1 else first * (values[1] or 0.0) / 1e3
