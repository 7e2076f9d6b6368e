"""NSGA-II: ranks of non-dominated fronts choose who lives, distances within a front who breeds (Deb et al. 2002, doi:10.1109/4235.996017).

pymoo (Blank & Deb 2020, doi:10.1109/ACCESS.2020.2990567) sorts, selects and keeps the population, through its own ask and tell; children
are made by the moves that every space has. It is imported when a search begins and not before: it is an extra.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hwnas.core.arch import Codes, SearchSpace
from hwnas.core.errors import ConfigError, UsageError
from hwnas.search.observed import Limits, Observed
from hwnas.search.strategy import STRATEGIES, Outcomes, Trials
from hwnas.space.moves import cross, mutate

_TRIES = 4


class NSGA2:
    """Minimises all objectives; an architecture without violation beats any with one.

    ``crossover`` is the share of children with two parents, ``rate`` the chance of each choice to mutate (default: one of all on average).
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        seed: int,
        initial: Codes | None = None,
        limits: Limits | None = None,
        population: int = 100,
        rate: float | None = None,
        crossover: float = 0.9,
    ) -> None:
        if population < 2 or not 0 <= crossover <= 1 or (rate is not None and not 0 < rate <= 1):
            raise ConfigError(
                f"NSGA-II needs a population of at least 2, a rate above 0 and up to 1 and a crossover of 0 to 1, "
                f"not {population}, {rate} and {crossover}"
            )
        self._pymoo = _Pymoo()
        self._known = Observed(space, seed=seed, initial=initial, limits=limits)
        self._space = space
        self._seed = seed
        self._size = max(population, 0 if initial is None else len(initial))
        self._rate = 1 / max(len(space.choices), 1) if rate is None else rate
        self._crossover = crossover
        self._algorithm: Any = None
        self._generation: Any = None
        self._waiting: Codes = self._known.codes
        self._told: list[Outcomes] = []
        self._missing = 0

    def ask(self, n: int) -> Trials:
        """The rest of a generation: the first is initial and random codes, the others are children of the population."""
        if not len(self._waiting) and not self._missing:
            self._waiting = self._next()
            self._missing = len(self._waiting)
        codes, self._waiting = self._waiting[:n], self._waiting[n:]
        return Trials(codes)

    def tell(self, trials: Trials, outcomes: Outcomes) -> None:
        """Once all of a generation is told, the population is chosen anew."""
        self._known.tell(trials, outcomes)
        self._told.append(outcomes)
        self._missing -= len(trials)
        if self._missing:
            return
        objectives = np.concatenate([each.objectives for each in self._told])
        violation = np.concatenate([each.violation for each in self._told])
        self._told = []
        if self._algorithm is None:
            first = self._known.codes[-len(objectives) :]
            self._algorithm = self._pymoo.algorithm(first, objectives.shape[1], self._size, self._seed, self)
            self._generation = self._algorithm.ask()
        self._generation.set("F", objectives)
        self._generation.set("G", violation[:, None])
        self._algorithm.tell(infills=self._generation)

    def do(self, problem: Any, population: Any, n: int, *, algorithm: Any, random_state: Any) -> Any:
        """What pymoo calls a mating: ``n`` children that nobody asked for yet, fewer where hardly any are left."""
        known = self._known
        alive = population.get("X").astype(np.int16)
        parts = [known.codes[:0]]
        for _ in range(_TRIES):
            missing = n - sum(map(len, parts))
            if not missing:
                break
            pairs = self._pymoo.selection.do(problem, population, missing, 2, to_pop=False, algorithm=algorithm, random_state=random_state)
            first, second = alive[pairs[:, 0]], alive[pairs[:, 1]]
            mixed = np.where(known.rng.random((missing, 1)) < self._crossover, cross(self._space, first, second, known.rng), first)
            parts.append(known.take_some(mutate(self._space, mixed.astype(np.int16), known.rng, rate=self._rate), missing))
        codes = np.concatenate(parts)
        # everything near the population is known: look elsewhere before saying that all is done
        return self._pymoo.population(codes if len(codes) else known.random(n))

    def _next(self) -> Codes:
        if self._algorithm is None:
            return self._known.opening(self._size, first=self._size)
        self._generation = self._algorithm.ask()
        if self._generation is None:
            return self._known.codes[:0]
        codes: Codes = self._generation.get("X").astype(np.int16)
        return codes


class _Pymoo:
    """What is used of pymoo; where it is not installed, a `UsageError` says which extra brings it."""

    def __init__(self) -> None:
        try:
            from pymoo.algorithms.moo import nsga2
            from pymoo.core.population import Population
            from pymoo.core.problem import Problem
            from pymoo.core.termination import NoTermination
            from pymoo.operators.selection.tournament import TournamentSelection
        except ImportError:
            raise UsageError("strategy 'nsga2' needs pymoo; pip install 'hwnas[search]'") from None
        self._nsga2, self._population, self._problem, self._termination = nsga2, Population, Problem, NoTermination
        self.selection = TournamentSelection(func_comp=nsga2.binary_tournament)

    def population(self, codes: Codes) -> Any:
        """``codes: (n, n_choices)`` as individuals without values."""
        return self._population.new(X=codes)

    def algorithm(self, first: Codes, n_objectives: int, size: int, seed: int, mating: NSGA2) -> Any:
        """The algorithm at its start, with ``first: (n, n_choices)`` as its first generation; it never ends by itself."""
        made = self._nsga2.NSGA2(pop_size=size, sampling=self.population(first), mating=mating, eliminate_duplicates=False, seed=seed)
        problem = self._problem(n_var=first.shape[1], n_obj=n_objectives, n_ieq_constr=1)
        return made.setup(problem, termination=self._termination())


STRATEGIES.register("nsga2", NSGA2)
