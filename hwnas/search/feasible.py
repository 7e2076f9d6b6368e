"""What is asked before a search: whether anything can fit the budgets and limits at all."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from hwnas.core.arch import Codes, SearchSpace
from hwnas.core.errors import ConfigError, InfeasibleError
from hwnas.core.predict import LatencyModel
from hwnas.search.least import least, lowest
from hwnas.search.limits import Limit, amount
from hwnas.search.solver import Models


def smallest_upper_ms(latency: LatencyModel) -> float:
    """The least latency bound of the space, in ms: the smallest budget that anything fits."""
    return float(latency.upper(latency.minimum())[0])


def check_budgets(space: SearchSpace, latency: LatencyModel, budgets_ms: Sequence[float], limits: Sequence[Limit] = ()) -> None:
    """Raise `InfeasibleError`, with the smallest feasible budget, when one is below it, also where ``limits`` are to be kept; `ConfigError`
    when one is no time at all."""
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
    if limits:
        within_limits(space, latency, limits, min(budgets_ms))


def begun(models: Models, budgets_ms: Sequence[float]) -> Codes:
    """Where a search begins, ``(k, n_choices)``: the first fits every budget within all limits, the others are known already.

    Budgets and limits that nothing keeps raise `InfeasibleError` with the smallest value that something does, as far as one is known.
    """
    check_budgets(models.space, models.latency, budgets_ms)
    space, latency, limits = models.space, models.latency, models.limits
    first = within_limits(space, latency, limits, min(budgets_ms)) if limits else latency.minimum()
    return first if models.known is None else np.concatenate([first, models.known])


def within_limits(space: SearchSpace, latency: LatencyModel, limits: Sequence[Limit], budget_ms: float) -> Codes:
    """The quickest architecture within ``limits``, ``(1, n_choices)``; `InfeasibleError` where it is over the budget."""
    label = latency.label
    found = least(space, latency.upper, limits)
    if found is None:
        for limit in limits:
            _check_alone(space, limit)
        listed = " and ".join(_said(limit) for limit in limits)
        raise InfeasibleError(f"{label}: no architecture of space '{space.name}' was found that keeps {listed}; raise one of them")
    if found.cost <= budget_ms:
        return found.codes
    listed = " and ".join(_said(limit) for limit in limits)
    raise InfeasibleError(
        f"{label}: no architecture of space '{space.name}' that keeps {listed} fits {budget_ms:.4g} ms; the quickest "
        f"{'' if found.exact else 'that was found '}needs {amount(found.cost, 'ms')}; raise the budget to at least that, or a limit"
    )


def _check_alone(space: SearchSpace, limit: Limit) -> None:
    cost, _ = lowest(space, limit.resource)
    if cost > limit.at_most:
        raise InfeasibleError(
            f"{limit.resource.name}: no architecture of space '{space.name}' needs at most "
            f"{amount(limit.at_most, limit.resource.unit)}; the smallest needs {amount(cost, limit.resource.unit)}; "
            "raise the limit to at least that"
        )


def _said(limit: Limit) -> str:
    return f"{limit.resource.name} of at most {amount(limit.at_most, limit.resource.unit)}"
