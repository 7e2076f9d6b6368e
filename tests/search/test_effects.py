"""Effects of single choices are what the models say of both architectures, and nothing is left out."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.core.arch import Architecture
from hwnas.search.effects import Effect, effects, worths
from hwnas.search.limits import Limit, Resource, ratio
from hwnas.search.solver import Models
from tests.search.models import SMALL, Timed, Weighted, everything

CODES = everything(SMALL)


@settings(max_examples=40)
@given(seed=st.integers(0, 10_000), row=st.integers(0, len(CODES) - 1), share=st.floats(0.3, 1.0))
def test_every_neighbour_is_there_with_exactly_what_it_changes(seed: int, row: int, share: float) -> None:
    latency, accuracy = Timed(SMALL, seed), Weighted(SMALL, seed + 1)
    limits = (Limit(Resource("params", "", lambda c: Weighted(SMALL, seed + 2).predict(c).mean), 4.0),)
    models = Models(SMALL, latency, accuracy, limits)
    arch = SMALL.architecture(CODES[row])
    budget_ms = share * float(latency.upper(CODES).max())
    found = effects(models, arch, budget_ms)
    active = SMALL.active(arch.codes)[0]
    assert len(found) == int((SMALL.n_options[active] - 1).sum())
    for effect in found:
        other = _moved(arch, effect)
        # what the move activates takes its first option
        for name in effect.activates:
            assert SMALL.values(other.indices)[name] == SMALL.choices[SMALL.index(name)].options[0]
        assert other.id == effect.arch
        own, its = (np.concatenate([model.predict(c).mean for c in (arch.codes, other.codes)]) for model in (accuracy, latency))
        np.testing.assert_allclose(effect.accuracy_change, own[1] - own[0], atol=1e-12)
        np.testing.assert_allclose(effect.latency_change_ms, its[1] - its[0], atol=1e-12)
        fits = latency.upper(other.codes)[0] <= budget_ms and ratio(limits, other.codes)[0] <= 1
        assert effect.outcome == ("over" if not fits else "better" if own[1] > own[0] else "beaten")


def _moved(arch: Architecture, effect: Effect) -> Architecture:
    code = np.array(arch.indices)
    position = SMALL.index(effect.choice)
    code[position] = SMALL.choices[position].options.index(effect.instead)
    return SMALL.architecture(code)


def test_what_choices_are_worth_is_held_against_the_cheapest_option() -> None:
    # options ascend in both models: the cheapest is the first
    models = Models(SMALL, Timed(SMALL, 1), Weighted(SMALL, 2))
    arch = SMALL.architecture([int(n) - 1 for n in SMALL.n_options])
    found = worths(effects(models, arch, 1e9))
    assert {w.choice: w.over for w in found} == {"size": 8, "depth": 1, "k0": 3, "k1": 3, "k2": 3}
    assert all(w.latency_ms > 0 and w.accuracy > 0 for w in found)
    prices = [w.points_per_ms for w in found]
    assert prices == sorted(prices, reverse=True)
    for w in found:
        np.testing.assert_allclose(w.points_per_ms, 100 * w.accuracy / w.latency_ms)
    # nothing is cheaper than the smallest
    assert worths(effects(models, SMALL.architecture([0] * len(SMALL.choices)), 1e9)) == ()
