"""Does a device give the same times again? Forty blocks and ten networks, profiled five times, minutes apart, by two ways of measuring.

One way is the product's: an agent that samples between quiet probes, and where there is no quiet time, what the device gives while it is
busy, brought over by anchors. The other is what most tools do: the mean of a burst of 50 runs, model after model, in the same session. A
sixth session has a process that keeps a core busy: another one than the agent's, where there is one.

What is compared of a model is its lower tenth (blocks) or quarter (networks), where interference that probes do not see weighs least; what
medians give stands beside it. Of a busy session it is the median. The difference of two sessions is the median over all 50 models of
``|b / a - 1|``; a figure is the median over the pairs of sessions of its kind, and the worst pair stands beside it.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np

from benchmarks.harness import Outcome, Target, main
from hwnas.core.arch import Architecture
from hwnas.core.device import Measurement, MeasurePlan
from hwnas.core.errors import TooNoisy
from hwnas.pipeline.modelfiles import ModelFiles
from hwnas.pipeline.timings import TimedModel
from hwnas.profiler.anchor import anchoring, spread_over
from hwnas.profiler.local import LocalLauncher
from hwnas.profiler.session import Job, run_session, stale
from hwnas.profiler.summary import SessionSummary
from hwnas.space.family import SpaceOptions, blockwise, family_of, find_space
from hwnas.space.moves import sample_spread, unique

RUNTIME = "onnxruntime"
RESOLUTION = 128
BLOCKS, NETWORKS, SESSIONS = 40, 10, 5
ANCHORS = 14
QUIET_SHARE = 0.05
LIMITS = {"quiet": 1.5, "anchored": 3.5, "disturbed": 5.0}
BURST = 50
PAUSE_S = 60.0
MAX_SECONDS = 120.0
SPIN = "while True: pass"

Times = Mapping[str, float]


@dataclass(frozen=True)
class Visit:
    """One session: estimates in ms by both ways, the regime of the first, the share of quiet time, and whether a core was kept busy."""

    times_ms: Times
    median_ms: Times
    burst_ms: Times
    regime: str
    quiet_share: float
    level_us: float | None
    disturbed: bool
    words: str = ""
    fewest: int = 0

    @property
    def quiet(self) -> bool:
        """Whether it is one of those that the strictest target is about."""
        return self.regime == "quiet" and self.quiet_share >= QUIET_SHARE


def held_to_one_speed(visits: Sequence[Visit]) -> list[Visit]:
    """Sessions in which the device was never as fast as in another had no quiet time, whatever their own probes said: regime ``slow``.

    The product measures such a profile again as soon as the device shows the faster speed.
    """
    levels = {str(number): v.level_us for number, v in enumerate(visits) if v.level_us is not None and v.regime == "quiet"}
    slow = stale(levels, min(levels.values())) if levels else ()
    return [replace(v, regime="slow", quiet_share=0.0) if str(number) in slow else v for number, v in enumerate(visits)]


@dataclass(frozen=True)
class Pair:
    """Two sessions: how far apart by both ways, in percent, and of which kind; None where they are not comparable."""

    kind: str
    percent: float | None
    median_percent: float
    burst_percent: float


def models(files: ModelFiles, blocks: int, networks: int) -> list[TimedModel]:
    """Blocks and networks that are spread over the space, always the same ones."""
    space = files.space
    words = blockwise(space).vocabulary(space)
    picks = np.linspace(0, len(words) - 1, min(blocks, len(words))).round().astype(int)
    smallest, largest = family_of(space).extremes(space)
    drawn = sample_spread(space, 4 * networks, np.random.default_rng(0))
    codes = unique(np.concatenate([smallest.codes, largest.codes, drawn]))[:networks]
    return [*files.blocks([words[i] for i in picks]), *(files.network(Architecture(space.id, tuple(int(c) for c in row))) for row in codes)]


def burst(wanted: Sequence[TimedModel], core: int | None) -> dict[str, float]:
    """The mean of 50 runs of each model after ten that warm it up, in a process of its own on the agent's core."""
    lines = [sys.executable, "-c", _BURST, str(-1 if core is None else core), *(str(m.path) for m in wanted)]
    done = subprocess.run(lines, capture_output=True, text=True, check=True, timeout=600)
    return dict(zip((m.key for m in wanted), (float(word) for word in done.stdout.split()), strict=True))


