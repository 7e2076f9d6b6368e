"""Is a searched subnet more accurate than a net drawn by hand that is as quick on this machine?

Nets in the manner of MobileNetV2, MobileNetV3-Small and MobileNetV3-Large (`benchmarks.supernet._hand_made`), each trained alone with 3
seeds; and three supernets of ``tiny-32`` at all its input sizes. All by the reference workspace's recipe and images: the three nets
together see as many images as one supernet puts through its three subnets a step, and each as many as its largest subnet.

One session on this machine (onnxruntime, one thread) times the nets, every block of the space and 60 of its networks, chosen for
information. The search takes the calibrated model of these and, of each supernet, an accuracy predictor fitted to 300 of its subnets on
the validation part; the budget is what the net takes. The candidates that this leaves are ordered as a run of the pipeline orders them
and timed beside the nets in a second session: the first that is no slower than the net there is the searched one. It is taken out of the
supernet, recalibrated, and not trained any further. Accuracies are of the test part, which nothing before has seen, means over seeds with
standard deviations.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import Outcome, Target, resumable_main
from benchmarks.latency.this_machine import BLOCK_STATISTIC, NETWORK_STATISTIC, Scale, session
from benchmarks.supernet._alone import Net, Trainings
from benchmarks.supernet._hand_made import DESIGNS, hand_made
from benchmarks.supernet._state import say
from hwnas.core.arch import Architecture, Codes
from hwnas.core.errors import TooNoisy
from hwnas.core.predict import Floats
from hwnas.export.exporter import ExportSpec, exporter_for
from hwnas.latency.additive import AdditiveLatency
from hwnas.latency.calibrated import CalibratedLatency
from hwnas.latency.trusted import TrustedLatency
from hwnas.pipeline.candidates import Pick, expected, order
from hwnas.pipeline.modelfiles import OVERHEAD, ModelFiles
from hwnas.pipeline.selection import informative
from hwnas.pipeline.timings import TimedModel
from hwnas.search.front import find_front
from hwnas.space.family import blockwise
from hwnas.space.moves import sample_spread, unique
from hwnas.supernet.predictor import new_accuracy

PRESET, RUNTIME = "tiny-32", "onnxruntime"
PREDICTOR = "mlp"
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Size:
    """How much is trained, evaluated and timed."""

    seeds: int = 3
    subnets: int = 300
    networks: int = 60
    blocks: bool = True
    trials: int = 20_000
    candidates: int = 8
    seconds: float = 900
    repeats: int = 40


QUICK = Size(seeds=1, subnets=16, networks=20, blocks=False, trials=500, candidates=2, seconds=10, repeats=6)


def measure(quick: bool, folder: Path) -> Outcome:
    """Train, time, search and time again whatever ``folder`` has no result of."""
    size = QUICK if quick else Size()
    trainings = Trainings.of_workspace(folder, preset=PRESET, quick=quick)
    nets = [hand_made(name, channels=trainings.data.channels, classes=trainings.data.n_classes) for name in DESIGNS]
    if not quick:
        say(_foreseen(trainings, nets, size))
    alone = {net.name: [trainings.alone(net, seed)["test"] for seed in range(size.seeds)] for net in nets}
    measured = [_evaluated(trainings, size, seed) for seed in range(size.seeds)]
    rows: list[tuple[object, ...]] = []
    figures: dict[str, float] = {"seeds": float(size.seeds)}
    try:
        picks, again = _searched(trainings, nets, size, measured)
    except TooNoisy as problem:
        # what could not be timed has no figure, and counts as missed
        rows = [(net.name, _shown(100 * np.array(alone[net.name])), f"not timed: {problem}", "", "", "", "") for net in nets]
    else:
        for net in nets:
            chosen = [_first_as_quick(each[net.name], again, again[net.name]) for each in picks]
            found, row = _compared(trainings, net, alone[net.name], chosen, again)
            figures |= found
            rows.append(row)
    columns = ("net", "by hand %", "searched %", "gain points", "by hand ms", "searched ms", "subnet of each seed")
    return Outcome(columns, rows, figures, {f"{_key(name)}_gain_points": Target(">=", 0.0) for name in DESIGNS})


def _searched(
    trainings: Trainings, nets: Sequence[Net], size: Size, measured: Sequence[tuple[Codes, Floats]]
) -> tuple[list[dict[str, list[Pick]]], Mapping[str, float]]:
    """Candidates of each supernet by net, and milliseconds by key of all of them and of the nets."""
    bench = Bench(trainings, nets, size)
    profile, codes = bench.profile()
    latency = bench.latency(profile, codes)
    budgets = {net.name: profile[net.name] for net in nets}
    picks = [_picked(trainings, size, seed, latency, budgets, *measured[seed]) for seed in range(size.seeds)]
    return picks, bench.again([pick.arch for each in picks for ordered in each.values() for pick in ordered])


class Bench:
    """Times nets and networks of the space on this machine; what was timed is kept, and is of the machine that the folder is of."""

    def __init__(self, trainings: Trainings, nets: Sequence[Net], size: Size) -> None:
        self.trainings, self.nets, self.size = trainings, nets, size
        self.files = ModelFiles(trainings.space, trainings.state.folder / "models", RUNTIME)
        self.scale = Scale(PRESET, (), size.networks, 0, 0, size.seconds, size.repeats, ())

    def profile(self) -> tuple[Mapping[str, float], Codes]:
        """Milliseconds by key of nets, blocks and networks, and the codes of the networks."""
        space = self.trainings.space
        offered = unique(sample_spread(space, 20 * self.size.networks, np.random.default_rng(0)))
        codes = offered[CalibratedLatency(space, {}).choose(offered, self.size.networks)]
        networks = [space.architecture(row) for row in codes]
        words = blockwise(space).vocabulary(space) if self.size.blocks else ()
        inputs = self._inputs("profile", [*(arch.id for arch in networks), *(word.key for word in words)])

        def make() -> Mapping[str, float]:
            blocks = [self.files.overhead(), *self.files.blocks(words)] if words else []
            return self._timed([*blocks, *self._nets(), *map(self.files.network, networks)], seed=0)

        return self.trainings.state.of("latency", inputs, make), codes

    def latency(self, profile: Mapping[str, float], codes: Codes) -> TrustedLatency:
        """What the space's networks take."""
        space = self.trainings.space
        context: dict[str, str | int] = {"device": "local", "runtime": RUNTIME}
        calibrated = CalibratedLatency(space, context)
        if self.size.blocks:
            words = blockwise(space).vocabulary(space)
            times = np.maximum(np.array([profile[word.key] for word in words]) - profile[OVERHEAD], 0.0)
            plain = AdditiveLatency(space, context, NETWORK_STATISTIC, BLOCK_STATISTIC, profile[OVERHEAD], times)
            calibrated = CalibratedLatency.from_additive(plain)
        taken = np.array([profile[f"net:{space.architecture(row).id}"] for row in codes])
        return TrustedLatency(space, context, NETWORK_STATISTIC, "calibrated", calibrated, CONFIDENCE).fit(codes, taken, relative=True)

    def again(self, archs: Sequence[Architecture]) -> Mapping[str, float]:
        """Milliseconds by key of the nets and ``archs`` in another session."""
        wanted = sorted(set(archs), key=lambda arch: arch.id)
        inputs = self._inputs("again", [arch.id for arch in wanted])
        found: Mapping[str, float] = self.trainings.state.of(
            "latency", inputs, lambda: self._timed([*self._nets(), *map(self.files.network, wanted)], seed=1)
        )
        return found

    def _inputs(self, purpose: str, keys: Sequence[str]) -> dict[str, Any]:
        nets = [net.what for net in self.nets]
        return {"purpose": purpose, "space": self.trainings.space.id, "runtime": RUNTIME, "nets": nets, "keys": keys, "size": self.size}

    def _nets(self) -> list[TimedModel]:
        exporter, models = exporter_for(RUNTIME), []
        for net in self.nets:
            path = self.trainings.state.path("model", {"net": net.what}, f".{exporter.format}")
            if not path.is_file():
                shape = (self.trainings.data.channels, net.size, net.size)
                exporter.export(net.build(0).eval(), ExportSpec(input_shape=shape, timing_only=True), path)
            models.append(TimedModel(net.name, path))
        return models

    def _timed(self, models: Sequence[TimedModel], *, seed: int) -> dict[str, float]:
        found = session(self.files, models, self.scale, seed=seed)
        say(f"timed {len(models)} models in {found.minutes:.1f} minutes, regime {found.regime}")
        whole = {model.key for model in models if model.key.startswith("net:")} | {net.name for net in self.nets}
        return {m.key: float(found.network_ms([m.key])[0]) if m.key in whole else found.block_ms(m.key) for m in models}


