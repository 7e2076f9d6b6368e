"""Every kind of accuracy predictor: it ranks what it has not seen, knows its error, comes back from its file, and refuses what it must."""

import json

import numpy as np
import pytest

from hwnas.core.artifacts import load_predictor, save_predictor
from hwnas.core.errors import PredictorError, UnknownNameError
from hwnas.space.family import SpaceOptions, find_space
from hwnas.space.moves import sample
from hwnas.supernet.ensemble import FOLDS, EnsembleAccuracy
from hwnas.supernet.members import MEMBERS
from hwnas.supernet.predictor import FITTED, load_accuracy, new_accuracy, save_accuracy
from tests.supernet.test_predictor import accuracies

SEEN = 120


@pytest.fixture(scope="module")
def tiny():
    return find_space("tiny-32")


@pytest.fixture(scope="module")
def subnets(tiny):
    """Codes and accuracies with a little noise: the first are to be seen."""
    codes = sample(tiny, SEEN + 150, np.random.default_rng(0))
    return codes, accuracies(tiny, codes, noise=0.002)


@pytest.fixture(scope="module")
def fitted(tiny, subnets):
    codes, y = subnets
    return {name: new_accuracy(name, tiny, seed=0).fit(codes[:SEEN], y[:SEEN]) for name in FITTED}


@pytest.mark.parametrize("name", FITTED)
class TestEveryKind:
    def test_it_ranks_unseen_subnets_and_knows_its_error(self, subnets, fitted, name):
        codes, y = subnets
        said = fitted[name].predict(codes[SEEN:])
        assert said.mean.shape == said.std.shape == (150,)
        assert np.corrcoef(said.mean, y[SEEN:])[0, 1] > 0.8
        assert (said.std > 0).all()
        assert 0.3 < ((said.mean - y[SEEN:]) / said.std).std() < 2.0
        assert ((said.mean >= 0) & (said.mean <= 1)).all()

    def test_a_subnet_is_predicted_alike_whoever_is_beside_it(self, subnets, fitted, name):
        codes, _ = subnets
        together, alone = fitted[name].predict(codes[:9]), fitted[name].predict(codes[4:5])
        np.testing.assert_allclose(together.mean[4:5], alone.mean, rtol=1e-12)
        np.testing.assert_allclose(together.std[4:5], alone.std, rtol=1e-9)

    def test_the_same_seed_gives_the_same_bits(self, tiny, subnets, fitted, name):
        codes, y = subnets
        again = new_accuracy(name, tiny, seed=0).fit(codes[:SEEN], y[:SEEN])
        assert np.array_equal(again.predict(codes).mean, fitted[name].predict(codes).mean)

    def test_it_comes_back_from_its_file(self, tiny, subnets, fitted, name, tmp_path):
        codes, _ = subnets
        path = tmp_path / "accuracy.json"
        save_accuracy(path, fitted[name])
        before, after = fitted[name].predict(codes), load_accuracy(path, tiny).predict(codes)
        assert np.array_equal(before.mean, after.mean)
        assert np.array_equal(before.std, after.std)

    def test_refusals(self, tiny, subnets, fitted, name, tmp_path):
        codes, y = subnets
        new = new_accuracy(name, tiny, seed=0)
        with pytest.raises(PredictorError, match="not fitted"):
            new.predict(codes)
        with pytest.raises(PredictorError, match="not fitted"):
            new.state()
        with pytest.raises(PredictorError, match="at least 5 subnets"):
            new.fit(codes[:4], y[:4])
        with pytest.raises(PredictorError, match="shares between 0 and 1"):
            new.fit(codes, 100 * y)
        path = tmp_path / "accuracy.json"
        save_accuracy(path, fitted[name])
        with pytest.raises(PredictorError, match="is of space"):
            load_accuracy(path, find_space("tiny-32", SpaceOptions(classes=7)))

    def test_equal_accuracies_are_learned(self, tiny, subnets, name):
        codes, _ = subnets
        said = new_accuracy(name, tiny, seed=0).fit(codes[:20], np.full(20, 0.5)).predict(codes[20:30])
        np.testing.assert_allclose(said.mean, 0.5, atol=1e-6)


def test_an_unknown_kind(tiny):
    with pytest.raises(UnknownNameError, match="did you mean 'gaussian'"):
        new_accuracy("gausian", tiny, seed=0)
    assert set(FITTED) == {"ridge", *MEMBERS}


def test_members_disagree_more_far_from_what_they_saw(tiny, subnets):
    codes, _ = subnets
    near = codes[:SEEN].copy()
    near[:, 0] = 0
    near = tiny.canonical(near)
    model = EnsembleAccuracy(tiny).fit(near, accuracies(tiny, near, noise=0.002))
    far = near.copy()
    far[:, 1:] = tiny.n_options[1:] - 1
    far[:, 0] = tiny.n_options[0] - 1
    assert model.predict(tiny.canonical(far)[:1]).std[0] > model.predict(near).std.mean()


def test_every_subnet_is_unseen_by_one_member(fitted):
    assert all(len(fitted[name].fitted.members) == FOLDS for name in MEMBERS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"member": "oracle"}, "unknown accuracy predictor 'oracle'"),
        ({"members": 0}, "without members"),
        ({"members": 9}, "array 'member8.weight0' is missing"),
        ({"level": None}, "run 'hwnas accuracy fit'"),
    ],
)
def test_an_edited_file(tiny, fitted, tmp_path, change, message):
    path = tmp_path / "accuracy.json"
    save_accuracy(path, fitted["mlp"])
    stored = load_predictor(path)
    save_predictor(path, stored.kind, {**stored.meta, **change}, stored.arrays)
    with pytest.raises((PredictorError, UnknownNameError)) as caught:
        load_accuracy(path, tiny)
    assert message in str(caught.value)
    assert json.loads(path.read_text())["kind"] == "accuracy-ensemble"
