"""The published Note10 block table and OFA's accuracy predictor as the models of a search.

Table and predictor: Cai et al. 2020, Once-for-All (arXiv 1908.09791), as open files in the folder of reference data.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from benchmarks.reference import published
from hwnas.core.arch import Block, Codes, SearchSpace
from hwnas.core.errors import PredictorError
from hwnas.core.predict import Floats, Prediction
from hwnas.latency.additive import AdditiveLatency
from hwnas.latency.scale import Fit
from hwnas.search.solver import Models
from hwnas.space.family import SpaceOptions, blockwise, find_space

SIZES = (160, 176, 192, 208, 224)
BUDGETS_MS = (15.0, 20.0, 25.0, 30.0, 40.0, 50.0, 60.0)


def models(sizes: tuple[int, ...] = SIZES) -> Models:
    """Both models of ``ofa-w1.2`` at ``sizes``: milliseconds are sums of the table, accuracies are what OFA's predictor says."""
    space = find_space("ofa-w1.2", SpaceOptions(resolutions=sizes))
    return Models(space, _latency(space), OfaAccuracy.read(published("ofa/ofa_mbv3_w1.2_accuracy_predictor.npz"), space))


def _latency(space: SearchSpace) -> AdditiveLatency:
    with published("ofa/note10_block_lut.csv").open(newline="") as file:
        names = ("op", "input", "output", "expand", "kernel", "stride", "idskip", "se", "hs")
        rows = {tuple(row[name] for name in names if row[name]): float(row["mean_ms"]) for row in csv.DictReader(file)}
    times_ms = np.array([sum(rows[key] for key in _keys(block)) for block in blockwise(space).vocabulary(space)])
    # the published sums are used as they are: no scale, no margin
    plain = Fit(scale=1.0, intercept_ms=0.0, relative_std=0.0, relative_margin=0.0, residuals=np.zeros(0))
    return AdditiveLatency(space, {"device": "note10", "runtime": "tflite"}, "mean", "mean", 0.0, times_ms, scaling=plain)


def _keys(block: Block) -> tuple[tuple[str, ...], ...]:
    """The published rows that one block is made of."""
    channels, size, _ = block.in_shape
    params = dict(block.params)
    given = f"{size}x{size}x{channels}"
    if block.op == "head":
        mix = params["mix"]
        return ("AvgPool2D", given, f"1x1x{channels}"), ("Conv_2", f"1x1x{channels}", f"1x1x{mix}"), ("Logits", f"1x1x{mix}", "1000")
    if block.op == "stem":
        return (("Conv", given, f"{size // 2}x{size // 2}x{params['out']}"),)
    if block.op == "final_expand":
        return (("Conv_1", given, f"{size}x{size}x{params['out']}"),)
    after = (size - 1) // int(params["s"]) + 1
    flags = (str(int("res" in params)), str(int("se" in params)), str(int(params["act"] == "hswish")))
    return (("expanded_conv", given, f"{after}x{after}x{params['out']}", str(params["mid"]), str(params["k"]), str(params["s"]), *flags),)


@dataclass(frozen=True)
class OfaAccuracy:
    """OFA's multilayer perceptron, in single precision as it was published; its first layer's rows in the order of the choices."""

    space: SearchSpace
    weights: tuple[NDArray[np.float32], ...]
    biases: tuple[NDArray[np.float32], ...]

    @classmethod
    def read(cls, path: Path, space: SearchSpace) -> Self:
        """The published arrays, for a space of blocks' kernels and expands and input sizes; depth says only which blocks count."""
        with np.load(path, allow_pickle=False) as stored:
            weights = [stored[f"{layer}_weight"].T.copy() for layer in (0, 2, 4, 6)]
            biases = [stored[f"{layer}_bias"] for layer in (0, 2, 4, 6)]
        rows = []
        for choice in space.choices:
            stage, _, part = choice.name.partition(".")
            if choice.name == "resolution":
                rows.append(weights[0][[120 + (int(size) - 112) // 16 for size in choice.options]])
            elif part == "depth":
                rows.append(np.zeros((len(choice.options), weights[0].shape[1]), dtype=np.float32))
            else:
                block, _, what = part.partition(".")
                start = 3 * (4 * int(stage[1:]) + int(block[1:])) + (60 if what == "expand" else 0)
                rows.append(weights[0][start : start + 3])
        return cls(space, (np.concatenate(rows), *weights[1:]), tuple(biases))

    @cached_property
    def _offsets(self) -> NDArray[np.intp]:
        return np.concatenate(([0], np.cumsum(self.space.n_options.astype(np.intp))))[:-1]

    def predict(self, codes: Codes) -> Prediction:
        """``(n, n_choices) int16 -> (n,)`` top-1 shares; it knows no uncertainty, so its standard deviation is 0."""
        hot = np.zeros((len(codes), len(self.weights[0])), dtype=np.float32)
        np.put_along_axis(hot, self._offsets + codes, self.space.active(codes).astype(np.float32), axis=1)
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            hot = hot @ weight
            hot += bias
            np.maximum(hot, 0, out=hot)
        mean = (hot @ self.weights[-1])[:, 0].astype(np.float64) + float(self.biases[-1][0])
        return Prediction(mean, np.zeros(len(codes)))

    def fit(self, codes: Codes, y: Floats) -> Self:  # noqa: ARG002
        """It is fitted already: raises `PredictorError`."""
        raise PredictorError("the published accuracy predictor is used as it is")

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Space, and the arrays."""
        arrays = {f"weight{i}": w for i, w in enumerate(self.weights)} | {f"bias{i}": b for i, b in enumerate(self.biases)}
        return {"space": self.space.id}, arrays
