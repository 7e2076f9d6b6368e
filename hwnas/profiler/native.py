"""Measuring with a benchmark program of the runtime, for devices on which no agent runs: it takes models and gives measurements.

A program is started for each burst of runs and tells a median or a mean of them: there is no probe between runs, so nothing can be said
about quiet times, and what is measured is the ``typical`` regime alone. What can be done about disturbance is done by the order: bursts are
short, many, and of all models of a chunk in turn, in a new random order each round, a reference model among them. A sample is one burst, so
that the median over samples is robust against bursts that were disturbed as a whole; tails of single runs are not known.

A round of all models takes long, and more so over a link: what each burst gave is handed on as soon as it is there, and a session that is
given those of an interrupted one goes on with what they lack.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from hwnas_agent.wire import printable

from hwnas.core.access import NativeOptions
from hwnas.core.device import Device, Fact, Measurement, MeasurePlan
from hwnas.core.errors import ConfigError, DeviceError, ProtocolError, TooNoisy
from hwnas.profiler.nativefacts import native_options, online_cores, report_through
from hwnas.profiler.nativetools import MAX_RUNS, TOOLS, Burst
from hwnas.profiler.session import Job, OnDevice
from hwnas.profiler.shell import SHELLS, Shell, last_words
from hwnas.profiler.summary import Progress

CHUNK = 22
BURST_MS = 20.0
FIRST_RUNS = 5
LEAST_RUNS = 5
START_S = 60.0
"""What a start may take beyond its runs: loading a large model from slow storage."""
RESULT = "result.csv"

OnMeasured = Callable[[str, Mapping[str, Measurement]], None]
OnBurst = Callable[[str, Burst], None]
OnProgress = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class NativeSummary:
    """What a session with a benchmark program was like. ``cores`` is empty where it could not be pinned."""

    measured: tuple[str, ...]
    seconds: float
    tool: str
    bursts: int
    cores: tuple[int, ...]
    reference_us: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class _Subject:
    """A model on the device. ``bursts`` grow: the first one tells how long the others have to be, each of which is a sample."""

    job: Job
    path: str
    runs: int
    bursts: list[Burst]

    @property
    def samples_ms(self) -> tuple[float, ...]:
        return tuple(burst.typical_us / 1e3 for burst in self.bursts[1:])


def measure_native(
    device: Device,
    jobs: Sequence[Job],
    plan: MeasurePlan,
    *,
    threads: int = 1,
    reference: Path,
    kept: Mapping[str, Sequence[Burst]] | None = None,
    on_measured: OnMeasured,
    on_burst: OnBurst = lambda _job, _burst: None,
    on_progress: OnProgress | None = None,
    on_device: OnDevice | None = None,
) -> NativeSummary:
    """Measure all ``jobs`` with the program that ``[native]`` names; ``on_measured(id, {"typical": …})`` as each is finished.

    ``on_burst(id, burst)`` hears of every burst of a job as soon as it is there, and may raise; ``kept`` are those of an earlier session,
    by id and in their order, which are not made again. ``on_device`` hears what the device is before anything else is run there, and may
    raise. ``plan.min_repeats`` bursts end a turn, ``plan.least_repeats`` suffice when ``plan.max_seconds`` are over; fewer raise `TooNoisy`
    after all that were finished. `DeviceError`: the program or a model does not run there. `ProtocolError`: it says something unknown.
    """
    options = native_options(device)
    with SHELLS.get(device.transport)(device) as shell:
        session = _Session(
            shell, device.id, options, plan, threads=threads, on_measured=on_measured, on_burst=on_burst, on_progress=on_progress
        )
        if on_device is not None:
            on_device(report_through(shell, options))
        return session.measure(jobs, Job("reference", reference), kept or {})


class _Session:
    def __init__(
        self,
        shell: Shell,
        name: str,
        options: NativeOptions,
        plan: MeasurePlan,
        *,
        threads: int,
        on_measured: OnMeasured,
        on_burst: OnBurst,
        on_progress: OnProgress | None,
    ) -> None:
        self._shell, self._name, self._options, self._plan = shell, name, options, plan
        self._tool, self._threads = TOOLS[options.tool], threads
        self._on_measured, self._on_burst, self._on_progress = on_measured, on_burst, on_progress
        self._random = np.random.default_rng(plan.seed)
        self._least = min(plan.least_repeats, plan.min_repeats)
        self._begin = time.monotonic()
        self._bursts = 0
        self._wanted = 0
        self._binary = ""
        self._prefix: list[str] = []
        self._cores: tuple[int, ...] = ()
        self._finished: list[str] = []

    def measure(self, jobs: Sequence[Job], reference: Job, kept: Mapping[str, Sequence[Burst]]) -> NativeSummary:
        """All ``jobs``, chunk by chunk."""
        if len({job.id for job in jobs}) != len(jobs):
            raise ConfigError("two jobs of a session have the same id")
        self._wanted = len(jobs)
        self._binary = self._shell.push(Path(self._options.path), self._options.tool, executable=True)
        self._cores = self._pin()
        path = self._shell.push(reference.path, "reference" + reference.path.suffix)
        steady = self._subject(reference, path, [self._burst(path, FIRST_RUNS, reference)])
        reference_us, short = [], []
        chunks = [jobs[at : at + CHUNK] for at in range(0, len(jobs), CHUNK)]
        for number, chunk in enumerate(chunks):
            left_s = self._begin + self._plan.max_seconds - time.monotonic()
            until = time.monotonic() + left_s / (len(chunks) - number)
            del steady.bursts[1:]
            short += self._chunk(number, [(job, kept.get(job.id, ())) for job in chunk], steady, until=until)
            if steady.samples_ms:
                reference_us.append(1e3 * float(np.median(steady.samples_ms)))
        seconds = time.monotonic() - self._begin
        if short:
            raise TooNoisy(
                f"{self._name}: {len(short)} of {len(jobs)} models have fewer than {self._least} bursts after {seconds:.0f} s (fewest"
                f" {min(short)}); all bursts are kept: run again to go on, or give the plan more max_seconds"
            )
        return NativeSummary(tuple(self._finished), seconds, self._options.tool, self._bursts, self._cores, tuple(reference_us))

    def _pin(self) -> tuple[int, ...]:
        """Cores that the tool is pinned to: those given, or the last ones of the device; none where it cannot be."""
        wanted = self._plan.affinity or online_cores(self._shell)[-self._threads :]
        if len(wanted) < self._threads:
            if self._plan.affinity:
                raise ConfigError(f"{self._name}: {self._threads} threads need as many cores; the descriptor names {list(wanted)}")
            return ()
        # a mask is what taskset of both Android and Linux understands
        prefix = ["taskset", f"{sum(1 << core for core in wanted):x}"]
        status, words = self._shell.run([*prefix, "true"], timeout_s=30.0)
        if status == 0:
            self._prefix = prefix
            return wanted
        if self._plan.affinity:
            raise DeviceError(f"{self._name}: cannot be pinned to cores {list(wanted)}: {last_words(words)}")
        return ()

    def _subject(self, job: Job, path: str, bursts: list[Burst]) -> _Subject:
        runs = int(min(MAX_RUNS, max(LEAST_RUNS, np.ceil(1e3 * BURST_MS / bursts[0].typical_us))))
        return _Subject(job, path, runs, bursts)

    def _begun(self, job: Job, name: str, kept: Sequence[Burst]) -> _Subject:
        """A model with the bursts that it has; without any it is run for the first time."""
        path = self._shell.push(job.path, name + job.path.suffix)
        if kept:
            return self._subject(job, path, list(kept))
        first = self._burst(path, FIRST_RUNS, job)
        self._on_burst(job.id, first)
        return self._subject(job, path, [first])

    def _chunk(self, number: int, jobs: Sequence[tuple[Job, Sequence[Burst]]], steady: _Subject, *, until: float) -> list[int]:
        """Bursts of all ``jobs`` in turn; how many the unfinished ones have."""
        repeats = self._plan.min_repeats
        subjects = [self._begun(job, f"model{place}", kept) for place, (job, kept) in enumerate(jobs)]
        for _ in range(repeats):
            due = [subject for subject in subjects if len(subject.samples_ms) < repeats]
            if not due:
                break
            for subject in self._random.permutation(np.array([*due, steady], dtype=object)):
                if time.monotonic() >= until:
                    break
                subject.bursts.append(self._burst(subject.path, subject.runs, subject.job))
                if subject is not steady:
                    self._on_burst(subject.job.id, subject.bursts[-1])
            self._tell(subjects)
        enough = [subject for subject in subjects if len(subject.samples_ms) >= self._least]
        for subject in enough:
            self._finished.append(subject.job.id)
            self._on_measured(subject.job.id, {"typical": self._measurement(subject, number)})
        return [len(subject.samples_ms) for subject in subjects if subject not in enough]

    def _burst(self, path: str, runs: int, job: Job) -> Burst:
        folder = path.rpartition("/")[0]
        result = f"{folder}/{RESULT}"
        command = self._tool.command(self._binary, path, result, self._threads, runs)
        command[1:1] = self._options.args
        written = ""
        if self._tool.reads_result:  # it is appended to
            self._shell.run(["rm", "-f", result], timeout_s=30.0)
        status, words = self._shell.run([*self._prefix, *command], timeout_s=START_S + self._plan.max_seconds)
        if status != 0:
            raise DeviceError(f"{self._name}: {self._options.tool} ends with {status} on {printable(job.id, 80)}: {last_words(words)}")
        if self._tool.reads_result:
            status, written = self._shell.run(["cat", result], timeout_s=30.0)
            if status != 0:
                raise ProtocolError(f"{self._name}: {self._options.tool} wrote no result: {last_words(written)}")
        self._bursts += 1
        try:
            return self._tool.parse(words, written)
        except ProtocolError as problem:
            raise ProtocolError(f"{self._name}: {printable(str(problem))}") from None

    def _measurement(self, subject: _Subject, chunk: int) -> Measurement:
        first = subject.bursts[0]
        facts: dict[str, Fact] = {
            "regime": "typical",
            "tool": self._options.tool,
            "sample": f"{first.how} of {subject.runs} runs in a process of its own",
            "runs_per_sample": subject.runs,
            "cores": ",".join(map(str, self._cores)) or None,
            "chunk": chunk,
        }
        return Measurement(
            samples_ms=subject.samples_ms,
            rejected=0,
            load_ms=first.load_ms,
            first_ms=first.first_ms,
            peak_memory_bytes=first.peak_memory_bytes,
            facts=facts,
        )

    def _tell(self, subjects: Sequence[_Subject]) -> None:
        if self._on_progress is not None:
            repeats = self._plan.min_repeats
            accepted = len(self._finished) * repeats + sum(len(s.samples_ms) for s in subjects)
            self._on_progress(Progress(len(self._finished), accepted, self._wanted * repeats, None, time.monotonic() - self._begin))
