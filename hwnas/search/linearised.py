"""Accuracy predictors that are no sums, under latencies that are: linearise, solve, breed, polish; then again from elsewhere.

A round begins with linear models of the accuracy, drawn from what a sample leaves open and solved under the budget (`relaxed`). From these
architectures a short genetic search breeds, exchanging whole parts (Holland 1975) between parents that differ (`niches`). Choices that
change what every part costs, such as the resolution, have parents of each of their options at first; one option after the other is given
up, as in successive halving (Jamieson & Talwalkar 2016, arXiv 1502.07943). The best is polished by one and two moves (`polish`).
Rounds are independent; what they end at is bred together now and then. A latency that is no sum gets the same without the first step.
Limits beside the budget are kept by all that is evaluated; the linear models do not see them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hwnas.core.arch import Codes, SearchSpace
from hwnas.core.errors import ConfigError, PredictorError
from hwnas.core.predict import Floats
from hwnas.search.archive import Archive, Front
from hwnas.search.feasible import begun
from hwnas.search.linear import LinearFit
from hwnas.search.niches import cleared, stratified
from hwnas.search.polish import Moves, polish
from hwnas.search.pool import Pool
from hwnas.search.relaxed import Relaxed
from hwnas.search.solver import SOLVERS, Models
from hwnas.search.structure import decompose, rank
from hwnas.space.moves import sample_spread

_SAMPLE, _DRAWN, _AIM = 1000, 3000, 0.9
_LINEAR_ROUNDS, _LINEAR_FITTED, _DRAWS, _BOLDNESS = 1, 600, 32, 2.0
_ROUND, _MERGE, _POLISHES = 11_000, 4500, 1.2
_PARENTS, _CHILDREN, _EVALUATED = 48, 360, 150
_EXCHANGED, _MUTATED = (0.0, 0.1, 0.3, 0.5), (0.5, 1.0, 2.0, 4.0)
_NEAR = 0.93
_APART, _STRATA, _OF_EACH = 3, 0.4, 16
_PAIRS = 200
_KEPT, _BEGUN = 64, 100
_FRUITLESS = 40


class Linearised:
    """The solver; ``trials`` is how many accuracies are predicted for each budget."""

    def __init__(self, *, seed: int = 0, trials: int = 20_000) -> None:
        if trials < 1:
            raise ConfigError(f"a search needs at least 1 trial, not {trials}")
        self._seed = seed
        self._trials = trials

    def solve(self, models: Models, budgets_ms: Sequence[float]) -> Front:
        """The best found for every budget; nothing is certain of what was not evaluated, so that `Front.bound` is None."""
        first = begun(models, budgets_ms)
        terrain = _Terrain(models)
        archive = Archive(models.space, models.latency, models.accuracy, models.limits)
        archive.score(first)
        budgets = sorted({float(b) for b in budgets_ms})
        predicted = 0
        for budget_ms, seed in zip(budgets, np.random.SeedSequence(self._seed).spawn(len(budgets)), strict=True):
            rng = np.random.default_rng(seed)
            codes, used = _climb(terrain, first, budget_ms, self._trials, rng)
            archive.score(codes)
            predicted += used
        archive.evaluated += predicted
        return archive.front()


class _Terrain:
    """What is known of a space and its latency before anything is evaluated."""

    def __init__(self, models: Models) -> None:
        self.models = models
        self.space: SearchSpace = models.space
        try:
            latency = decompose(self.space, lambda codes: models.latency.upper(codes)[:, None])
            self.relaxed: Relaxed | None = Relaxed(latency)
            sites = [part.own for part in latency.parts]
            met = np.bincount([p for part in latency.parts for p in part.shared], minlength=len(self.space.choices))
            self.whole = tuple(np.flatnonzero(met > len(sites) / 2).tolist())
        except PredictorError:
            self.relaxed, self.whole = None, ()
            sites = [(position,) for position in range(len(self.space.choices))]
        self.sites = sites
        self.moves = Moves.over(self.space, sites)
        # what one step of polishing takes, and some of a second
        self.reserve = int(_POLISHES * (len(self.moves.site) + _PAIRS))
        self.n_moves = np.bincount(self.moves.site)
        self.first_move = np.cumsum(self.n_moves) - self.n_moves
        self.widest = max(map(len, sites))
        self.positions: NDArray[np.intp] = np.full((len(sites), self.widest), -1, dtype=np.intp)
        self.owner: NDArray[np.intp] = np.zeros(len(self.space.choices), dtype=np.intp)
        for number, site in enumerate(sites):
            self.owner[list(site)] = number
            self.positions[number, : len(site)] = site


def _climb(terrain: _Terrain, first: Codes, budget_ms: float, trials: int, rng: np.random.Generator) -> tuple[Codes, int]:
    """Rounds until the trials are used: the best of each, ``(n, n_choices)``, and how many trials were."""
    kept: list[Codes] = []
    left = trials
    for number in range(trials):
        # every round but the first is followed by one that breeds what all ended at
        together = number > 0 and (number % 2 == 0 or left < _MERGE)
        pool = Pool(terrain.models, budget_ms, trials=min(left, _MERGE if together else _ROUND), rng=rng)
        if together:
            pool.add(np.concatenate(kept))
        else:
            _begin(terrain, first, pool, rng)
        before = pool.left
        _breed(terrain, pool, rng, parents=2 * _PARENTS if together else _PARENTS, strata=0.0 if together else _STRATA)
        _polish(terrain, pool)
        kept.append(pool.best(_KEPT)[0])
        left -= pool.used
        if left <= 0 or pool.left == before:
            break
    return np.concatenate(kept), trials - left


def _begin(terrain: _Terrain, first: Codes, pool: Pool, rng: np.random.Generator) -> None:
    """A sample near the budget, and what linear models of it lead to."""
    codes = sample_spread(terrain.space, _DRAWN, rng)
    short_ms = np.abs(pool.latency_ms(codes) - _AIM * pool.budget_ms)
    pool.add(codes[np.argsort(short_ms, kind="stable")[:_SAMPLE]])
    pool.add(first)
    if terrain.relaxed is None:
        return
    for _ in range(_LINEAR_ROUNDS):
        known, accuracy = pool.best(_LINEAR_FITTED)
        weights = LinearFit.of(terrain.space, known, accuracy).draws(_DRAWS, rng, boldness=_BOLDNESS)
        pool.add(terrain.relaxed.solve(weights, pool.budget_ms))


def _breed(terrain: _Terrain, pool: Pool, rng: np.random.Generator, *, parents: int, strata: float) -> None:
    """Children of the best, until only what polishing needs is left, or nothing better comes; for a share ``strata`` of that, the best
    of every option of the choices that all parts share."""
    alive, accuracy = pool.best(_BEGUN)
    best, fruitless = -np.inf, 0
    total = max(1, pool.left - terrain.reserve)
    for _ in range(pool.left):
        left = pool.left - terrain.reserve
        if left <= 0 or fruitless >= _FRUITLESS:
            break
        done = 1 - left / total
        rows = _parents(terrain, alive, accuracy, parents, done / strata) if done < strata else None
        if rows is None:
            rows = cleared(terrain.space, alive, accuracy, parents, apart=_APART)
            fruitless = 0 if accuracy[rows[0]] > best else fruitless + 1
            best = float(accuracy[rows[0]])
        else:
            # parents are taken by their order, and none of these options is better yet
            rows = rng.permutation(rows)
        alive, accuracy = alive[rows], accuracy[rows]
        codes, reached = pool.add(_children(terrain, alive, rng), at_most=min(_EVALUATED, left), at_least_ms=_NEAR * pool.budget_ms)
        alive, accuracy = np.concatenate([alive, codes]), np.concatenate([accuracy, reached])


def _parents(terrain: _Terrain, codes: Codes, accuracy: Floats, n: int, done: float) -> NDArray[np.intp] | None:
    """Rows of the best of each option of `_Terrain.whole` that is not given up yet; None where only one is left, or there is none."""
    options = 1
    for position in terrain.whole:
        options *= int(terrain.space.n_options[position])
    if (keep := int(np.ceil(min(options, n) * (1 - done)))) <= 1:
        return None
    groups = stratified(rank(terrain.space, codes, terrain.whole), accuracy, keep)
    each = max(_OF_EACH, n // keep)
    return np.concatenate([rows[cleared(terrain.space, codes[rows], accuracy[rows], each, apart=_APART)] for rows in groups])


def _children(terrain: _Terrain, parents: Codes, rng: np.random.Generator) -> Codes:
    """Parts of one parent (the better of two drawn) in another, and some parts at random; ``parents`` are sorted, the best first."""
    n, sites = _CHILDREN, len(terrain.sites)
    first = parents[rng.integers(0, len(parents), (2, n)).min(axis=0)]
    second = parents[rng.integers(0, len(parents), n)]
    exchanged = rng.random((n, sites)) < rng.choice(_EXCHANGED, (n, 1))
    codes = np.where(exchanged[:, terrain.owner], second, first)
    row, site = np.nonzero(rng.random((n, sites)) < rng.choice(_MUTATED, (n, 1)) / sites)
    move = terrain.first_move[site] + (rng.random(len(row)) * terrain.n_moves[site]).astype(np.intp)
    for one in range(terrain.widest):
        position = terrain.positions[site, one]
        real = position >= 0
        codes[row[real], position[real]] = terrain.moves.to[move[real], position[real]]
    return terrain.space.canonical(codes)


def _polish(terrain: _Terrain, pool: Pool) -> None:
    code, accuracy = pool.best(1)
    if len(code):
        polish(terrain.moves, pool, code[0], float(accuracy[0]), pairs=_PAIRS)


SOLVERS.register("linearised", Linearised)
