"""How well predictions agree with measurements: the field's figures, once for every report and benchmark."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwnas.core.errors import PredictorError
from hwnas.core.predict import Floats

_DIRECT = 64
"""Up to this length pairs are compared one by one."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """Shares are 0 to 1, ``mape`` is the mean of |predicted / measured - 1|, ``r2`` the share of the variance that is explained."""

    networks: int
    mape: float
    within_5: float
    within_10: float
    spearman: float
    kendall: float
    r2: float


def agreement(predicted_ms: Floats, measured_ms: Floats) -> Agreement:
    """Of ``n >= 2`` networks, ``(n,)`` each; correlations of something constant are 0."""
    predicted, measured = np.asarray(predicted_ms, dtype=np.float64), np.asarray(measured_ms, dtype=np.float64)
    if predicted.shape != measured.shape or predicted.ndim != 1 or len(measured) < 2:
        raise PredictorError(f"agreement needs two or more networks, predicted and measured; got {predicted.shape} and {measured.shape}")
    if not (np.isfinite(predicted).all() and np.isfinite(measured).all() and (measured > 0).all()):
        raise PredictorError("agreement needs finite predictions, and finite measurements above 0")
    errors = np.abs(predicted / measured - 1)
    total = float(np.sum((measured - measured.mean()) ** 2))
    return Agreement(
        networks=len(measured),
        mape=float(errors.mean()),
        within_5=float(np.mean(errors <= 0.05)),
        within_10=float(np.mean(errors <= 0.10)),
        spearman=spearman(predicted, measured),
        kendall=kendall(predicted, measured),
        r2=1 - float(np.sum((measured - predicted) ** 2)) / total if total > 0 else 0.0,
    )


def spearman(first: Floats, second: Floats) -> float:
    """Spearman's rank correlation; ties share their mean rank."""
    one, other = _ranks(first), _ranks(second)
    one, other = one - one.mean(), other - other.mean()
    scale = float(np.sqrt((one @ one) * (other @ other)))
    return float(one @ other) / scale if scale > 0 else 0.0


def kendall(first: Floats, second: Floats) -> float:
    """Kendall's tau-b (Kendall 1945), by merge sort (Knight 1966, doi:10.1080/01621459.1966.10480879)."""
    order = np.lexsort((second, first))
    one, other = np.asarray(first)[order], np.asarray(second)[order]
    pairs = len(one) * (len(one) - 1) // 2
    ties_one, ties_other = _tied(one), _tied(np.sort(other))
    both = np.stack([one, other], axis=1)
    ties_both = _tied_from(np.any(both[1:] != both[:-1], axis=1), len(one))
    discordant = _inversions(other)
    scale = float(np.sqrt(float(pairs - ties_one) * float(pairs - ties_other)))
    return (pairs - ties_one - ties_other + ties_both - 2 * discordant) / scale if scale > 0 else 0.0


def _ranks(values: Floats) -> Floats:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks: Floats = (ends - (counts - 1) / 2)[inverse]
    return ranks


def _tied(ordered: Floats) -> int:
    return _tied_from(ordered[1:] != ordered[:-1], len(ordered))


def _tied_from(changes: NDArray[np.bool_], length: int) -> int:
    ends = np.concatenate([np.flatnonzero(changes) + 1, [length]])
    runs = np.diff(np.concatenate([[0], ends]))
    return int(np.sum(runs * (runs - 1) // 2))


def _inversions(values: Floats) -> int:
    """Pairs in falling order, by merging sorted halves; ties are no inversions."""
    if len(values) <= _DIRECT:
        return int(np.triu(values[:, None] > values, 1).sum())
    middle = len(values) // 2
    left, right = values[:middle], values[middle:]
    own = _inversions(left) + _inversions(right)
    return own + int(np.sum(middle - np.searchsorted(np.sort(left), right, side="right")))
