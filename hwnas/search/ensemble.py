"""A few small networks that predict alike where they learnt something and differ where they did not.

Lakshminarayanan et al. 2017, deep ensembles (arXiv 1612.01474). All members are trained side by side, each from its own start and on its
own order of the data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from hwnas.core.predict import Floats
from hwnas.search.adam import Adam

_RATE = 0.015
_BATCH = 32
_DECAY = 1e-3


@dataclass(frozen=True, slots=True)
class Ensemble:
    """Two hidden layers each; ``weights`` have a leading axis of members. `of` makes one."""

    weights: dict[str, Floats]
    middle: Floats
    scale: Floats

    @classmethod
    def of(cls, x: Floats, y: Floats, rng: np.random.Generator, *, members: int = 5, width: int = 24, steps: int = 100) -> Self:
        """From ``x: (n, p)`` and standardised ``y: (n,)``."""
        middle, scale = x.mean(axis=0), np.maximum(x.std(axis=0), 1e-3)
        shapes = {"1": (x.shape[1], width), "2": (width, width), "3": (width, 1)}
        # all in one array, so that a step of Adam is a few operations and not a few for each layer
        flat = np.zeros((members, sum((before + 1) * after for before, after in shapes.values())))
        weights: dict[str, Floats] = {}
        start = 0
        for name, (before, after) in shapes.items():
            flat[:, start : start + before * after] = rng.normal(0, (2 / before) ** 0.5, (members, before * after))
            weights["w" + name] = flat[:, start : start + before * after].reshape(members, before, after)
            start += before * after
            weights["b" + name] = flat[:, start : start + after].reshape(members, 1, after)
            start += after
        made = cls(weights, middle, scale)
        adam = Adam({"all": flat}, rate=_RATE)
        inputs = (x - middle) / scale
        for _ in range(steps):
            rows = rng.integers(0, len(x), (members, min(_BATCH, len(x))))
            gradients = made._gradients(inputs[rows], y[rows])
            adam.descend({"all": np.concatenate([gradients[name].reshape(members, -1) for name in weights], axis=1)})
        return made

    def predict(self, x: Floats) -> Floats:
        """What every member says, ``(n, p) -> (members, n)``."""
        said: Floats = self._forward(np.broadcast_to((x - self.middle) / self.scale, (len(self.weights["w1"]), *x.shape)))[-1][:, :, 0]
        return said

    def _forward(self, x: Floats) -> tuple[Floats, Floats, Floats]:
        w = self.weights
        first = np.maximum(x @ w["w1"] + w["b1"], 0)
        second = np.maximum(first @ w["w2"] + w["b2"], 0)
        return first, second, second @ w["w3"] + w["b3"]

    def _gradients(self, x: Floats, y: Floats) -> dict[str, Floats]:
        """Of half the mean squared error and of the weights' decay; ``x: (members, batch, p)``, ``y: (members, batch)``."""
        w = self.weights
        first, second, out = self._forward(x)
        d_out = (out - y[:, :, None]) / x.shape[1]
        d_second = (d_out @ w["w3"].swapaxes(1, 2)) * (second > 0)
        d_first = (d_second @ w["w2"].swapaxes(1, 2)) * (first > 0)
        gradients = {}
        for name, inputs, slopes in (("1", x, d_first), ("2", first, d_second), ("3", second, d_out)):
            gradients["w" + name] = inputs.swapaxes(1, 2) @ slopes + _DECAY * w["w" + name]
            gradients["b" + name] = slopes.sum(axis=1, keepdims=True)
        return gradients
