"""A model on the device: loaded, run for the first time, and then sampled.

A sample is the mean of k runs back to back, k fixed per model so that a sample lasts about ``min_sample_us`` of the plan. About as long as
the probe (150 us) is right for means and medians: below that, the timer and the interpreter are a visible part of it. Models that last
longer have k = 1, and so have all where the host asks for 0: what varies from call to call is lost in a mean, so tails need single calls.
"""

from __future__ import annotations

import math
import time
from typing import Callable, NamedTuple

from hwnas_agent.band import QuietBand
from hwnas_agent.memory import MemoryPeak
from hwnas_agent.precision import CAP, half_width
from hwnas_agent.runtime import UNTOLD, Execution, ModelUnusable, Run, Runtime, RuntimeUnusable, told
from hwnas_agent.wire import MAX_SAMPLES, printable

MAX_RUNS = 1000
TYPICAL_KEPT = 1024
WARM = 0.98
MAX_WARMUPS = 8

Clock = Callable[[], int]


class Job(NamedTuple):
    """A model file to time and the id that the host knows it by; with ``only_busy`` the host has its quiet samples already."""

    id: str
    path: str
    only_busy: bool = False


class Settings(NamedTuple):
    """The host's plan and what it knows from earlier sessions; see `hwnas_agent.wire`."""

    threads: int
    warmup: int
    min_repeats: int
    least_repeats: int
    min_total_ms: float
    min_sample_us: float
    max_seconds: float
    cooldown_s: float
    seed: int
    quiet_level_us: float | None
    statistic: str = "p50"
    max_rel_ci: float = math.inf
    heat_s: float = 0.0


class Sample(NamedTuple):
    """One attempt: mean time of a run, what was seen around it, and when it was."""

    run_ns: float
    before_us: float
    after_us: float
    waited_ns: int
    at_ns: int


class Typical:
    """First attempts, evenly spread over the session: all while they are fewer than `TYPICAL_KEPT`, at least half as many beyond."""

    def __init__(self) -> None:
        self.runs_ns: list[float] = []
        self._stride = 1
        self._seen = 0

    def add(self, run_ns: float) -> None:
        """Take one in, or pass it over."""
        if self._seen % self._stride == 0:
            self.runs_ns.append(run_ns)
            if len(self.runs_ns) >= TYPICAL_KEPT:
                self.runs_ns = self.runs_ns[::2]
                self._stride *= 2
        self._seen += 1


class Subject:
    """A loaded model with its samples so far; each lasts ``sample_ns`` or more if `MAX_RUNS` are enough for that."""

    def __init__(self, job: Job, run: Run, load_ns: int, first_ns: int, run_ns: int, sample_ns: int, execution: Execution = UNTOLD) -> None:
        self.job = job
        self.run = run
        self.execution = execution
        self.load_ns = load_ns
        self.first_ns = first_ns
        self.run_ns = run_ns
        self.runs = max(1, min(MAX_RUNS, -(-sample_ns // max(run_ns, 1))))
        self.peak_memory_bytes: int | None = None
        self.energy_mj: float | None = None
        self.typical = Typical()
        self.candidates: list[Sample] = []
        self.busy: list[Sample] = []
        self.attempts = 0
        self.told = 0  # quiet samples in the last result

    def accepted(self, band: QuietBand) -> list[Sample]:
        """Samples that are quiet at the present level."""
        low, high = band.limits_us
        return [s for s in self.candidates if low <= s.before_us <= high and low <= s.after_us <= high]

    def enough(self, band: QuietBand, settings: Settings) -> bool:
        """Whether its turn is over: samples enough for the interval that the plan wants, or so many that it stays wide."""
        runs_ns = [s.run_ns for s in self.accepted(band)]
        if len(runs_ns) >= MAX_SAMPLES:
            return True
        if len(runs_ns) < settings.min_repeats or sum(runs_ns) * self.runs < settings.min_total_ms * 1e6:
            return False
        return len(runs_ns) >= CAP * settings.min_repeats or half_width(runs_ns, settings.statistic) <= settings.max_rel_ci

    @property
    def loaded(self) -> bool:
        """Whether it can be run."""
        return self.run is not _unloaded

    def unload(self) -> None:
        """Let the runtime free the model; the samples stay."""
        self.run = _unloaded

    def resume(self, loaded: Subject) -> Subject:
        """Go on with the model loaded again. Load and first run stay those of the first time: later ones find warm caches."""
        self.run = loaded.run
        self.run_ns = min(self.run_ns, loaded.run_ns)
        return self


def _unloaded() -> None:
    raise RuntimeError("the model was unloaded")


def load(runtime: Runtime, job: Job, settings: Settings, clock: Clock = time.perf_counter_ns, memory: MemoryPeak | None = None) -> Subject:
    """Load, run for the first time, warm up; a model that does not load or run raises `ModelUnusable` with the runtime's words."""
    memory = MemoryPeak() if memory is None else memory
    memory.begin()
    try:
        start = clock()
        run, tell = told(runtime.load(job.path, settings.threads, settings.seed))
        loaded = clock()
        run()
        first = clock()
        own = _warm_up(run, first - loaded, settings.warmup, clock)
    except (ModelUnusable, RuntimeUnusable):
        raise
    except Exception as problem:  # noqa: BLE001 - runtimes raise classes of their own, which the agent cannot name
        words = str(problem).replace(job.path, "the file")
        raise ModelUnusable(printable(f"{type(problem).__name__}: {words}", 600)) from None
    subject = Subject(job, run, loaded - start, first - loaded, own, int(1e3 * settings.min_sample_us), tell())
    subject.peak_memory_bytes = memory.grown_bytes()
    return subject


def load_needed(runtime: Runtime, job: Job, settings: Settings, clock: Clock) -> Subject:
    """`load` for a model that a session cannot do without: the error names it."""
    try:
        return load(runtime, job, settings, clock)
    except ModelUnusable as problem:
        raise ModelUnusable(f"{job.id}: {problem}") from None


def _warm_up(run: Run, best_ns: int, warmup: int, clock: Clock) -> int:
    """Its best run in ns after ``warmup`` runs, and as many again (`MAX_WARMUPS` times at most) while they still make it faster."""
    for _ in range(MAX_WARMUPS):
        before_ns = best_ns
        for _ in range(max(warmup, 1)):
            begin = clock()
            run()
            best_ns = min(best_ns, clock() - begin)
        if best_ns >= WARM * before_ns:
            break
    return best_ns
