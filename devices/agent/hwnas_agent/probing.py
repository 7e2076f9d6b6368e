"""Probing: the short model that is run between the others and shows at which speed the device is at the moment."""

from __future__ import annotations

from hwnas_agent.band import QuietBand
from hwnas_agent.runtime import Run
from hwnas_agent.subject import Clock

PATIENCE = 5
PROBE_TRIES = 3
MIN_PATIENCE_NS = 1_000_000
SETTLE_NS = 250_000_000
RARELY = 0.5


class Prober:
    """Runs the probe and takes what it sees into the band. Times are in us, the clock gives nanoseconds."""

    def __init__(self, run: Run, band: QuietBand, clock: Clock) -> None:
        self._run = run
        self._clock = clock
        self.band = band
        self.last_us = 0.0
        self.rarely_quiet = False
        """Whether less than half of the time was quiet so far, as of the last `settle`."""
        self._seen_ns = self._settled_ns = clock()

    def watch(self, until_ns: float) -> None:
        """Do nothing but probe until then, and find the quiet level."""
        self.forget()
        while self._clock() < until_ns:
            self.probe_us()
        self.band.settle()

    def forget(self) -> None:
        """The next probe does not stand for the time that passed until now: something else than measuring filled it."""
        self._seen_ns = self._clock()

    def settle(self) -> None:
        """Find the level anew, if it is some time ago that this was done."""
        now = self._clock()
        if now - self._settled_ns >= SETTLE_NS:
            self._settled_ns = now
            self.band.settle()
            share = self.band.quiet_share()
            self.rarely_quiet = share is not None and share < RARELY

    def bracket_us(self) -> float:
        """A probe next to a model. The first ones after a large model run in caches that it left cold, so they have more than one try."""
        for _ in range(PROBE_TRIES):
            if self.band.quiet(self._time()):
                break
        return self._see()

    def probe_us(self) -> float:
        """One probe."""
        self._time()
        return self._see()

    def wait_for_quiet(self, last_us: float, own_ns: float) -> bool:
        """Probe until two in a row are quiet; False when a few times ``own_ns``, the model's own time, pass before that."""
        end = self._clock() + max(MIN_PATIENCE_NS, PATIENCE * own_ns)
        in_a_row = int(self.band.quiet(last_us))
        while in_a_row < 2 and self._clock() < end:
            in_a_row = in_a_row + 1 if self.band.quiet(self.probe_us()) else 0
        return in_a_row >= 2

    def _time(self) -> float:
        begin = self._clock()
        self._run()
        self.last_us = (self._clock() - begin) / 1e3
        return self.last_us

    def _see(self) -> float:
        """Take the last probe into the band; it stands for the time since the one before."""
        now = self._clock()
        self.band.add(self.last_us, now - self._seen_ns)
        self._seen_ns = now
        return self.last_us
