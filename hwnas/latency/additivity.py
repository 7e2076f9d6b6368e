"""Does a table add up? The sum of blocks against whole networks that were measured.

A backend that fuses across blocks, or a device that overlaps them, breaks the sum; then only a calibrated predictor is to be believed, and
the report says so.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwnas.core.arch import Codes
from hwnas.core.errors import PredictorError
from hwnas.core.predict import Floats
from hwnas.latency.additive import AdditiveLatency
from hwnas.latency.agreement import Agreement, agreement
from hwnas.latency.samples import require_samples
from hwnas.latency.scale import fit_scale

MIN_NETWORKS = 5
ADDS_UP_WITHIN_10 = 0.95
"""Share of networks within 10 % of the scaled sum, each by a scale from the others, from which on a table adds up."""


@dataclass(frozen=True, slots=True)
class Additivity:
    """``plain`` is of the sum as it is, ``scaled`` of the sum with scale and intercept of the other networks (leave-one-out).

    ``ratio`` is the median of measured to plain: what isolated blocks pay too much (below 1) or too little.
    """

    plain: Agreement
    scaled: Agreement
    ratio: float

    @property
    def additive(self) -> bool:
        """Whether the table adds up."""
        return self.scaled.within_10 >= ADDS_UP_WITHIN_10

    @property
    def verdict(self) -> str:
        """One sentence for people."""
        share = f"{self.scaled.within_10:.0%} of {self.scaled.networks} networks are within 10 % of the scaled sum of their blocks"
        if self.additive:
            return f"the table adds up: {share}"
        return f"the table does not add up: {share}; the backend may fuse across blocks, so use the calibrated predictor"


def additivity(table: AdditiveLatency, codes: Codes, measured_ms: Floats) -> Additivity:
    """Of at least five measured networks, ``(n, n_choices)`` and ``(n,)`` ms."""
    measured = require_samples(table.space, codes, measured_ms, at_least=MIN_NETWORKS, label=table.label)
    sums = table.sums_ms(codes)
    if not (sums > 0).all():
        raise PredictorError(f"{table.label}: the blocks of some network sum to nothing; the table cannot be audited")
    plain = sums + table.overhead_ms
    left_out = fit_scale(sums, measured, overhead_ms=table.overhead_ms, quantile=table.quantile).residuals
    return Additivity(agreement(plain, measured), agreement(measured / (1 + left_out), measured), float(np.median(measured / plain)))
