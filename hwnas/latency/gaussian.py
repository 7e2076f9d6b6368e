"""A Gaussian process (Rasmussen & Williams 2006) on the logarithm of the latency: for spaces that are no chains, and few measurements.

The covariance is a linear part, for what adds up, and a smooth one, for what does not. scikit-learn finds its scales by marginal
likelihood; what is stored and predicted with is numpy alone.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from hwnas.core.arch import Codes, SearchSpace
from hwnas.core.artifacts import StoredPredictor
from hwnas.core.errors import PredictorError
from hwnas.core.predict import Floats, Prediction
from hwnas.latency.descriptors import describe
from hwnas.latency.samples import require_samples

KIND = "latency-gaussian"
MIN_NETWORKS = 10
MAX_NETWORKS = 2000


@dataclass(frozen=True, slots=True)
class Process:
    """Networks ``rows (n, p)``, standardised by ``centre`` and ``scale (p,)``, and what their logarithms say of others.

    The logarithms are standardised by ``level`` and ``spread``; ``pull (n,)`` and ``precision (n, n)`` are of those.
    """

    centre: Floats
    scale: Floats
    rows: Floats
    pull: Floats
    precision: Floats
    level: float
    spread: float
    linear: float
    smooth: float
    length: float
    noise: float

    def predict(self, rows: Floats) -> tuple[Floats, Floats]:
        """Mean and standard deviation of the logarithm of a new measurement, ``(n, p) -> (n,), (n,)``."""
        new = (rows - self.centre) / self.scale
        cross = self._covariance(new, self.rows)
        own = self.linear * (1 + np.einsum("ij,ij->i", new, new) / new.shape[1]) + self.smooth
        variance = own - np.einsum("ij,ij->i", cross @ self.precision, cross) + self.noise
        return self.level + self.spread * (cross @ self.pull), self.spread * np.sqrt(np.maximum(variance, self.noise))

    def _covariance(self, one: Floats, other: Floats) -> Floats:
        products = one @ other.T
        squares = np.sum(one**2, axis=1)[:, None] + np.sum(other**2, axis=1)[None] - 2 * products
        width = one.shape[1]
        near: Floats = np.exp(-0.5 * np.maximum(squares, 0.0) / (width * self.length**2))
        covariance: Floats = self.linear * (1 + products / width) + self.smooth * near
        return covariance


@dataclass(frozen=True)
class GaussianLatency:
    """Predicts milliseconds from codes of any space."""

    space: SearchSpace
    label: str = "gaussian process"
    process: Process | None = None

    def fit(self, codes: Codes, y: Floats) -> Self:
        """From 10 to 2,000 measured networks, ``(n, n_choices)`` and ``(n,)`` ms."""
        measured = require_samples(self.space, codes, y, at_least=MIN_NETWORKS, label=self.label)
        if len(measured) > MAX_NETWORKS:
            raise PredictorError(f"{self.label}: {len(measured)} networks; more than {MAX_NETWORKS} take too long, use trees")
        return replace(self, process=_learn(describe(self.space, codes), np.log(measured)))

    def predict(self, codes: Codes) -> Prediction:
        """``(n, n_choices) int16 -> (n,)`` ms."""
        if self.process is None:
            raise PredictorError(f"{self.label}: nothing was measured yet; fit at least {MIN_NETWORKS} networks")
        log, spread = self.process.predict(describe(self.space, codes))
        mean = np.exp(log)
        return Prediction(mean, mean * spread)

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """The process with its networks."""
        own = self.process
        if own is None:
            raise PredictorError(f"{self.label}: nothing to store before a fit")
        numbers = {name: getattr(own, name) for name in ("level", "spread", "linear", "smooth", "length", "noise")}
        arrays = {name: getattr(own, name) for name in ("centre", "scale", "rows", "pull", "precision")}
        return {"space": self.space.id, "label": self.label, **numbers}, arrays

    @classmethod
    def restore(cls, space: SearchSpace, stored: StoredPredictor) -> Self:
        """From what `state` gave; another space raises `PredictorError`."""
        stored.require(KIND, space=space.id)
        width = describe(space, np.zeros((1, len(space.choices)), dtype=np.int16)).shape[1]
        rows = stored.array("rows", shape=(None, width))
        process = Process(
            centre=stored.array("centre", shape=(width,)),
            scale=stored.array("scale", shape=(width,)),
            rows=rows,
            pull=stored.array("pull", shape=(len(rows),)),
            precision=stored.array("precision", shape=(len(rows), len(rows))),
            **{name: float(stored.meta[name]) for name in ("level", "spread", "linear", "smooth", "length", "noise")},
        )
        return cls(space, str(stored.meta["label"]), process)


def _learn(rows: Floats, logs: Floats) -> Process:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel, DotProduct, WhiteKernel

    centre, scale = rows.mean(axis=0), np.maximum(rows.std(axis=0), 1e-9)
    scale[scale <= 1e-9] = 1.0
    level, spread = float(logs.mean()), float(logs.std())
    # columns are divided by the root of their number, so that lengths do not depend on it
    inputs = (rows - centre) / scale / np.sqrt(rows.shape[1])
    linear = ConstantKernel(1.0, (1e-4, 1e4)) * DotProduct(1.0, sigma_0_bounds="fixed")
    smooth = ConstantKernel(0.1, (1e-6, 1e2)) * RBF(1.0, (0.1, 10.0))
    model = GaussianProcessRegressor(linear + smooth + WhiteKernel(0.01, (1e-6, 1.0)), random_state=0)
    with warnings.catch_warnings():
        # a scale at the end of its range is no fault: that part is not needed
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(inputs, (logs - level) / spread)
    found = model.kernel_
    numbers = (found.k1.k1.k1.constant_value, found.k1.k2.k1.constant_value, found.k1.k2.k2.length_scale, found.k2.noise_level)
    covariance = model.L_ @ model.L_.T
    return Process(
        centre, scale, inputs * np.sqrt(rows.shape[1]), model.alpha_, np.linalg.inv(covariance), level, spread, *map(float, numbers)
    )
