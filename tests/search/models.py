"""Predictors for search tests: real interfaces, made-up numbers that are cheap to know the truth about."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import product
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from hwnas.core.arch import Choice, Codes, Condition, SearchSpace
from hwnas.core.predict import Floats, Prediction
from hwnas.space.moves import encode

SMALL = SearchSpace(
    "test",
    "small",
    (1, 8, 8),
    (
        Choice("size", (8, 16, 24)),
        Choice("depth", (1, 2, 3)),
        Choice("k0", (3, 5, 7)),
        Choice("k1", (3, 5, 7), Condition("depth", (2, 3))),
        Choice("k2", (3, 5, 7), Condition("depth", (3,))),
        Choice("act", ("relu",)),
    ),
)


def everything(space: SearchSpace) -> Codes:
    """Every architecture of a small space, once."""
    codes = np.array(list(product(*(range(int(n)) for n in space.n_options))), dtype=np.int16)
    return np.unique(space.canonical(codes), axis=0)


@dataclass
class Weighted:
    """A number that is a weighted sum of the options: an accuracy predictor."""

    space: SearchSpace
    seed: int
    weights: Floats = field(init=False)

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.seed)
        # options ascend: more is better, and costs more
        self.weights = np.concatenate([np.sort(rng.uniform(0.01, 1.0, len(c.options))) for c in self.space.choices])

    def fit(self, codes: Codes, y: Floats) -> Self:
        return self

    def predict(self, codes: Codes) -> Prediction:
        mean: Floats = encode(self.space, codes) @ self.weights
        return Prediction(mean, np.full(len(codes), 0.01))

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        return {}, {"weights": self.weights}


@dataclass
class Timed(Weighted):
    """A latency model with a bound 10 % above the mean."""

    label: str = "bench/onnxruntime"

    def upper(self, codes: Codes) -> Floats:
        return self.predict(codes).mean * 1.1

    def minimum(self) -> Codes:
        codes = everything(self.space)
        return codes[[int(np.argmin(self.predict(codes).mean))]]
