"""Which speed the device runs at: the quiet band of a short probe.

A core of a shared machine, or a phone, runs at several speeds that nothing reports: a busy hyper-thread sibling, a thermal limit. A short
model of the same kind of operations as the ones that are timed shows the speed at once. (The kind matters: where depthwise and pointwise
convolutions take 1.5 to 1.7 times as long, a dense convolution in LiteRT takes 1.1 times as long and sees next to nothing.)

The quiet level is the fastest *dense* mode of its times: the smallest t such that at least 5 % of all probes lie in [t, 1.08 t], moved up
to the densest such window nearby, and the median in it. A rare turbo state (under 5 %) does not win.
"""

from __future__ import annotations

import math

WIDTH = 1.08
SHARE = 0.05
LOW, HIGH = 0.95, 1.06
MIN_PROBES = 40
_STEP = math.log(1.0025)
_SPAN = int(math.log(WIDTH) / _STEP)


class QuietBand:
    """Collects probe times (a histogram in steps of 0.25 %) and says which of them were quiet.

    ``known_us`` is the level of an earlier session with the same probe: slower modes are then never taken for quiet, however dense. Slower
    is what its band does not hold: times from there would be of another speed than those of the earlier session.
    """

    def __init__(self, known_us: float | None = None) -> None:
        self._counts: dict[int, int] = {}
        self._lasted: dict[int, float] = {}
        self._known_us = known_us
        self.probes = 0
        self.level_us = known_us or 0.0

    def add(self, probe_us: float, lasted: float = 0.0) -> None:
        """Take one probe time in; ``lasted`` is the time since the one before, for which it stands."""
        step = int(math.log(max(probe_us, 1e-3)) / _STEP)
        self._counts[step] = self._counts.get(step, 0) + 1
        self._lasted[step] = self._lasted.get(step, 0.0) + lasted
        self.probes += 1

    @property
    def limits_us(self) -> tuple[float, float]:
        """The band of the present level."""
        return LOW * self.level_us, HIGH * self.level_us

    def quiet(self, probe_us: float) -> bool:
        """Whether a probe time lies in the band of the present level."""
        low, high = self.limits_us
        return low <= probe_us <= high

    def settle(self) -> float:
        """Find the level anew from all probes so far, in us; cheap enough for once a round, not for once a probe."""
        start = self._first_dense()
        if start is not None:
            self.level_us = self._median(max(range(start, start + _SPAN + 1), key=lambda s: (self._in_window(s), -s)))
        if self._known_us is not None and (start is None or self.level_us > HIGH * self._known_us):
            self.level_us = self._known_us
        return self.level_us

    def quiet_share(self) -> float | None:
        """Share of the time that was quiet at the present level; None before any has passed.

        Of the time, not of the probes: there are more of them while the device is awaited to become quiet.
        """
        total = sum(self._lasted.values())
        quiet = sum(lasted for step, lasted in self._lasted.items() if self.quiet(math.exp((step + 0.5) * _STEP)))
        return quiet / total if total > 0 else None

    def _in_window(self, start: int) -> int:
        return sum(self._counts.get(step, 0) for step in range(start, start + _SPAN + 1))

    def _first_dense(self) -> int | None:
        if self.probes < MIN_PROBES:
            return None
        needed = SHARE * self.probes
        for step in sorted(self._counts):
            # a window that ends at this step is the first one that can hold enough
            if self._in_window(step - _SPAN) >= needed:
                return step - _SPAN
        return None

    def _median(self, start: int) -> float:
        left = self._in_window(start) / 2
        step = start
        while left > self._counts.get(step, 0) and step < start + _SPAN:
            left -= self._counts.get(step, 0)
            step += 1
        return math.exp((step + 0.5) * _STEP)


class OpenBand(QuietBand):
    """Takes every time for quiet: for a device that is kept at its limit, where being slowed down is what is measured."""

    @property
    def limits_us(self) -> tuple[float, float]:
        """None."""
        return 0.0, math.inf

    def quiet_share(self) -> float | None:
        """Nobody looked for quiet."""
        return None
