"""Which latency model speaks for a table: chosen here, for search, run and predict alike.

The calibrated one where the table has whole networks enough for it and for its bound, otherwise the additive one. The bound is relative to
the prediction, so that what budgets are held against stays a sum over blocks, which can be searched exactly.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hwnas.core.arch import SearchSpace
from hwnas.latency.additive import AdditiveLatency
from hwnas.latency.calibrated import CalibratedLatency
from hwnas.latency.conformal import Intervals, networks_for
from hwnas.latency.table import LatencyTable
from hwnas.latency.trusted import DEFAULT_CONFIDENCE, Domain, TrustedLatency

ENOUGH = networks_for(DEFAULT_CONFIDENCE)
"""Whole networks from which on a table has a calibrated model, bounded with the default confidence."""


def chosen_latency(table: LatencyTable, space: SearchSpace, *, statistic: str = "p50") -> TrustedLatency:
    """The model of ``statistic`` of networks of ``space``, fitted to those that the table has.

    With fewer than `ENOUGH` its confidence is the highest that they can bound, with none it has no bound. A table without some block
    of the space raises `TableError` that names it; networks that nothing can be learned from raise `PredictorError`.
    """
    additive = AdditiveLatency.from_table(table, space, statistic=statistic)
    plain = TrustedLatency(space, table.context, statistic, "additive", additive, measured_largest_ms=additive.measured_largest_ms)
    if additive.scaling is None:
        return plain
    networks = table.networks_of(space.id)
    codes = np.concatenate([network.arch.codes for network in networks])
    if len(networks) < ENOUGH:
        intervals = Intervals(np.sort(additive.scaling.residuals), relative=True)
        confidence = min(DEFAULT_CONFIDENCE, intervals.highest)
        return replace(plain, confidence=confidence, intervals=intervals, domain=Domain.of(additive.predict(codes)))
    measured_ms = np.array([network.measurement.quantile_ms(statistic) for network in networks])
    calibrated = replace(plain, kind="calibrated", predictor=CalibratedLatency.from_additive(additive))
    return calibrated.fit(codes, measured_ms, relative=True)


def why(model: TrustedLatency) -> str:
    """Which model was chosen and why, for people."""
    if model.kind == "calibrated":
        return f"calibrated model: block times corrected by {model.networks} whole networks"
    there = f"only {model.networks} whole networks are measured" if model.networks else "no whole network is measured"
    return f"additive model: {there}, the calibrated one needs {ENOUGH}"
