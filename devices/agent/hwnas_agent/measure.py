"""How models are timed on a device that changes its speed without saying so.

Models come in chunks. In a chunk every model that still needs samples, and a reference model that is in every chunk, is visited once a
round, in a new random order each round. A visit is two unrecorded runs (a model that runs after another one starts cold), a probe, the
sample, a probe. That first attempt is a sample of the *typical* regime whatever the probes say. It is also one of the *quiet* regime if
both probes lie in the quiet band (`hwnas_agent.band`) and the process did not wait for its core; otherwise the visit waits, for a few
times the model's own time, for two quiet probes in a row and tries once more. Where quiet is rare, a visit that met it takes some more
samples as long as it lasts.

A result leaves at the end of the round in which its model got its last sample, so a kill loses none. A model that is short of samples
when its chunk is over joins a later one and keeps what it has. Where the device is faster than ever before, the band moves, and models
that lose their samples by it are measured again.

After half of the time every model that has samples enough to be believed is told, and models that the plan wants more of go on. A device
that was hardly ever quiet until then has all its models measured as it is (`hwnas_agent.busy`), then looks for quiet for as long as that
took, and so on in turn while it is not quiet: the more busy samples there are, the sharper is what the host makes of them.
"""

from __future__ import annotations

import gc
import random
import time
from typing import Callable, Sequence

from hwnas_agent import reports
from hwnas_agent.band import OpenBand, QuietBand
from hwnas_agent.busy import QUIET_SHARE, ROUNDS, RUNS, companies, never_quiet, roomy
from hwnas_agent.heating import heat
from hwnas_agent.power import PowerRails
from hwnas_agent.probing import Prober
from hwnas_agent.process import RunQueue
from hwnas_agent.runtime import ModelUnusable, Runtime
from hwnas_agent.sampling import Sampler
from hwnas_agent.subject import Clock, Job, Settings, Subject, load, load_needed
from hwnas_agent.thermal import Cooling, Thermometer
from hwnas_agent.wire import MAX_SAMPLES, Message

CHUNK = 22
CALIBRATION_NS, FIRST_CALIBRATION_NS = 300_000_000, 2_000_000_000
PROGRESS_NS = 500_000_000
REFERENCE_SAMPLES, MAX_RESTARTS = 10, 2


