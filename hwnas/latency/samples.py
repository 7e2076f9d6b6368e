"""Whole networks with their measured latency, checked before anything is fitted to them: nothing is imputed or dropped silently."""

from __future__ import annotations

import numpy as np

from hwnas.core.arch import Codes, SearchSpace
from hwnas.core.errors import PredictorError
from hwnas.core.predict import Floats


def require_samples(space: SearchSpace, codes: Codes, measured_ms: Floats, *, at_least: int, label: str) -> Floats:
    """``measured_ms`` as ``(n,) float64``, after these checks, each of which raises `PredictorError` that names the network.

    One finite time above 0 for each row of ``codes``, no architecture twice, ``at_least`` networks, and not the same time for all of them.
    Codes of another space raise `ConfigError`.
    """
    space.check(codes)
    measured = np.asarray(measured_ms, dtype=np.float64)
    if measured.shape != (len(codes),):
        raise PredictorError(f"{label}: {len(codes)} networks and {measured.shape} times; one time a network is needed")
    bad = ~(np.isfinite(measured) & (measured > 0))
    if bad.any():
        row = int(np.argmax(bad))
        raise PredictorError(f"{label}: {_name(space, codes, row)} measured {measured[row]} ms; a time must be finite and above 0")
    if len(codes) < at_least:
        raise PredictorError(f"{label}: {len(codes)} measured networks; at least {at_least} are needed")
    unique, first, count = np.unique(codes, axis=0, return_index=True, return_counts=True)
    if len(unique) < len(codes):
        row = int(first[np.argmax(count > 1)])
        raise PredictorError(f"{label}: {_name(space, codes, row)} is there {count.max()} times; bring its measurements together first")
    if len(codes) > 1 and np.ptp(measured) == 0:
        raise PredictorError(f"{label}: all {len(codes)} networks measured {measured[0]:g} ms; there is nothing to learn from")
    return measured


def _name(space: SearchSpace, codes: Codes, row: int) -> str:
    return f"network {row} ({space.architecture(codes[row]).id} of space '{space.name}')"