_BURST = f"""
import os, sys, time
from hwnas_agent.runtime import told
from hwnas_agent.runtimes import open_runtime
if int(sys.argv[1]) >= 0: os.sched_setaffinity(0, [int(sys.argv[1])])
runtime = open_runtime("{RUNTIME}")
for path in sys.argv[2:]:
    run, _ = told(runtime.load(path, 1, 0))
    for _ in range(10): run()
    begin = time.perf_counter()
    for _ in range({BURST}): run()
    print((time.perf_counter() - begin) / {BURST} * 1e3)
"""


@contextmanager
def busy_core(core: int | None) -> Iterator[None]:
    """A process that never rests, on ``core``."""
    with subprocess.Popen([sys.executable, "-c", SPIN]) as spinning:
        try:
            if core is not None:
                os.sched_setaffinity(spinning.pid, [core])
            yield
        finally:
            spinning.send_signal(signal.SIGKILL)


def visit(files: ModelFiles, wanted: Sequence[TimedModel], plan: MeasurePlan, *, level_us: float | None, disturbed: bool) -> Visit:
    """One session by both ways."""
    quiet: dict[str, Measurement] = {}
    busy: list[tuple[Mapping[str, Measurement], SessionSummary]] = []
    _, largest = family_of(files.space).extremes(files.space)
    words = ""
    try:
        with LocalLauncher().launch() as channel:
            summary = run_session(
                channel,
                [Job(m.key, m.path) for m in wanted],
                plan,
                runtime=RUNTIME,
                probe=files.probe(),
                reference=files.network(largest).path,
                quiet_level_us=level_us,
                on_measured=lambda key, regimes: quiet.__setitem__(key, regimes["quiet"]),
                on_busy=lambda *told: busy.append(told),
            )
        measured, regime = dict(quiet), "quiet"
    except TooNoisy as problem:
        words = str(problem)
        if not busy:
            return Visit({}, {}, {}, "none", 0.0, level_us, disturbed, words)
        (told, summary), regime = busy[-1], "busy"
        measured = dict(told)
    by_burst = burst(wanted, summary.cores[0] if summary.cores else None)
    medians = {key: m.quantile_ms("p50") for key, m in measured.items()}
    times = (
        {key: m.quantile_ms("p25" if key.startswith("net:") else "p10") for key, m in measured.items()} if regime == "quiet" else medians
    )
    fewest = min(len(m.samples_ms) for m in measured.values())
    return Visit(times, medians, by_burst, regime, summary.quiet_share or 0.0, summary.quiet_level_us, disturbed, words, fewest)


def pair(a: Visit, b: Visit) -> Pair:
    """How far apart two sessions are."""
    kind = "disturbed" if a.disturbed or b.disturbed else "quiet" if a.quiet and b.quiet else "anchored"
    beside = (difference(a.median_ms, b.median_ms), difference(a.burst_ms, b.burst_ms))
    if a.quiet and b.quiet:
        return Pair(kind, difference(a.times_ms, b.times_ms), *beside)
    keys = spread_over(a.times_ms, ANCHORS)
    try:
        brought = anchoring({k: b.times_ms[k] for k in keys}, {k: a.times_ms[k] for k in keys})
        others = {k: brought.convert_ms(ms) for k, ms in b.times_ms.items() if k not in keys}
    except TooNoisy:
        return Pair(kind, None, *beside)
    return Pair(kind, difference({k: a.times_ms[k] for k in others}, others), *beside)


def difference(a: Times, b: Times) -> float:
    """Median relative difference over the models of both, in percent."""
    return 100 * float(np.median([abs(b[key] / a[key] - 1) for key in a.keys() & b.keys()]))


