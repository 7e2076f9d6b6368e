"""One visit to a model: brought back into the caches, sampled between probes, and sampled again where the first attempt was disturbed."""

from __future__ import annotations

from hwnas_agent.probing import Prober
from hwnas_agent.process import RunQueue
from hwnas_agent.subject import Clock, Sample, Subject

MAX_WAIT_NS = 50_000
MAX_WAIT_SHARE = 0.005
"""What a sample may have waited for its core, in all or as a share of what it lasted: half a percent is less than samples differ by."""
MOST_WAIT_SHARE = 0.8
"""A busy sample that ran for less than the rest was away from its core for so long that its caches are another model's."""
COLD_RUNS = 2
MORE = 3
"""Further samples of a visit while the device stays quiet, where it rarely is: neighbours in time differ as much as any others there."""


class Sampler:
    """Visits models. A sample is quiet if the probes around it are and the process did not wait for its core."""

    def __init__(self, prober: Prober, queue: RunQueue, clock: Clock) -> None:
        self._prober = prober
        self._queue = queue
        self._clock = clock
        self.visits = 0

    def visit(self, subject: Subject) -> None:
        """One typical sample, and a quiet one if the device is quiet or becomes so in a while; more of them where that is rare."""
        before_us = self._arrive(subject)
        sample = self._attempt(subject, before_us)
        subject.typical.add(sample.run_ns)
        taken = self._take(subject, sample)
        if not taken and self._prober.wait_for_quiet(sample.after_us, subject.run_ns * subject.runs):
            sample = self._attempt(subject, self._prober.last_us)
            taken = self._take(subject, sample)
        for _ in range(MORE if self._prober.rarely_quiet else 0):
            if not taken:
                break
            sample = self._attempt(subject, sample.after_us)
            taken = self._take(subject, sample)

    def visit_busy(self, subject: Subject, times: int) -> None:
        """Samples of the state that the device is in, away from quiet: one that is quiet is a quiet sample, one that is half of it none.

        The first of a visit is a typical one here, too. What a sample waited for its core is taken off: on a device whose cores are shared
        a long model never runs without a wait, and the wait is not its own time.
        """
        band, before_us = self._prober.band, self._arrive(subject)
        for number in range(times):
            sample = self._attempt(subject, before_us)
            before_us = sample.after_us
            if number == 0:
                subject.typical.add(sample.run_ns)
            touched = band.quiet(sample.before_us) or band.quiet(sample.after_us)
            if not self._take(subject, sample) and not touched and sample.waited_ns <= MOST_WAIT_SHARE * sample.run_ns * subject.runs:
                subject.busy.append(sample._replace(run_ns=sample.run_ns - sample.waited_ns / subject.runs))

    def _arrive(self, subject: Subject) -> float:
        self.visits += 1
        for _ in range(COLD_RUNS):
            subject.run()
        return self._prober.bracket_us()

    def _attempt(self, subject: Subject, before_us: float) -> Sample:
        run, runs = subject.run, range(subject.runs)
        waited = self._queue.waited_ns()
        begin = self._clock()
        for _ in runs:
            run()
        end = self._clock()
        waited = self._queue.waited_ns() - waited
        subject.attempts += 1
        return Sample((end - begin) / subject.runs, before_us, self._prober.bracket_us(), waited, begin)

    def _take(self, subject: Subject, sample: Sample) -> bool:
        band = self._prober.band
        if _waited(subject, sample) or not (band.quiet(sample.before_us) and band.quiet(sample.after_us)):
            return False
        subject.candidates.append(sample)
        return True


def _waited(subject: Subject, sample: Sample) -> bool:
    return sample.waited_ns >= max(MAX_WAIT_NS, MAX_WAIT_SHARE * sample.run_ns * subject.runs)
