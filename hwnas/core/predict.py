"""What a predictor is: codes in, mean and standard deviation out, vectorised."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from hwnas.core.arch import Codes

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Prediction:
    """``mean`` and ``std`` in the predictor's unit, both ``(n,) float64``."""

    mean: Floats
    std: Floats


class Predictor(Protocol):
    """Learns a number from choice vectors; stored as JSON + npz, never as a pickle."""

    def fit(self, codes: Codes, y: Floats) -> Self:
        """``codes: (n, n_choices) int16``, ``y: (n,) float64``; returns a fitted predictor."""
        ...

    def predict(self, codes: Codes) -> Prediction:
        """``codes: (n, n_choices) int16 -> (n,)`` mean and standard deviation."""
        ...

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """What to store: a JSON mapping and named arrays."""
        ...


class LatencyModel(Protocol):
    """What a search needs to know of a device's latency; all in ms of one statistic."""

    @property
    def label(self) -> str:
        """``device/runtime``, as errors name it."""
        ...

    def predict(self, codes: Codes) -> Prediction:
        """``(n, n_choices) int16 -> (n,)`` mean and standard deviation."""
        ...

    def upper(self, codes: Codes) -> Floats:
        """What the latency stays below with the model's confidence, ``(n,)``: budgets are held against this."""
        ...

    def minimum(self) -> Codes:
        """The quickest architecture of the space, ``(1, n_choices) int16``."""
        ...