def _foreseen(trainings: Trainings, nets: Sequence[Net], size: Size) -> str:
    lacking = {net.name: sum(not trainings.has_alone(net, seed) for seed in range(size.seeds)) for net in nets}
    alone = sum(lacking[net.name] * trainings.seconds_alone(net) for net in nets if lacking[net.name])
    missing = sum(not trainings.has_supernet(seed) for seed in range(size.seeds))
    shared = missing * trainings.seconds_together() if missing else 0.0
    count = sum(lacking.values()) + missing
    return f"{count} trainings are to be done: about {(alone + shared) / 3600:.1f} hours of one core as fast as it is now"


def _evaluated(trainings: Trainings, size: Size, seed: int) -> tuple[Codes, Floats]:
    """Subnets of a supernet and their accuracies on the validation part."""
    codes = informative(trainings.space, size.subnets, seed=seed)
    known = trainings.validated([trainings.space.architecture(row) for row in codes], seed)
    return codes, np.array([known[trainings.space.architecture(row).id] for row in codes])


def _picked(
    trainings: Trainings, size: Size, seed: int, latency: TrustedLatency, budgets: Mapping[str, float], codes: Codes, accuracies: Floats
) -> dict[str, list[Pick]]:
    """Candidates of one supernet for each budget, the best first."""
    space = trainings.space
    accuracy = new_accuracy(PREDICTOR, space, seed=seed).fit(codes, accuracies)
    front = find_front(space, latency, accuracy, list(budgets.values()), strategy="evolution", trials=size.trials, seed=seed)
    out = {}
    for name, budget_ms in budgets.items():
        rows = [*front.archive.fitting(budget_ms)[: size.candidates]]
        listed = [front.archive.take(np.array(rows)), front.candidates(budget_ms)]
        scored = {scored.codes[i].tobytes(): (scored, i) for scored in listed for i in range(len(scored))}
        archs = {key: space.architecture(one.codes[i]) for key, (one, i) in scored.items()}
        known = trainings.validated(list(archs.values()), seed)
        images = trainings.data.part("val").n
        picks = [
            Pick(
                arch=archs[key],
                predicted_ms=float(one.latency_ms[i]),
                predicted_hi_ms=float(one.upper_ms[i]),
                accuracy_predicted=float(one.accuracy[i]),
                accuracy_val=known[archs[key].id],
                accuracy_expected=expected(float(one.accuracy[i]), float(one.accuracy_std[i]), known[archs[key].id], images=images),
            )
            for key, (one, i) in scored.items()
        ]
        out[name] = order(picks, budget_ms)
    return out


