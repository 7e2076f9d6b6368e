"""Does a table add up? The sum of blocks against whole networks that were measured.

A backend that fuses across blocks, or a device that overlaps them, breaks the sum; then only a calibrated predictor is to be believed, and
the report says so.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwnas.core.arch import Codes, SearchSpace
from hwnas.core.errors import PredictorError, TableError
from hwnas.core.predict import Floats
from hwnas.latency.additive import AdditiveLatency
from hwnas.latency.agreement import Agreement, agreement
from hwnas.latency.chosen import ENOUGH
from hwnas.latency.samples import require_samples
from hwnas.latency.scale import fit_scale
from hwnas.latency.table import LatencyTable

MIN_NETWORKS = 5
NO_NETWORKS = "not known: no whole network was measured"
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
        count, off = self.scaled.networks, f"off by {self.scaled.mape:.1%} on average"
        share = f"{self.scaled.within_10:.0%} of {count} networks are within 10 % of the scaled sum of their blocks, {off}"
        if self.additive:
            return f"the table adds up: {share}"
        instead = "takes over" if count >= ENOUGH else f"takes over from {ENOUGH} networks on: measure {ENOUGH - count} more"
        return f"the table does not add up: {share}; the backend may fuse across blocks, the calibrated model {instead}"


def audited(table: LatencyTable, space: SearchSpace) -> str:
    """The verdict on a table by its networks of ``space``, or why there is none, in one line for people."""
    networks = table.networks_of(space.id)
    if not networks:
        return f"not known: the whole networks are of another space than '{space.name}'" if table.networks else NO_NETWORKS
    codes = np.concatenate([network.arch.codes for network in networks])
    measured_ms = np.array([network.measurement.quantile_ms("p50") for network in networks])
    try:
        return additivity(AdditiveLatency.from_table(table, space), codes, measured_ms).verdict
    except (PredictorError, TableError) as problem:
        return f"not known: {problem}"


def additivity(table: AdditiveLatency, codes: Codes, measured_ms: Floats) -> Additivity:
    """Of at least five measured networks, ``(n, n_choices)`` and ``(n,)`` ms."""
    measured = require_samples(table.space, codes, measured_ms, at_least=MIN_NETWORKS, label=table.label)
    sums = table.sums_ms(codes)
    if not (sums > 0).all():
        raise PredictorError(f"{table.label}: the blocks of some network sum to nothing; the table cannot be audited")
    plain = sums + table.overhead_ms
    left_out = fit_scale(sums, measured, overhead_ms=table.overhead_ms, quantile=table.quantile).residuals
    return Additivity(agreement(plain, measured), agreement(measured / (1 + left_out), measured), float(np.median(measured / plain)))
