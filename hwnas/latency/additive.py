"""Additive latency: a network costs the sum of its blocks, scaled and shifted by what measured whole networks show.

``latency = intercept + scale * sum(block - overhead)``, where ``overhead`` is the call of an empty model that every isolated block pays and
a network pays once. The sum over a lookup table is that of Cai et al. 2019, ProxylessNAS (arXiv 1812.00332); scale and intercept are fitted
to relative errors by iteratively reweighted least squares (Huber 1964). The upper bound is a quantile of the leave-one-out residuals.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from hwnas.core.arch import Codes, SearchSpace
from hwnas.core.errors import PredictorError
from hwnas.core.predict import Floats, Prediction
from hwnas.latency.blocksums import padded, sum_over_blocks
from hwnas.latency.minimum import smallest
from hwnas.latency.samples import require_samples
from hwnas.latency.scale import Fit, fit_scale
from hwnas.latency.table import LatencyTable
from hwnas.space.family import blockwise, family_of

KIND = "latency-additive"
DEFAULT_QUANTILE = 0.95
MIN_NETWORKS = 2
"""Measured whole networks that a scale needs: one says nothing of how far off it is."""


@dataclass(frozen=True)
class AdditiveLatency:
    """Predicts milliseconds from codes of one space, for one device, runtime, precision, threads, batch and regime.

    ``times_ms``: one time a block of the space's vocabulary, overhead taken off. ``fit`` is None until whole networks were seen: then
    `predict` has no standard deviation (NaN) and `upper` raises. ``measured_largest_ms`` is what the largest network took, None where it
    was not measured.
    """

    space: SearchSpace
    context: Mapping[str, str | int]
    statistic: str
    block_statistic: str
    overhead_ms: float
    times_ms: Floats
    quantile: float = DEFAULT_QUANTILE
    scaling: Fit | None = None
    measured_largest_ms: float | None = None

    @classmethod
    def from_table(
        cls,
        table: LatencyTable,
        space: SearchSpace,
        *,
        statistic: str = "p50",
        block_statistic: str = "p50",
        quantile: float = DEFAULT_QUANTILE,
    ) -> Self:
        """From a table's blocks, fitted on its measured networks of ``space`` where it has any.

        ``statistic`` is what is predicted of whole networks (that of the budgets): the scale is fitted to it. ``block_statistic`` is read
        from the blocks: the median, since a sum of high quantiles is no quantile of the sum. A table without some block of the space
        raises `TableError` that names it; one so disturbed that its blocks took no longer than an empty call, `PredictorError`.
        """
        words = blockwise(space).vocabulary(space)
        table.require_blocks(words)
        overhead_ms = 0.0 if table.overhead is None else table.overhead.quantile_ms(block_statistic)
        times = np.array([table.entries[block.key].quantile_ms(block_statistic) for block in words])
        # a block may be quicker than the empty call by noise, but no block gives time back
        own = cls(space, table.context, statistic, block_statistic, overhead_ms, np.maximum(times - overhead_ms, 0.0), quantile)
        networks = table.networks_of(space.id)
        if not networks:
            return own
        codes = np.concatenate([network.arch.codes for network in networks])
        measured_ms = {network.arch: network.measurement.quantile_ms(statistic) for network in networks}
        _, largest = family_of(space).extremes(space)
        return replace(own.fit(codes, np.array(list(measured_ms.values()))), measured_largest_ms=measured_ms.get(largest))

    def fit(self, codes: Codes, y: Floats) -> Self:
        """The same table with scale, intercept and residuals from ``y`` ms of whole networks, ``(n, n_choices)``, ``(n,)``."""
        measured = require_samples(self.space, codes, y, at_least=MIN_NETWORKS, label=self.label)
        return replace(self, scaling=fit_scale(self.sums_ms(codes), measured, overhead_ms=self.overhead_ms, quantile=self.quantile))

    def sums_ms(self, codes: Codes) -> Floats:
        """The plain sum of the blocks without overhead, ``(n, n_choices) int16 -> (n,)``."""
        return sum_over_blocks(self.space, codes, self._padded)

    @cached_property
    def _padded(self) -> Floats:
        return padded(self.times_ms)

    def predict(self, codes: Codes) -> Prediction:
        """``(n, n_choices) int16 -> (n,)`` ms; the standard deviation is relative to the mean, NaN before `fit`."""
        mean = self._mean(self.sums_ms(codes))
        std = mean * (math.nan if self.scaling is None else self.scaling.relative_std)
        return Prediction(mean, std)

    def _mean(self, sums: Floats) -> Floats:
        if self.scaling is None:
            return sums + self.overhead_ms
        return self.scaling.intercept_ms + self.scaling.scale * sums

    def upper(self, codes: Codes) -> Floats:
        """The bound that a share ``quantile`` of networks stays below, by the residuals of the measured ones, ``(n,)`` ms."""
        if self.scaling is None:
            raise PredictorError(
                f"{self.label}: no bound without measured whole networks of space '{self.space.name}'; "
                f"run 'hwnas profile {self.context['device']}' to measure some"
            )
        return self._mean(self.sums_ms(codes)) * (1 + self.scaling.relative_margin)

    @property
    def label(self) -> str:
        """``device/runtime``, as errors name it."""
        return f"{self.context['device']}/{self.context['runtime']}"

    def minimum(self) -> Codes:
        """The architecture with the smallest prediction of the whole space, exactly, ``(1, n_choices) int16``."""
        return self._minimum

    @cached_property
    def _minimum(self) -> Codes:
        return smallest(self.space, self.sums_ms)

    def largest_ms(self) -> float:
        """Latency of the largest architecture, measured where the table has it and predicted otherwise: what ``60%`` is a share of."""
        if self.measured_largest_ms is not None:
            return self.measured_largest_ms
        _, largest = family_of(self.space).extremes(self.space)
        return float(self.predict(largest.codes).mean[0])

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """What to store: the context with space, statistics and fit, and the block times."""
        meta = {
            **self.context,
            "space": self.space.id,
            "statistic": self.statistic,
            "block_statistic": self.block_statistic,
            "quantile": self.quantile,
            "overhead_ms": self.overhead_ms,
            "measured_largest_ms": self.measured_largest_ms,
            "fit": None if self.scaling is None else self.scaling.numbers(),
        }
        arrays = {"times_ms": self.times_ms}
        if self.scaling is not None:
            arrays["residuals"] = self.scaling.residuals
        return meta, arrays
