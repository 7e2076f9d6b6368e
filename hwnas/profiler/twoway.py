"""Models on a device that is never quiet: what each takes, with the device's changing state taken off.

A log time is the sum of a model's own and of the state that the device was in when the sample was taken (Tukey 1977, two-way analysis by
medians, with a running median over time for the second way). Both are found in turn: what is left without the models is smoothed over
neighbours in time, what is left without the state gives the models. States are relative to the session's own median: times of two busy
sessions differ by a scale at least, and are never mixed with quiet ones (`hwnas.profiler.anchor` brings one to the other).

Models have to be visited in turn, again and again and in changing company: a model that has its own stretch of time cannot be told from the
state of the device in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwnas.core.errors import TooNoisy

Floats = NDArray[np.float64]

WINDOW = 41
"""Neighbours in time, of all models, that tell the state: as many as hold two rounds of a chunk of the agent's, so that no model leads."""
ROUNDS = 30
CONVERGED = 1e-5


@dataclass(frozen=True, slots=True)
class Attempts:
    """Samples of one model: when each was taken, in s since the session began, and how long a run took, in ms; ``(n,)`` each."""

    at_s: Sequence[float]
    run_ms: Sequence[float]


@dataclass(frozen=True, slots=True)
class BusyTimes:
    """``samples_ms``: each model's samples as they would be in the session's median state. ``spread`` is how far the state went away from

    that: the standard deviation of its logarithm.
    """

    samples_ms: Mapping[str, tuple[float, ...]]
    spread: float


def busy_times(attempts: Mapping[str, Attempts]) -> BusyTimes:
    """Take the state off all ``attempts``. No model, one without samples, or times that are not finite and above 0 raise `TooNoisy`."""
    keys = sorted(attempts)
    if not keys or any(not len(attempts[key].run_ms) for key in keys):
        raise TooNoisy("some model was not sampled at all while the device was busy")
    model = np.repeat(np.arange(len(keys)), [len(attempts[key].run_ms) for key in keys])
    at_s = np.concatenate([np.asarray(attempts[key].at_s, dtype=np.float64) for key in keys])
    times = np.concatenate([np.asarray(attempts[key].run_ms, dtype=np.float64) for key in keys])
    if at_s.shape != times.shape or not np.all(np.isfinite(times) & (times > 0) & np.isfinite(at_s)):
        raise TooNoisy("samples of a busy device must be finite, above 0, and have a time each")
    order = np.argsort(at_s, kind="stable")
    log, who = np.log(times[order]), model[order]
    state = _state(log, who, len(keys))
    flat = np.exp(log - state)
    samples = {key: tuple(float(ms) for ms in flat[who == index]) for index, key in enumerate(keys)}
    return BusyTimes(samples, float(np.std(state)))


def _state(log: Floats, who: NDArray[np.intp], models: int) -> Floats:
    """The state at every sample, ``(n,)``, with a median of 0."""
    own = _medians(log, who, models)
    state = np.zeros_like(log)
    for _ in range(ROUNDS):
        state = running_median(log - own[who], WINDOW)
        state -= np.median(state)
        new = _medians(log - state, who, models)
        moved, own = float(np.max(np.abs(new - own))), new
        if moved < CONVERGED:
            break
    return state


def _medians(values: Floats, who: NDArray[np.intp], models: int) -> Floats:
    return np.array([np.median(values[who == index]) for index in range(models)])


def running_median(values: Floats, window: int) -> Floats:
    """The median of the ``window`` (odd) values around each, fewer at the ends, ``(n,) -> (n,)``."""
    half = min(window, 2 * len(values) - 1) // 2
    padded = np.concatenate([np.full(half, np.nan), values, np.full(half, np.nan)])
    smooth: Floats = np.nanmedian(np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1), axis=1)
    return smooth
