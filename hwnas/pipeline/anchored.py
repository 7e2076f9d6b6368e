"""Files timed while the device is busy, where budgets are of its quiet state: brought there by networks of the table.

The networks are timed among the files, so each shows what the busy state does to its kind (`hwnas.profiler.anchor`). How far they are off,
each brought over by the others, belongs to the interval of every file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from hwnas.core.arch import Architecture
from hwnas.core.device import Measurement
from hwnas.latency.table import LatencyTable
from hwnas.pipeline.timings import Regimes
from hwnas.profiler.anchor import Anchoring, anchoring, spread_over

ANCHORS = 14
STATISTIC = "p50"
"""What can be brought over: a busy device's slow samples are its neighbours', whatever is done to them."""
ERROR = "anchored_error"


def anchors_of(table: LatencyTable, space_id: str) -> tuple[Architecture, ...]:
    """The networks that files are brought over by, spread over the table's times."""
    networks = {network.key: network for network in table.networks_of(space_id)}
    times = {key: network.measurement.quantile_ms(STATISTIC) for key, network in networks.items()}
    return tuple(networks[key].arch for key in spread_over(times, ANCHORS))


def brought_over(times: Mapping[str, Measurement], table: LatencyTable) -> tuple[Anchoring, dict[str, Regimes]]:
    """What the models in ``times`` that are not in ``table`` would take in its state, by key; their times as they are are the typical ones.

    `TooNoisy` where the two states are not comparable.
    """
    known = {key: network.measurement.quantile_ms(STATISTIC) for key, network in table.networks.items()}
    found = anchoring({key: measured.quantile_ms(STATISTIC) for key, measured in times.items()}, known)
    return found, {key: {table.regime: _converted(m, found, table.regime), "typical": m} for key, m in times.items() if key not in known}


def anchored_error(measurement: Measurement) -> float | None:
    """By what share the time may be off because it was brought over; None for one that was measured in its own state."""
    error = measurement.facts.get(ERROR)
    return float(error) if isinstance(error, (int, float)) else None


def _converted(measured: Measurement, found: Anchoring, regime: str) -> Measurement:
    samples = tuple(found.convert_ms(ms) for ms in measured.samples_ms)
    return replace(measured, samples_ms=samples, facts={**measured.facts, "regime": regime, ERROR: round(found.worst, 6)})
