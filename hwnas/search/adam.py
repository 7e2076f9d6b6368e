"""Adam (Kingma & Ba 2015, arXiv 1412.6980) over named arrays: what the small networks of strategies are trained with."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hwnas.core.predict import Floats

_MEAN, _SQUARE, _EPSILON = 0.9, 0.999, 1e-8


class Adam:
    """Changes ``weights`` in place."""

    def __init__(self, weights: Mapping[str, Floats], *, rate: float) -> None:
        self._weights = weights
        self._rate = rate
        self._mean = {name: np.zeros_like(values) for name, values in weights.items()}
        self._square = {name: np.zeros_like(values) for name, values in weights.items()}
        self._steps = 0

    def descend(self, gradients: Mapping[str, Floats]) -> None:
        """One step against ``gradients``, of the shapes of the weights."""
        self._steps += 1
        rate = self._rate * (1 - _SQUARE**self._steps) ** 0.5 / (1 - _MEAN**self._steps)
        for name, gradient in gradients.items():
            mean, square = self._mean[name], self._square[name]
            mean *= _MEAN
            mean += (1 - _MEAN) * gradient
            square *= _SQUARE
            square += (1 - _SQUARE) * gradient**2
            self._weights[name][...] -= rate * mean / (np.sqrt(square) + _EPSILON)
