"""Evaluation on several processes: the result is the same, bit for bit, whatever their number."""

from __future__ import annotations

from concurrent.futures import Executor

import numpy as np

from hwnas.core.errors import ConfigError
from hwnas.search.strategy import Evaluate, Outcomes, Trials

_ROWS = 64


def spread(evaluate: Evaluate, executor: Executor, *, rows: int = _ROWS) -> Evaluate:
    """``evaluate`` on the workers of ``executor``, ``rows`` trials at a time; it must be one that the executor can send.

    Trials are cut the same way for any number of workers, because a sum over a batch of another size may be rounded otherwise.
    """
    if rows < 1:
        raise ConfigError(f"a worker needs at least 1 trial at a time, not {rows}")

    def together(trials: Trials) -> Outcomes:
        parts = [Trials(trials.codes[start : start + rows], trials.fidelity) for start in range(0, len(trials), rows)]
        told = list(executor.map(evaluate, parts))
        stds = [each.std for each in told if each.std is not None]
        return Outcomes(
            np.concatenate([each.objectives for each in told]),
            np.concatenate([each.violation for each in told]),
            np.concatenate(stds) if len(stds) == len(told) else None,
        )

    return together
