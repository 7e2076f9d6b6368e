"""What long benchmarks keep, and the arithmetic of their ceilings."""

import json

import numpy as np
import pytest

from benchmarks.supernet._hand_made import DESIGNS, SIZE, hand_made
from benchmarks.supernet._state import State
from benchmarks.supernet.accuracy_predictor import reliability as of_counts
from benchmarks.supernet.ranking import Compared, recipes, reliability, stratified
from hwnas.core.errors import UsageError
from hwnas.latency.footprint import Footprint
from hwnas.space.family import find_space
from hwnas.supernet.curriculum import curriculum_of
from hwnas.supernet.recipe import TrainConfig


def test_a_result_is_made_once_for_what_decides_it(tmp_path):
    state, made = State(tmp_path / "state"), []

    def make():
        made.append(len(made))
        return {"value": 1.5, "list": (1, 2)}

    first = state.of("kind", {"a": 1}, make)
    assert first == state.of("kind", {"a": 1}, make) == {"value": 1.5, "list": [1, 2]}
    assert state.has("kind", {"a": 1})
    assert not state.has("kind", {"a": 2})
    state.of("kind", {"a": 2}, make)
    state.of("other", {"a": 1}, make)
    assert len(made) == 3
    kept = json.loads(state.path("kind", {"a": 1}, ".json").read_text())
    assert (kept["kind"], kept["inputs"], kept["result"]) == ("kind", {"a": 1}, first)


def test_what_fails_is_not_kept_and_what_is_no_result_is_refused(tmp_path):
    state = State(tmp_path)
    with pytest.raises(ZeroDivisionError):
        state.of("kind", {}, lambda: 1 / 0)
    assert not any(tmp_path.iterdir())
    state.path("kind", {}, ".json").write_text("[1]")
    with pytest.raises(UsageError, match="delete the file"):
        state.of("kind", {}, dict)


def test_the_reliability_of_means_is_that_of_repeated_noise():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=4000)
    two = [truth + rng.normal(size=(3, 4000)) for _ in range(2)]
    # a variance of 1 of the truth, and of a third of the mean of three: 1 / (1 + 1/3)
    assert reliability(two[0]) == pytest.approx(0.75, abs=0.03)
    figures = Compared(*two).figures
    assert figures["spearman"] == pytest.approx(0.75, abs=0.03)
    assert figures["spearman_share"] == pytest.approx(1.0, abs=0.03)
    assert figures["gap_points"] == pytest.approx(0.0, abs=0.05)


def test_the_reliability_of_counts_follows_from_two_unequal_ones():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=20_000)
    one, other = (truth + rng.normal(size=20_000) * (1500 / n) ** 0.5 for n in (2000, 3000))
    correlation = float(np.corrcoef(one, other)[0, 1])
    assert of_counts(correlation, 2000, 3000) == pytest.approx(5000 / 6500, abs=0.01)
    assert of_counts(1.0, 2000, 3000) == pytest.approx(1.0)
    assert of_counts(-0.2, 2000, 3000) == 0.0


def test_recipes_put_as_many_images_through_subnets():
    space, config = find_space("tiny-32"), TrainConfig(epochs=9)
    counts = {}
    for name, own in recipes(config).items():
        curriculum = curriculum_of(space, own, seed=0)
        counts[name] = sum(len(curriculum.lessons(epoch, 0)) for epoch in range(own.epochs))
        assert own.recipe == name
    assert set(counts.values()) == {27}


def test_strata_ascend_in_size():
    space = find_space("tiny-32")
    archs = stratified(space, 20)
    macs = Footprint(space).cost("macs", np.concatenate([arch.codes for arch in archs]))
    assert len(set(archs)) == 20
    assert (np.diff(macs) > 0).all()


@pytest.mark.parametrize("name", DESIGNS)
def test_nets_by_hand_take_images_of_their_size(name):
    import torch

    net = hand_made(name, channels=1, classes=10)
    first, again, other = (net.build(seed) for seed in (0, 0, 1))
    x = torch.zeros(2, 1, SIZE, SIZE)
    assert first.eval()(x).shape == (2, 10)
    weights = [[p.detach().clone() for p in each.parameters()] for each in (first, again, other)]
    assert all(torch.equal(a, b) for a, b in zip(weights[0], weights[1], strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(weights[0], weights[2], strict=True))