def _first_as_quick(picks: Sequence[Pick], measured: Mapping[str, float], limit_ms: float) -> Architecture | None:
    return next((pick.arch for pick in picks if measured[f"net:{pick.arch.id}"] <= limit_ms), None)


def _key(name: str) -> str:
    return name.lower().replace("-", "_")


def _compared(
    trainings: Trainings, net: Net, alone: Sequence[float], chosen: Sequence[Architecture | None], measured: Mapping[str, float]
) -> tuple[dict[str, float], tuple[object, ...]]:
    """Figures and row of one net; without a subnet that is as quick there is no gain, which misses the target."""
    key, by_hand = _key(net.name), 100 * np.array(alone)
    figures = {f"{key}_alone_mean": float(by_hand.mean()), f"{key}_alone_std": _std(by_hand), f"{key}_ms": measured[net.name]}
    if any(arch is None for arch in chosen):
        return figures, (net.name, _shown(by_hand), "none as quick", "", f"{measured[net.name]:.4f}", "", "")
    archs = [arch for arch in chosen if arch is not None]
    searched = 100 * np.array([trainings.together([arch], seed)[arch.id]["test"] for seed, arch in enumerate(archs)])
    times = np.array([measured[f"net:{arch.id}"] for arch in archs])
    figures |= {
        f"{key}_searched_mean": float(searched.mean()),
        f"{key}_searched_std": _std(searched),
        f"{key}_searched_ms": float(times.mean()),
        f"{key}_gain_points": float(searched.mean() - by_hand.mean()),
    }
    subnets = "; ".join(trainings.subnet(arch).name for arch in archs)
    row = (
        net.name,
        _shown(by_hand),
        _shown(searched),
        f"{searched.mean() - by_hand.mean():+.2f}",
        f"{measured[net.name]:.4f}",
        " ".join(f"{ms:.4f}" for ms in times),
        subnets,
    )
    return figures, row


def _shown(values: Floats) -> str:
    return f"{values.mean():.2f} ± {_std(values):.2f}"


def _std(values: Floats) -> float:
    return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


if __name__ == "__main__":
    sys.exit(resumable_main("supernet.against_hand_made", measure))
