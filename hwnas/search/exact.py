"""Solves models that are sums: the whole front (`hwnas.search.sums`), and under limits the best for each budget with a bound.

Limits that are sums, too, get prices: the front of accuracy less what is used of the limits is exact, every architecture on it that keeps
the limits is a candidate, and what the best point of any such front reaches within a budget is a bound for all that keep them
(Everett 1963, doi:10.1287/opre.11.3.399; Geoffrion 1974). Prices rise where a limit is missed and fall where it is not, until the bound is
met or the rounds are used; the best candidates are polished by single and double moves. Limits on the largest part forbid parts, which
stays exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hwnas.core.arch import Codes
from hwnas.core.errors import PredictorError
from hwnas.core.predict import Floats
from hwnas.search.archive import Archive, Front
from hwnas.search.feasible import begun
from hwnas.search.limits import Limit
from hwnas.search.polish import Moves, polish
from hwnas.search.pool import Pool
from hwnas.search.solver import SOLVERS, Models
from hwnas.search.structure import Decomposition, decompose
from hwnas.search.sums import solve_sums

_MATCH = 1e-7
_ROUNDS = 16
_POLISHED, _STARTS, _PAIRS, _KEPT = 20_000, 8, 200, 64


class Exact:
    """Solves models that are sums over parts of the architecture; ``seed`` and ``trials`` change nothing."""

    def __init__(self, *, seed: int = 0, trials: int = 1) -> None:
        del seed, trials

    def solve(self, models: Models, budgets_ms: Sequence[float]) -> Front:
        """The whole front, whatever the budgets; ``Front.bound`` is what rounding can make of the sums.

        With limits beside the budgets, the best that was found for every budget, and how far from the optimum it can be.
        Models that are no such sums raise `PredictorError`.
        """
        codes = begun(models, budgets_ms)
        archive = Archive(models.space, models.latency, models.accuracy, models.limits)
        priced = _Priced.of(models)
        if priced.soft:
            archive.score(codes)
            bounds = [(budget_ms, _bounded(priced, archive, budget_ms)) for budget_ms in sorted(budgets_ms)]
            gaps = [bound - _polished(models, archive, budget_ms, bound) for budget_ms, bound in bounds]
            return archive.front(bound=max(0.0, *gaps))
        return archive.front(bound=priced.score(archive, np.zeros(0)).off)


@dataclass(frozen=True, slots=True)
class _Solved:
    """A front under some prices: ``cost`` and priced ``loss (n,)``, by ascending cost; ``used (n, k)`` of the limits; rounding ``off``."""

    cost: Floats
    loss: Floats
    used: Floats
    off: float


@dataclass(frozen=True, slots=True)
class _Priced:
    """Cost, loss and the limited sums, ``used - 1``, of all parts; ``forbidden`` is the loss of a part above a limit on the largest."""

    models: Models
    soft: tuple[Limit, ...]
    sums: Decomposition
    forbidden: float

    @classmethod
    def of(cls, models: Models) -> _Priced:
        soft = tuple(limit for limit in models.limits if not limit.hard)

        def values(codes: Codes) -> Floats:
            columns = [models.latency.upper(codes), -models.accuracy.predict(codes).mean, _missed(models.limits, codes)]
            return np.stack([*columns, *(limit.parts(codes) / limit.at_most - 1 for limit in soft)], axis=1)

        sums = decompose(models.space, values)
        reach = sum((np.ptp(part.table, axis=(0, 1)) for part in sums.parts), np.zeros(len(sums.constant)))
        # one forbidden part outweighs all that the others can bring
        return cls(models, soft, sums, 2 * float(reach[1]) + 1)

    def score(self, archive: Archive, prices: Floats) -> _Solved:
        """The front at these prices, all of it into ``archive``; a model that is off its sums there raises `PredictorError`."""
        weights = np.zeros((3 + len(prices), 2))
        weights[0, 0] = weights[1, 1] = 1.0
        weights[2, 1], weights[3:, 1] = self.forbidden, prices
        codes, values = solve_sums(self.sums.weighted(weights))
        scored = archive.score(codes)
        used = np.stack([limit.parts(codes) / limit.at_most - 1 for limit in self.soft] or [np.zeros(len(codes))], axis=1)
        loss = -scored.accuracy + self.forbidden * _missed(self.models.limits, codes) + (used @ prices if len(prices) else 0.0)
        off = np.abs(np.stack([scored.upper_ms, loss], axis=1) - values).max(axis=0)
        if (off > _MATCH * np.maximum(1.0, np.abs(values).max(axis=0))).any():
            raise PredictorError(
                f"space '{self.models.space.name}': the models are off their sums by {off.max():.2g} on the front; "
                "no exact search is possible"
            )
        return _Solved(values[:, 0], values[:, 1], used, float(off[1]))


def _bounded(priced: _Priced, archive: Archive, budget_ms: float) -> float:
    """What no accuracy within one budget and all limits is above; what is found on the way goes into ``archive``."""
    prices = np.zeros(len(priced.soft))
    bound = np.inf
    for _ in range(_ROUNDS):
        front = priced.score(archive, prices)
        best = int(np.searchsorted(front.cost, budget_ms * (1 + 1e-12), side="right")) - 1
        reached = front.off - float(front.loss[best])
        bound = min(bound, reached)
        found = archive.all()
        known = float(found.accuracy[found.fitting(budget_ms)[0]])
        if bound - known <= 2 * front.off:
            break
        over = np.where((prices > 0) | (front.used[best] > 0), front.used[best], 0.0)
        # Polyak 1969, doi:10.1016/0041-5553(69)90061-5: as far as the known accuracy would be met if all were linear
        prices = np.maximum(0.0, prices + over * (reached - known) / max(float(over @ over), 1e-12))
    return bound


def _polished(models: Models, archive: Archive, budget_ms: float, bound: float) -> float:
    """The best accuracy within a budget after the best so far were improved by one and two moves, as long as ``bound`` is above them."""
    pool = Pool(models, budget_ms, trials=_POLISHED, rng=np.random.default_rng(0))
    moves = Moves.over(models.space, [(position,) for position in range(len(models.space.choices))])
    found = archive.all()
    for row in found.fitting(budget_ms)[:_STARTS]:
        accuracy = float(found.accuracy[row])
        if bound - accuracy > 0:
            polish(moves, pool, found.codes[row], accuracy, pairs=_PAIRS)
    archive.score(pool.best(_KEPT)[0])
    found = archive.all()
    return float(found.accuracy[found.fitting(budget_ms)[0]])


def _missed(limits: Sequence[Limit], codes: Codes) -> Floats:
    """How many parts are above a limit on the largest part, ``(n,)``."""
    return sum((limit.parts(codes) for limit in limits if limit.hard), np.zeros(len(codes)))


SOLVERS.register("exact", Exact)
