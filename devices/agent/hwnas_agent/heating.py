"""Heating a device before it is measured: a model runs back to back until neither its time nor the temperature changes any more."""

from __future__ import annotations

from hwnas_agent.runtime import Run
from hwnas_agent.subject import Clock
from hwnas_agent.thermal import Thermometer

WINDOW_NS = 5_000_000_000
SETTLED = 1.01
STEADY_C = 1.0


def heat(run: Run, clock: Clock, thermometer: Thermometer, until_ns: float) -> float:
    """Seconds until the median of the last three windows of 5 s differs by 1 % at most, and the temperature by 1 degree; bounded."""
    begin = clock()
    medians: list[float] = []
    degrees: list[float] = []
    while clock() < until_ns:
        medians.append(_median_ns(run, clock, min(clock() + WINDOW_NS, until_ns)))
        degrees.append(thermometer.hottest_c() or 0.0)
        last, warm = medians[-3:], degrees[-3:]
        if len(last) == 3 and max(last) <= SETTLED * min(last) and max(warm) - min(warm) <= STEADY_C:
            break
    return (clock() - begin) / 1e9


def _median_ns(run: Run, clock: Clock, until_ns: float) -> float:
    times: list[int] = []
    while not times or clock() < until_ns:
        begin = clock()
        run()
        times.append(clock() - begin)
    return sorted(times)[len(times) // 2]
