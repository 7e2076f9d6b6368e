"""Reinforcement learning: a recurrent controller writes architectures and is made likelier to write those that earn more than usual.

Zoph & Le 2017, Neural Architecture Search with Reinforcement Learning (arXiv 1611.01578), by REINFORCE (Williams 1992,
doi:10.1007/BF00992696): the baseline is a moving average of rewards, and a bonus for entropy keeps the controller from writing one
architecture only. The reward is that of MnasNet (Tan et al. 2019, arXiv 1807.11626), ``ACC x (LAT / T)^w`` where the limit is missed.
"""

from __future__ import annotations

import numpy as np

from hwnas.core.arch import Codes, SearchSpace
from hwnas.core.errors import ConfigError
from hwnas.core.predict import Floats
from hwnas.search.adam import Adam
from hwnas.search.controller import Controller
from hwnas.search.observed import Limits, Observed
from hwnas.search.strategy import STRATEGIES, Outcomes, Trials

_TEMPERATURES = (1.0, 1.0, 1.5, 2.0, 4.0)
_CLIPPED = 3.0


class Reinforce:
    """Minimises the first objective, which is minus the accuracy; ``1 + violation`` stands for ``LAT / T``, as where 5 % too slow is 0.05.

    ``exponent`` is the ``w`` of the reward, ``memory`` the share of the baseline that stays at each update, ``entropy`` the weight
    of the bonus.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        seed: int,
        initial: Codes | None = None,
        limits: Limits | None = None,
        hidden: int = 32,
        rate: float = 0.01,
        exponent: float = -1.0,
        memory: float = 0.9,
        entropy: float = 0.1,
    ) -> None:
        if hidden < 1 or rate <= 0 or exponent > 0 or not 0 <= memory < 1 or entropy < 0:
            raise ConfigError(
                f"REINFORCE needs hidden units, a rate above 0, an exponent of at most 0, a memory of 0 to below 1 and an entropy of at "
                f"least 0, not {hidden}, {rate}, {exponent}, {memory} and {entropy}"
            )
        self._known = Observed(space, seed=seed, initial=initial, limits=limits)
        self._controller = Controller(space, self._known.rng, hidden=hidden)
        self._adam = Adam(self._controller.weights, rate=rate)
        self._exponent, self._memory, self._entropy = exponent, memory, entropy
        self._rewards: dict[bytes, float] = {}
        self._written: Codes = self._known.codes
        self._baseline, self._spread = 0.0, 0.0
        self._updates = 0

    def ask(self, n: int) -> Trials:
        """Initial codes, then what the controller writes; of what it wrote before, the reward is remembered."""
        known = self._known
        codes = known.given(n)
        written = [known.codes[:0]]
        for temperature in _TEMPERATURES:
            if len(codes) >= n:
                break
            drawn = self._controller.sample(n - len(codes), known.rng, temperature=temperature)
            if temperature == 1:
                # only what it writes by its own chances may teach it
                written.append(drawn)
            codes = np.concatenate([codes, known.take_some(drawn, n - len(codes))])
        if len(codes) < n:
            # the controller repeats itself even when heated: look elsewhere before saying that all is done
            codes = np.concatenate([codes, known.random(n - len(codes))])
        self._written = np.concatenate(written)
        return Trials(codes)

    def tell(self, trials: Trials, outcomes: Outcomes) -> None:
        """One step of the controller."""
        self._known.tell(trials, outcomes)
        for row, reward in zip(trials.codes, self._reward(outcomes), strict=True):
            self._rewards[row.tobytes()] = float(reward)
        # what is beyond known limits was written and never asked for: it has no reward
        judged = [row for row in self._written if row.tobytes() in self._rewards]
        if judged:
            self._learn(np.array(judged), np.array([self._rewards[row.tobytes()] for row in judged]))

    def _learn(self, codes: Codes, reward: Floats) -> None:
        keep = self._memory if self._updates else 0.0
        self._updates += 1
        self._baseline = keep * self._baseline + (1 - keep) * float(reward.mean())
        away = reward - self._baseline
        self._spread = keep * self._spread + (1 - keep) * float((away**2).mean())
        # in units of what rewards usually differ by, so that accuracies in % and in shares are learnt from alike
        advantage = np.clip(away / max(self._spread**0.5, 1e-12), -_CLIPPED, _CLIPPED)
        self._adam.descend(self._controller.gradients(codes, advantage, entropy=self._entropy))

    def _reward(self, outcomes: Outcomes) -> Floats:
        accuracy = -outcomes.objectives[:, 0]
        # below 0, where a factor above 1 is what makes it worse, the sign of the exponent turns
        reward: Floats = accuracy * (1 + outcomes.violation) ** (self._exponent * np.sign(accuracy))
        return reward


STRATEGIES.register("reinforce", Reinforce)