def outcome(visits: Sequence[Visit]) -> Outcome:
    """The figures over all pairs of sessions that gave anything."""
    visits = held_to_one_speed(visits)
    known = [v for v in visits if v.times_ms]
    pairs = [pair(a, b) for a, b in combinations(known, 2)]
    figures = {
        "sessions": float(len(visits)),
        "sessions_refused": float(len(visits) - len(known)),
        "pairs_not_comparable": float(sum(p.percent is None for p in pairs)),
    }
    rows: list[tuple[object, ...]] = []
    for number, v in enumerate(visits):
        what = f"session {number + 1}{', a core kept busy' if v.disturbed else ''}"
        level = "-" if v.level_us is None else f"{v.level_us:.1f}"
        remark = v.words[:120] or f"at least {v.fewest} samples a model"
        rows.append((what, v.regime, f"{100 * v.quiet_share:.0f} % quiet", f"probe {level} us", remark))
    # a session that is refused says so and gives no number; whether one falls between two speeds is not up to us
    targets = {}
    for kind, limit in LIMITS.items():
        ours = [p.percent for p in pairs if p.kind == kind and p.percent is not None]
        medians = [p.median_percent for p in pairs if p.kind == kind]
        bursts = [p.burst_percent for p in pairs if p.kind == kind]
        if ours or kind != "anchored":
            targets[f"{kind}_percent"] = Target("<=", limit)
        if not ours:
            continue
        figures |= {
            f"{kind}_percent": float(np.median(ours)),
            f"{kind}_worst_percent": max(ours),
            f"{kind}_median_percent": float(np.median(medians)),
        }
        figures |= {f"{kind}_burst_percent": float(np.median(bursts)), f"{kind}_burst_worst_percent": max(bursts)}
        beside = (f"burst {np.median(bursts):.2f} %", f"burst worst {max(bursts):.2f} %; medians {np.median(medians):.2f} %")
        rows.append((f"{len(ours)} pairs {kind}", f"{np.median(ours):.2f} %", f"worst {max(ours):.2f} %", *beside))
    return Outcome(("what", "median", "spread", "beside it", "remark"), rows, figures, targets)


def measure(quick: bool, *, pause_s: float = PAUSE_S, core: int | None = None) -> Outcome:
    """All sessions, then the pairs; on ``core``, or where the agent chooses."""
    # more models than anchors, so that some are left to compare
    blocks, networks, sessions = (14, 6, 2) if quick else (BLOCKS, NETWORKS, SESSIONS)
    space = find_space("tiny-32" if quick else "ofa-w1.0", SpaceOptions(resolutions=(16 if quick else RESOLUTION,)))
    plan = MeasurePlan(max_seconds=8 if quick else MAX_SECONDS, affinity=() if core is None else (core,))
    with tempfile.TemporaryDirectory() as folder:
        files = ModelFiles(space, Path(folder), RUNTIME)
        wanted = models(files, blocks, networks)
        visits: list[Visit] = []
        for number in range(sessions + 1):
            level = min((v.level_us for v in visits if v.level_us), default=None)
            if number == sessions:
                with busy_core(_beside(core)):
                    visits.append(visit(files, wanted, plan, level_us=level, disturbed=True))
                break
            visits.append(visit(files, wanted, plan, level_us=level, disturbed=False))
            if number < sessions - 1 and not quick:
                time.sleep(pause_s)
    return outcome(visits)


def _beside(core: int | None) -> int | None:
    """A core beside the agent's, which takes the last one unless told; the same where there is no other."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    taken = core if core is not None else cores[-1] if cores else None
    return next((c for c in reversed(cores) if c != taken), taken)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--pause-s", type=float, default=PAUSE_S)
    parser.add_argument("--core", type=int, default=None)
    own, others = parser.parse_known_args()
    sys.exit(main("profiling.repeatability", lambda quick: measure(quick, pause_s=own.pause_s, core=own.core), others))
