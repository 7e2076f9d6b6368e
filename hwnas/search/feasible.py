"""What is asked before a search: whether anything can fit the budgets at all."""

from __future__ import annotations

import math
from collections.abc import Sequence

from hwnas.core.arch import SearchSpace
from hwnas.core.errors import ConfigError, InfeasibleError
from hwnas.core.predict import LatencyModel


def smallest_upper_ms(latency: LatencyModel) -> float:
    """The least latency bound of the space, in ms: the smallest budget that anything fits."""
    return float(latency.upper(latency.minimum())[0])


def check_budgets(space: SearchSpace, latency: LatencyModel, budgets_ms: Sequence[float]) -> None:
    """Raise `InfeasibleError`, with the smallest feasible budget, when one is below it; `ConfigError` when one is no time at all."""
    if not budgets_ms:
        raise ConfigError("a search needs at least one latency budget")
    for budget_ms in budgets_ms:
        if not (math.isfinite(budget_ms) and budget_ms > 0):
            raise ConfigError(f"a latency budget must be a finite number of ms above 0, not {budget_ms}")
    smallest_ms = smallest_upper_ms(latency)
    if min(budgets_ms) < smallest_ms:
        # rounded up, so that the number shown is feasible itself
        shown = math.ceil(smallest_ms * 1e4) / 1e4
        raise InfeasibleError(
            f"{latency.label}: no architecture of space '{space.name}' fits {min(budgets_ms):.4g} ms; "
            f"the quickest needs {shown:.4f} ms; raise the budget to at least that"
        )
