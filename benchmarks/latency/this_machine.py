"""Is the latency that is predicted the one that is measured? Whole networks of `ofa-w1.0` on this machine, held out.

For onnxruntime and LiteRT, fp32 and int8, one thread, three resolutions: one session measures all blocks and a few dozen networks chosen
for information, which is all that predictors see; two more measure 200 drawn networks, so that beside every figure stands how well one of
those sessions predicts the other (test-retest): nothing can be predicted better. Sessions are brought to one speed by a few networks that
are in all of them. Compared with it: the plain sum of blocks (the way of Once-for-All), the sum with scale and intercept, and a random
forest on as many whole networks.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.harness import Outcome, Target, main
from hwnas.core.arch import Codes, SearchSpace
from hwnas.core.device import Measurement, MeasurePlan
from hwnas.core.errors import TooNoisy
from hwnas.core.predict import Floats
from hwnas.latency.additive import AdditiveLatency
from hwnas.latency.agreement import Agreement, agreement
from hwnas.latency.calibrated import CalibratedLatency
from hwnas.latency.descriptors import describe
from hwnas.pipeline.modelfiles import OVERHEAD, ModelFiles
from hwnas.pipeline.timings import TimedModel
from hwnas.profiler.local import LocalLauncher
from hwnas.profiler.session import Job, run_session
from hwnas.profiler.summary import SessionSummary
from hwnas.space.family import SpaceOptions, blockwise, family_of, find_space
from hwnas.space.moves import sample, sample_spread, unique

TARGETS = (("onnxruntime", "fp32"), ("onnxruntime", "int8"), ("litert", "fp32"), ("litert", "int8"))
NETWORK_STATISTIC, BLOCK_STATISTIC = "p25", "p10"
"""Lower quantiles of quiet samples: interference that no probe saw weighs least in them."""
Row = tuple[object, ...]


@dataclass(frozen=True)
class Scale:
    """How much is measured."""

    space: str
    resolutions: tuple[int, ...]
    networks: int
    held_out: int
    anchors: int
    seconds: float
    repeats: int
    targets: tuple[tuple[str, str], ...]


FULL = Scale("ofa-w1.0", (160, 192, 224), 60, 200, 8, 840, 30, TARGETS)
QUICK = Scale("tiny-32", (16,), 16, 20, 4, 14, 8, TARGETS[:1])


@dataclass(frozen=True)
class Session:
    """Quiet measurements by key (``busy`` ones where there was no quiet time), and how long they took."""

    timings: Mapping[str, Measurement]
    regime: str
    minutes: float
    level_us: float | None

    def network_ms(self, keys: Sequence[str]) -> Floats:
        """By key, ``(n,)``."""
        statistic = NETWORK_STATISTIC if self.regime == "quiet" else "p50"
        return np.array([self.timings[key].quantile_ms(statistic) for key in keys])

    def block_ms(self, key: str) -> float:
        """Of one block or the empty call."""
        return self.timings[key].quantile_ms(BLOCK_STATISTIC if self.regime == "quiet" else "p50")


def session(files: ModelFiles, models: Sequence[TimedModel], scale: Scale, *, seed: int, level_us: float | None = None) -> Session:
    """Measure ``models`` by an agent of this machine."""
    measured: dict[str, Measurement] = {}
    busy: list[tuple[Mapping[str, Measurement], SessionSummary]] = []
    _, largest = family_of(files.space).extremes(files.space)
    plan = MeasurePlan(min_repeats=scale.repeats, max_seconds=scale.seconds, seed=seed)
    begin = time.monotonic()
    regime, found = "quiet", level_us
    with LocalLauncher().launch() as channel:
        try:
            summary = run_session(
                channel,
                [Job(model.key, model.path) for model in models],
                plan,
                runtime=files.runtime,
                probe=files.probe(),
                reference=files.network(largest).path,
                quiet_level_us=level_us,
                on_measured=lambda key, regimes: measured.__setitem__(key, regimes["quiet"]),
                on_busy=lambda timings, summary: busy.append((timings, summary)),
            )
            found = summary.quiet_level_us
        except TooNoisy:
            if not busy:
                raise
            regime, measured = "busy", dict(busy[-1][0])
    return Session(measured, regime, (time.monotonic() - begin) / 60, found)


def networks_of(space: SearchSpace, scale: Scale) -> tuple[Codes, Codes]:
    """Those to learn from, chosen for information, and those held out, drawn uniformly: none is in both."""
    rng = np.random.default_rng(0)
    offered = unique(sample_spread(space, 20 * scale.networks, rng))
    chosen = offered[CalibratedLatency(space, {}).choose(offered, scale.networks)]
    known = {row.tobytes() for row in chosen}
    drawn = [row for row in unique(sample(space, 2 * scale.held_out, rng)) if row.tobytes() not in known]
    return chosen, np.array(drawn[: scale.held_out], dtype=np.int16)


def forest(space: SearchSpace, codes: Codes, times: Floats, new: Codes) -> Floats:
    """A random forest on whole networks, as a yardstick."""
    from sklearn.ensemble import RandomForestRegressor

    model = RandomForestRegressor(n_estimators=300, random_state=0, n_jobs=1).fit(describe(space, codes), times)
    return np.asarray(model.predict(describe(space, new)))


def clopper_pearson(share: float, count: int) -> tuple[float, float]:
    """The exact 95 % interval of a share of ``count`` (Clopper & Pearson 1934)."""
    from scipy.stats import beta

    hits = round(share * count)
    low = float(beta.ppf(0.025, hits, count - hits + 1)) if hits else 0.0
    high = float(beta.ppf(0.975, hits + 1, count - hits)) if hits < count else 1.0
    return low, high


def predicted(space: SearchSpace, profile: Session, networks: Codes, held_out: Codes) -> dict[str, Floats]:
    """What each way says of the held-out networks, ms at the speed of the profile."""
    words = blockwise(space).vocabulary(space)
    overhead = profile.block_ms(OVERHEAD)
    times = np.maximum(np.array([profile.block_ms(word.key) for word in words]) - overhead, 0.0)
    context: dict[str, str | int] = {"device": "local", "runtime": "this"}
    plain = AdditiveLatency(space, context, NETWORK_STATISTIC, BLOCK_STATISTIC, overhead, times)
    measured = profile.network_ms([f"net:{space.architecture(row).id}" for row in networks])
    return {
        "calibrated": CalibratedLatency.from_additive(plain).fit(networks, measured).predict(held_out).mean,
        "networks alone": CalibratedLatency(space, context).fit(networks, measured).predict(held_out).mean,
        "scaled sum": plain.fit(networks, measured).predict(held_out).mean,
        "plain sum": plain.predict(held_out).mean,
        "random forest": forest(space, networks, measured, held_out),
    }


def one(runtime: str, precision: str, scale: Scale, folder: Path) -> tuple[list[Row], dict[str, float]]:
    """One runtime and precision."""
    space = find_space(scale.space, SpaceOptions(resolutions=scale.resolutions))
    files = ModelFiles(space, folder, runtime, precision)
    networks, held_out = networks_of(space, scale)
    taught = [files.network(space.architecture(row)) for row in networks]
    tested = [files.network(space.architecture(row)) for row in held_out]
    blocks = [files.overhead(), *files.blocks(blockwise(space).vocabulary(space))]
    anchors = taught[: scale.anchors]
    profile = session(files, [*blocks, *taught], scale, seed=0)
    first, second = (session(files, [*tested, *anchors], scale, seed=seed, level_us=profile.level_us) for seed in (1, 2))
    keys, fixed = [model.key for model in tested], [model.key for model in anchors]
    speed = [float(np.median(each.network_ms(fixed) / profile.network_ms(fixed))) for each in (first, second)]
    truth, again = first.network_ms(keys) / speed[0], second.network_ms(keys) / speed[1]
    scores = {name: agreement(values, truth) for name, values in predicted(space, profile, networks, held_out).items()}
    scores["test-retest"] = agreement(again, truth)
    label = f"{runtime}_{precision}"
    rows = [_row(f"{runtime} {precision}", name, score) for name, score in scores.items()]
    regimes = " ".join(each.regime for each in (profile, first, second))
    rows.append((f"{runtime} {precision}", f"{profile.minutes:.1f} minutes", regimes, f"speed {speed[0]:.3f} {speed[1]:.3f}", "", ""))
    figures = {f"{label}_profile_minutes": profile.minutes}
    for name, score in scores.items():
        key = f"{label}_{name.replace(' ', '_').replace('-', '_')}"
        figures |= {f"{key}_within_5_percent": 100 * score.within_5, f"{key}_within_10_percent": 100 * score.within_10}
        figures[f"{key}_mape_percent"] = 100 * score.mape
    return rows, figures


def _row(target: str, name: str, score: Agreement) -> Row:
    shares = []
    for share in (score.within_5, score.within_10):
        low, high = clopper_pearson(share, score.networks)
        shares.append(f"{share:.1%} ({low:.1%} to {high:.1%})")
    return (target, name, *shares, f"{score.mape:.2%}", f"{score.spearman:.4f}")


def measure(quick: bool) -> Outcome:
    """Every runtime and precision in turn; targets are of the calibrated predictor."""
    scale = QUICK if quick else FULL
    rows: list[Row] = []
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        for runtime, precision in scale.targets:
            try:
                found = one(runtime, precision, scale, Path(folder))
            except TooNoisy as problem:
                # what could not be measured has no figure, and counts as missed
                rows.append((f"{runtime} {precision}", f"not measured: {problem}", "", "", "", ""))
                continue
            rows += found[0]
            figures |= found[1]
    targets: dict[str, Target] = {}
    for runtime, precision in TARGETS:
        key = f"{runtime}_{precision}"
        targets |= {
            f"{key}_calibrated_within_10_percent": Target(">=", 99),
            f"{key}_calibrated_within_5_percent": Target(">=", 95),
            f"{key}_calibrated_mape_percent": Target("<=", 2),
            f"{key}_profile_minutes": Target("<=", 15),
        }
    columns = ("target", "by", "within 5 % (95 % interval)", "within 10 % (95 % interval)", "MAPE", "Spearman")
    return Outcome(columns, rows, figures, targets)


if __name__ == "__main__":
    sys.exit(main("latency.this_machine", measure))
