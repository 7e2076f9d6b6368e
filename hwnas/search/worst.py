"""Several devices under one budget: the latency of the worst of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hwnas.core.arch import Codes, SearchSpace
from hwnas.core.errors import ConfigError
from hwnas.core.predict import Floats, LatencyModel, Prediction
from hwnas.search.least import least_of_worst


@dataclass(frozen=True)
class WorstLatency:
    """A `LatencyModel` of several: each architecture has the latency of the device whose bound is highest.

    ``factors`` scale each device's ms to those of the first; with 1 everywhere the worst is that of plain ms.
    """

    space: SearchSpace
    models: Sequence[LatencyModel]
    factors: Sequence[float]

    def __post_init__(self) -> None:
        if not self.models or len(self.models) != len(self.factors):
            raise ConfigError("the worst of several devices needs at least one, and a factor for each")

    @property
    def label(self) -> str:
        """All devices."""
        return " and ".join(model.label for model in self.models)

    def predict(self, codes: Codes) -> Prediction:
        """Mean and standard deviation of the worst device, ``(n,)`` ms."""
        worst = self._uppers(codes).argmax(axis=0)
        predictions = [model.predict(codes) for model in self.models]
        factors = np.array(self.factors)[worst]
        rows = np.arange(len(codes))
        return Prediction(
            np.stack([p.mean for p in predictions])[worst, rows] * factors, np.stack([p.std for p in predictions])[worst, rows] * factors
        )

    def upper(self, codes: Codes) -> Floats:
        """The highest bound of all devices, ``(n,)`` ms."""
        highest: Floats = self._uppers(codes).max(axis=0)
        return highest

    def worst(self, codes: Codes) -> NDArray[np.intp]:
        """Which device that is, ``(n,)``."""
        device: NDArray[np.intp] = self._uppers(codes).argmax(axis=0)
        return device

    def _uppers(self, codes: Codes) -> Floats:
        return np.stack([model.upper(codes) * factor for model, factor in zip(self.models, self.factors, strict=True)])

    def minimum(self) -> Codes:
        """The architecture whose worst device is quickest, ``(1, n_choices)``: exact for two devices whose bounds are sums."""
        return self._minimum

    @cached_property
    def _minimum(self) -> Codes:
        if len(self.models) == 1:
            return self.models[0].minimum()
        scaled = [
            lambda codes, model=model, factor=factor: model.upper(codes) * factor
            for model, factor in zip(self.models, self.factors, strict=True)
        ]
        return least_of_worst(self.space, scaled)