class Session:
    """One session: a probe, a reference, jobs, and the time that they may take together.

    ``emit`` takes what is for the host; ``clock`` gives ns, ``sleep`` takes s, ``run_queue`` sees waiting for a core, ``rails`` energy.
    """

    def __init__(
        self,
        runtime: Runtime,
        settings: Settings,
        emit: Callable[[Message], None],
        *,
        clock: Clock = time.perf_counter_ns,
        sleep: Callable[[float], None] = time.sleep,
        run_queue: RunQueue | None = None,
        rails: PowerRails | None = None,
        thermometer: Thermometer | None = None,
    ) -> None:
        self._runtime = runtime
        self._settings = settings
        self._emit = emit
        self._random = random.Random(settings.seed)  # noqa: S311 - an order of visits, no secret
        self._clock = clock
        self._sleep = sleep
        self._queue = RunQueue() if run_queue is None else run_queue
        self._rails = PowerRails() if rails is None else rails
        self._thermometer = Thermometer() if thermometer is None else thermometer
        self._begin_ns = clock()
        self._deadline_ns = self._begin_ns + int(settings.max_seconds * 1e9)
        self._band = OpenBand() if settings.heat_s > 0 else QuietBand(settings.quiet_level_us)
        self._finished: dict[str, Subject] = {}
        self._short: dict[str, Subject] = {}
        self._sampled: dict[str, Subject] = {}
        self._restarts: dict[str, int] = {}
        self._failed: set[str] = set()
        self._wanted = self._chunk = 0
        self._until_ns = self._deadline_ns
        self._reference_us: list[float] = []
        self._progress_ns = self._begin_ns

    @property
    def run_queue_seen(self) -> bool:
        """Whether waiting for a core is seen on this device."""
        return self._queue.seen

    @property
    def rails(self) -> list[str]:
        """The power rails that a model's energy is measured on."""
        return self._rails.names

    def measure(self, jobs: Sequence[Job], probe: Job, reference: Job) -> Message:
        """Time all ``jobs`` and give the ``done`` message; a model that cannot be run is reported as ``failed``."""
        self._wanted = sum(not job.only_busy for job in jobs)
        self._prober = Prober(load_needed(self._runtime, probe, self._settings, self._clock).run, self._band, self._clock)
        self._sampler = Sampler(self._prober, self._queue, self._clock)
        subject = load_needed(self._runtime, reference, self._settings, self._clock)
        enabled = gc.isenabled()
        gc.disable()
        try:
            heated_s = self._heat(subject)
            self._calibrate()
            self._cooling = Cooling(
                self._thermometer,
                self._sleep,
                self._clock,
                pause_s=self._settings.cooldown_s,
                deadline_ns=self._deadline_ns,
                wanted=self._settings.heat_s > 0,
            )
            left = self._quiet_or_busy(list(jobs), subject)
        finally:
            self._queue.close()
            if enabled:
                gc.enable()
        return reports.done(
            results=len(self._finished),
            short=[self._quiet_samples(job) for job in left],
            visits=self._sampler.visits,
            band=self._band,
            reference_us=self._reference_us,
            seconds=(self._clock() - self._begin_ns) / 1e9,
            cooling=self._cooling,
            heated_s=heated_s,
        )

    def _heat(self, reference: Subject) -> float:
        """Heat the device if the plan wants that, at no cost of the time for measuring; for how many seconds."""
        if self._settings.heat_s <= 0:
            return 0.0
        heated_s = heat(reference.run, self._clock, self._thermometer, self._clock() + self._settings.heat_s * 1e9)
        self._deadline_ns += int(heated_s * 1e9)
        return heated_s

    def _calibrate(self) -> None:
        # a device whose quiet level nobody knows is watched for longer: it may be busy for seconds on end
        watch_ns = FIRST_CALIBRATION_NS if self._settings.quiet_level_us is None else CALIBRATION_NS
        self._prober.watch(min(self._clock() + watch_ns, self._deadline_ns))

    def _quiet_or_busy(self, jobs: list[Job], reference: Subject) -> list[Job]:
        """Measure all that can be; the models that are short of quiet samples in the end."""
        now = self._clock()
        self._until_ns = now + int(QUIET_SHARE * (self._deadline_ns - now))
        left = self._all_chunks([job for job in jobs if not job.only_busy], reference)
        while left and self._clock() < self._deadline_ns and self._gives_up_quiet():
            begin, self._until_ns = self._clock(), self._deadline_ns
            self._busy_rounds(jobs)
            now = self._clock()
            self._until_ns = min(self._deadline_ns, now + (now - begin))
            left = self._all_chunks(left, reference)
        self._until_ns = self._deadline_ns
        left = self._all_chunks(left + self._reopened(), reference)
        for job in left:
            if self._quiet_samples(job) >= self._settings.least_repeats:
                self._finish(self._short[job.id])
        for subject in self._sampled.values():
            if subject.busy:
                self._emit(reports.busy(subject, self._begin_ns))
        return [job for job in left if job.id not in self._finished]

    def _gives_up_quiet(self) -> bool:
        """Whether a look at the busy device is due: it does not look as if it would be quiet, and nobody keeps it hot."""
        samples = [len(s.accepted(self._band)) for s in (*self._short.values(), *self._finished.values())]
        never = never_quiet(samples, self._settings.least_repeats, self._band.quiet_share())
        full = bool(self._sampled) and all(len(s.busy) >= MAX_SAMPLES for s in self._sampled.values())
        return never and not full and self._settings.heat_s <= 0

    def _quiet_samples(self, job: Job) -> int:
        subject = self._short.get(job.id)
        return 0 if subject is None else len(subject.accepted(self._band))

    def _all_chunks(self, jobs: list[Job], reference: Subject) -> list[Job]:
        """Measure until nothing is left or the time is over; the models that are not finished."""
        while jobs and not self._late():
            taken, jobs = jobs[:CHUNK], jobs[CHUNK:]
            # no chunk may take the time of those after it: where quiet is rare, all models get some samples
            left_ns = (self._until_ns - self._clock()) / (1 + -(-len(jobs) // CHUNK))
            jobs += self._one_chunk(taken, reference, until_ns=self._clock() + left_ns)
            jobs += self._outdated()
            self._chunk += 1
            if jobs and not self._cooling.look_at(self._reference_us) and self._settings.cooldown_s > 0:
                self._sleep(min(self._settings.cooldown_s, max(0.0, (self._until_ns - self._clock()) / 1e9)))
        return jobs

    def _one_chunk(self, jobs: Sequence[Job], reference: Subject, *, until_ns: float) -> list[Job]:
        """Sample a chunk; the models that have too few samples by then, in this chunk and those before."""
        open_ones = self._load(jobs)
        self._prober.forget()
        reference.candidates.clear()
        while open_ones and self._clock() < until_ns:
            order = list(open_ones)
            if len(reference.accepted(self._band)) < REFERENCE_SAMPLES:
                order.append(reference)
            self._random.shuffle(order)
            for subject in order:
                if self._late():
                    break
                self._sampler.visit(subject)
            self._housekeeping(open_ones)
            for subject in open_ones:
                if subject.enough(self._band, self._settings):
                    self._finish(subject)
            open_ones = [s for s in open_ones if s.job.id not in self._finished]
        times = sorted(s.run_ns for s in reference.accepted(self._band))
        if times:
            self._reference_us.append(times[len(times) // 4] / 1e3)
        for subject in open_ones:
            if len(subject.accepted(self._band)) >= self._settings.least_repeats:
                self._finish(subject)
            else:
                subject.unload()
                self._short[subject.job.id] = subject
        return [s.job for s in open_ones if s.job.id in self._short]

    def _busy_rounds(self, jobs: Sequence[Job]) -> None:
        """Sample every model as the device is."""
        stay = roomy(jobs)
        for company in companies(jobs, CHUNK, self._random):
            if self._late():
                break
            subjects = self._load(company)
            self._prober.forget()
            for _ in range(ROUNDS):
                self._random.shuffle(subjects)
                for subject in subjects:
                    if self._late():
                        break
                    self._sampler.visit_busy(subject, RUNS)
                self._housekeeping([s for s in subjects if s.job.id not in self._finished])
            for subject in subjects:
                self._sampled[subject.job.id] = subject
                if subject.job.id not in self._finished and not subject.job.only_busy:
                    self._short[subject.job.id] = subject
                if not stay:
                    subject.unload()
        for subject in self._sampled.values():
            subject.unload()

    def _load(self, jobs: Sequence[Job]) -> list[Subject]:
        subjects = []
        for job in jobs:
            if job.id in self._failed:
                continue
            earlier = self._short.pop(job.id, None) or self._finished.get(job.id) or self._sampled.get(job.id)
            if earlier is not None and earlier.loaded:
                subjects.append(earlier)
                continue
            try:
                loaded = load(self._runtime, job, self._settings, self._clock)
            except ModelUnusable as problem:
                self._failed.add(job.id)
                self._emit({"type": "failed", "id": job.id, "reason": str(problem)})
            else:
                subjects.append(loaded if earlier is None else earlier.resume(loaded))
        return subjects

    def _finish(self, subject: Subject) -> None:
        accepted = subject.accepted(self._band)
        self._finished[subject.job.id] = subject
        if subject.energy_mj is None and subject.loaded:
            subject.energy_mj = self._rails.energy_mj(subject.run, self._clock, self._deadline_ns)
            self._prober.forget()
        if subject.told != len(accepted):
            subject.told = len(accepted)
            self._emit(reports.result(subject, accepted, quiet_level_us=self._band.level_us, chunk=self._chunk))
        subject.unload()

    def _reopened(self) -> list[Job]:
        """Models told with fewer samples, or wider apart, than the plan wants: they keep what they have, and are told again with more."""
        again = [s for s in self._finished.values() if not s.enough(self._band, self._settings)]
        for subject in again:
            self._short[subject.job.id] = self._finished.pop(subject.job.id)
        return [subject.job for subject in again]

    def _outdated(self) -> list[Job]:
        """Finished models most of whose samples are not quiet in the present band; each comes back twice at most.

        Most, since the band also moves a little without meaning anything, and a sample at its edge is no reason to begin again.
        """
        again = []
        for key, subject in list(self._finished.items()):
            left = len(subject.accepted(self._band))
            if left < min(self._settings.min_repeats / 2, self._settings.least_repeats) and self._restarts.get(key, 0) < MAX_RESTARTS:
                self._restarts[key] = self._restarts.get(key, 0) + 1
                del self._finished[key]
                again.append(subject.job)
        return again

    def _housekeeping(self, open_ones: Sequence[Subject]) -> None:
        if self._cooling.look():
            self._prober.forget()
        self._prober.settle()
        now = self._clock()
        if now - self._progress_ns >= PROGRESS_NS:
            self._progress_ns = now
            unfinished = [*open_ones, *self._short.values()]
            wanted = self._wanted - len(self._failed)
            self._emit(reports.progress(len(self._finished), unfinished, wanted, band=self._band, min_repeats=self._settings.min_repeats))

    def _late(self) -> bool:
        return self._clock() >= self._until_ns
