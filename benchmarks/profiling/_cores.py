"""Two agents of this machine on two cores: what each measures alone, while the other measures too, and alone again."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hwnas.core.device import Measurement, MeasurePlan
from hwnas.core.errors import DeviceError, HwnasError
from hwnas.pipeline.modelfiles import ModelFiles
from hwnas.profiler.local import LocalLauncher
from hwnas.profiler.session import Job, run_session, stale
from hwnas.space.family import SpaceOptions, blockwise, family_of, find_space

RUNTIME = "onnxruntime"
BLOCKS = 20
MAX_TRIES = 3
"""How often the sequence is begun anew when a core proves faster than it had been until then."""


@dataclass(frozen=True, slots=True)
class Session:
    """Medians by block, the probe's quiet level and the share of the time that was quiet."""

    medians_ms: Mapping[str, float]
    level_us: float
    quiet_share: float


class _Bench:
    """The blocks, and an agent for each of the last two cores."""

    def __init__(self, folder: Path, quick: bool) -> None:
        space = find_space("tiny-32" if quick else "ofa-w1.0", SpaceOptions(resolutions=(16 if quick else 160,)))
        self._files = ModelFiles(space, folder, RUNTIME)
        words = blockwise(space).vocabulary(space)
        picked = [words[int(i)] for i in np.linspace(0, len(words) - 1, BLOCKS).round()]
        self._jobs = [Job(m.key, m.path) for m in self._files.blocks(picked)]
        _, largest = family_of(space).extremes(space)
        self._reference = self._files.network(largest).path
        self._seconds = 4.0 if quick else 60.0
        self._repeats = 10 if quick else 30
        self._levels_us: dict[int, float] = {}

    def measure(self, cores: Sequence[int]) -> dict[int, Session]:
        """One agent a core, all at once; one that finds too little quiet time, or its core taken, raises `DeviceError`."""
        found: dict[int, Session | HwnasError] = {}
        threads = [threading.Thread(target=self._session, args=(core, found)) for core in cores]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        sessions: dict[int, Session] = {}
        for core, result in found.items():
            if isinstance(result, HwnasError):
                raise result
            sessions[core] = result
            self._levels_us[core] = min(result.level_us, self._levels_us.get(core, result.level_us))
        return sessions

    def slower(self, sessions: Sequence[Mapping[int, Session]]) -> bool:
        """Whether any of these was at a slower speed of its core than the fastest that was ever seen there."""
        return any(stale({"": s.level_us}, self._levels_us[core]) for by_core in sessions for core, s in by_core.items())

    def _session(self, core: int, found: dict[int, Session | HwnasError]) -> None:
        measured: dict[str, Measurement] = {}
        plan = MeasurePlan(affinity=(core,), max_seconds=self._seconds, min_repeats=self._repeats, least_repeats=5)
        try:
            with LocalLauncher(name=f"core{core}").launch() as channel:
                summary = run_session(
                    channel,
                    self._jobs,
                    plan,
                    runtime=RUNTIME,
                    probe=self._files.probe(),
                    reference=self._reference,
                    quiet_level_us=self._levels_us.get(core),
                    on_measured=lambda key, regimes: measured.__setitem__(key, regimes["quiet"]),
                )
        except HwnasError as problem:
            found[core] = problem
        else:
            medians = {key: m.quantile_ms("p50") for key, m in measured.items()}
            found[core] = Session(medians, summary.quiet_level_us or 0.0, summary.quiet_share or 0.0)


def two_cores(quick: bool) -> tuple[list[tuple[object, ...]], dict[str, float]]:
    """Rows and figures; deviations are of the median over the blocks, in per cent of the mean of the two times alone."""
    cores = sorted(os.sched_getaffinity(0))[-2:]
    if len(cores) < 2:
        return [("two cores", "this machine gives one")], {}
    with tempfile.TemporaryDirectory() as folder:
        bench = _Bench(Path(folder), quick)
        sequence = ((cores[0],), (cores[1],), cores, (cores[0],), (cores[1],))
        for _ in range(1 if quick else MAX_TRIES):
            try:
                sessions = [bench.measure(group) for group in sequence]
            except DeviceError as problem:  # too noisy, or another session has the core
                reason = str(problem)
                continue
            if not bench.slower(sessions):
                return _compared(cores, sessions)
            reason = "the machine changed its speed between the sessions"
    return [("two cores: not comparable", reason)], {}


def _compared(cores: Sequence[int], sessions: Sequence[Mapping[int, Session]]) -> tuple[list[tuple[object, ...]], dict[str, float]]:
    rows: list[tuple[object, ...]] = []
    deviations, control = [], []
    for core in cores:
        first, pair, last = (by_core[core] for by_core in sessions if core in by_core)
        together = np.array([pair.medians_ms[key] / ((ms + last.medians_ms[key]) / 2) for key, ms in first.medians_ms.items()]) - 1
        again = np.array([last.medians_ms[key] / ms for key, ms in first.medians_ms.items()]) - 1
        deviations.append(100 * abs(float(np.median(together))))
        control.append(100 * abs(float(np.median(again))))
        widest = 100 * float(np.quantile(np.abs(together), 0.9))
        shares = ", ".join(f"{100 * s.quiet_share:.0f}" for s in (first, pair, last))
        levels = ", ".join(f"{s.level_us:.0f}" for s in (first, pair, last))
        sign = 100 * float(np.median(together))
        rows.append((f"core {core}: together against alone, %", f"{sign:+.1f}, nine of ten blocks within {widest:.1f}"))
        rows.append((f"core {core}: alone again against alone, %", f"{100 * float(np.median(again)):+.1f}"))
        rows.append((f"core {core}: alone, together, alone", f"quiet {shares} %; probe {levels} us"))
    return rows, {"together_deviation_percent": max(deviations), "alone_again_deviation_percent": max(control)}
