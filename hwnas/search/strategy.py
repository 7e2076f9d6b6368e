"""The protocol of search strategies (ask, tell), their registry, and the loop that drives one.

A strategy proposes codes and learns outcomes; it knows neither devices nor predictors. All objectives are minimised, and a violation above
0 says by how much a constraint is missed (Deb et al. 2002, doi:10.1109/4235.996017, section VI).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from hwnas.core.arch import Codes, SearchSpace
from hwnas.core.errors import ConfigError, PredictorError
from hwnas.core.predict import Floats
from hwnas.core.registry import Registry

_ROUNDED = 1e-6
FINEST = 1000
"""No evaluation is wanted at less than one part in this many."""


@dataclass(frozen=True, slots=True)
class Trials:
    """What a strategy wants evaluated: canonical ``codes: (n, n_choices) int16``.

    ``fidelity`` is the share of a full evaluation that is wanted: of its epochs where candidates are trained, and of its cost.
    """

    codes: Codes
    fidelity: float = 1.0

    def __post_init__(self) -> None:
        if not 1 / FINEST <= self.fidelity <= 1:
            raise ValueError(f"a fidelity is 1 / {FINEST} to 1, not {self.fidelity}")

    def __len__(self) -> int:
        return len(self.codes)


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Of every trial: ``objectives: (n, m)``, all minimised, ``violation: (n,)`` with 0 = feasible, ``std: (n, m)`` or None.

    Values that are not finite, or a negative violation, raise `PredictorError`: nothing is ranked by accident.
    """

    objectives: Floats
    violation: Floats
    std: Floats | None = None

    def __post_init__(self) -> None:
        if self.objectives.ndim != 2 or self.violation.shape != self.objectives.shape[:1]:
            raise ValueError(f"objectives (n, m) and violation (n,) needed, not {self.objectives.shape} and {self.violation.shape}")
        bad = ~np.isfinite(self.objectives).all(axis=1) | ~np.isfinite(self.violation) | (self.violation < 0)
        if bad.any():
            row = int(np.argmax(bad))
            raise PredictorError(
                f"trial {row} was evaluated to {self.objectives[row].tolist()} with violation {self.violation[row]}; "
                "finite numbers and a violation of at least 0 are needed"
            )


Evaluate = Callable[[Trials], Outcomes]


class Strategy(Protocol):
    """Proposes and learns. The same seed and the same outcomes give the same proposals, bit for bit."""

    def ask(self, n: int) -> Trials:
        """At most ``n`` trials; none means that the strategy is done."""
        ...

    def tell(self, trials: Trials, outcomes: Outcomes) -> None:
        """What came out, for trials as they were asked for."""
        ...


class StrategyFactory(Protocol):
    """Makes a strategy; ``initial: (k, n_choices)`` is asked for first."""

    def __call__(self, space: SearchSpace, *, seed: int, initial: Codes | None = None) -> Strategy:
        """A strategy at its start."""
        ...


STRATEGIES: Registry[StrategyFactory] = Registry("strategy")
TRAINED: Registry[StrategyFactory] = Registry("strategy for candidates that are trained")
"""Those that ask for less than full evaluations, which predictors have none of; the others never do."""


@dataclass(frozen=True, slots=True)
class History:
    """Everything that was evaluated, in order: ``codes: (n, n_choices)``, ``objectives: (n, m)``, ``violation`` and ``fidelity (n,)``."""

    codes: Codes
    objectives: Floats
    violation: Floats
    fidelity: Floats

    def __len__(self) -> int:
        return len(self.codes)

    def best(self) -> int:
        """The row with the least first objective among the feasible, else the one with the least violation; of the longest evaluated."""
        if not len(self):
            raise ConfigError("nothing was evaluated, so nothing is best")
        return int(np.lexsort((self.objectives[:, 0], self.violation, -self.fidelity))[0])


def search(strategy: Strategy, evaluate: Evaluate, *, trials: int, batch: int = 1) -> History:
    """Ask, evaluate and tell until ``trials`` full evaluations were spent, or the strategy is done."""
    if trials < 1 or batch < 1:
        raise ConfigError(f"a search needs at least 1 trial and a batch of at least 1, not {trials} and {batch}")
    codes: list[Codes] = []
    outcomes: list[Outcomes] = []
    fidelity: list[Floats] = []
    left = float(trials)
    # every round spends at least one evaluation of the finest fidelity
    for _ in range(FINEST * trials):
        room = min(batch, int(left + _ROUNDED))
        if not room:
            break
        asked = strategy.ask(room)
        if not len(asked):
            break
        if len(asked) > room:
            raise ValueError(f"the strategy proposed {len(asked)} trials where {room} were asked for")
        told = evaluate(asked)
        strategy.tell(asked, told)
        codes.append(asked.codes)
        outcomes.append(told)
        fidelity.append(np.full(len(asked), asked.fidelity))
        left -= len(asked) * asked.fidelity
    if not codes:
        return History(np.zeros((0, 0), np.int16), np.zeros((0, 1)), np.zeros(0), np.zeros(0))
    return History(
        np.concatenate(codes),
        np.concatenate([o.objectives for o in outcomes]),
        np.concatenate([o.violation for o in outcomes]),
        np.concatenate(fidelity),
    )
