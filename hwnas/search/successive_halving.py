"""Successive halving: many candidates are trained a little, the most promising of them longer, and few to the end.

Jamieson & Talwalkar 2016 (arXiv 1502.07943), bracket after bracket. What promises most is judged by where learning curves will end, and
what is unlikely to end above the best so far is not trained on, as Baker et al. 2017 (arXiv 1705.10823) stop training (`curves`).
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

from hwnas.core.arch import Codes, SearchSpace
from hwnas.core.errors import ConfigError
from hwnas.search.curves import extrapolated
from hwnas.search.observed import Limits, Observed
from hwnas.search.strategy import TRAINED, Outcomes, Trials
from hwnas.space.moves import encode

_STANDARD = NormalDist()
_RECENT = 500


class SuccessiveHalving:
    """Minimises the first objective, of candidates that can be trained in part; all of one ask are trained equally long.

    A bracket begins with ``factor ** (rungs - 1)`` candidates at fidelity ``factor ** (1 - rungs)``; of each rung, one of ``factor`` goes
    on to the next, at ``factor`` times the fidelity. ``hopeless``: below this chance of ending better than the best, none does.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        seed: int,
        initial: Codes | None = None,
        limits: Limits | None = None,
        rungs: int = 4,
        factor: int = 3,
        hopeless: float = 0.05,
    ) -> None:
        if rungs < 1 or factor < 2 or factor ** (rungs - 1) > 1000 or not 0 <= hopeless < 1:
            raise ConfigError(
                f"successive halving needs rungs, a factor of at least 2, at most 1000 candidates a bracket and a chance of 0 to below 1, "
                f"not {rungs}, {factor} and {hopeless}"
            )
        self._known = Observed(space, seed=seed, initial=initial, limits=limits)
        self._fidelities = [float(factor) ** (rung + 1 - rungs) for rung in range(rungs)]
        self._factor, self._hopeless = factor, hopeless
        self._codes: Codes = self._known.codes
        self._curves = np.zeros((0, rungs))
        self._violation = np.zeros(0)
        self._rung = -1
        self._members: list[int] = []
        self._asked = 0
        self._told = 0

    def ask(self, n: int) -> Trials:
        """The next candidates of this rung, or of the next one."""
        if self._asked == self._told == len(self._members):
            self._advance()
        rows = self._members[self._asked : self._asked + n]
        self._asked += len(rows)
        return Trials(self._codes[rows], self._fidelities[self._rung])

    def tell(self, trials: Trials, outcomes: Outcomes) -> None:
        """What came out at this rung, in the order in which it was asked for."""
        rows = self._members[self._told : self._told + len(trials)]
        self._curves[rows, self._rung] = -outcomes.objectives[:, 0]
        self._violation[rows] = outcomes.violation
        self._told += len(trials)

    def _advance(self) -> None:
        """To the next rung with those that go on, or to a new bracket."""
        going = self._promoted() if 0 <= self._rung < len(self._fidelities) - 1 else []
        self._asked = self._told = 0
        if going:
            self._rung, self._members = self._rung + 1, going
            return
        size = self._factor ** (len(self._fidelities) - 1)
        fresh = self._known.given(size)
        fresh = np.concatenate([fresh, self._known.random(size - len(fresh))])
        self._rung = 0
        self._members = list(range(len(self._codes), len(self._codes) + len(fresh)))
        self._codes = np.concatenate([self._codes, fresh])
        self._curves = np.concatenate([self._curves, np.full((len(fresh), len(self._fidelities)), np.nan)])
        self._violation = np.concatenate([self._violation, np.zeros(len(fresh))])

    def _promoted(self) -> list[int]:
        """Those of this rung that go on, the most promising first."""
        rows = np.array(self._members)
        recent = np.arange(max(0, len(self._codes) - _RECENT), len(self._codes))
        features = encode(self._known.space, self._codes[recent])
        own = encode(self._known.space, self._codes[rows])
        mean, std = extrapolated(self._curves[recent], features, self._curves[rows, : self._rung + 1], own)
        order = np.lexsort((-mean, self._violation[rows]))[: max(1, len(rows) // self._factor)]
        done = self._curves[self._violation == 0, -1]
        best = np.nanmax(done) if (~np.isnan(done)).any() else -np.inf
        # nothing is given up on a guess that has no known error
        hope = [1.0 if not np.isfinite(std[i]) or best == -np.inf else _beaten(mean[i], std[i], float(best)) for i in order]
        return [int(rows[i]) for i, chance in zip(order, hope, strict=True) if chance >= self._hopeless]


def _beaten(mean: float, std: float, best: float) -> float:
    """The chance that a normal variable is above ``best``."""
    return 1 - _STANDARD.cdf((best - mean) / max(std, 1e-12))


TRAINED.register("successive_halving", SuccessiveHalving)
