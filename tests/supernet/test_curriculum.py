"""Every training recipe: its phases cover the training, its lessons depend on the seed alone, and a killed run ends with the same bits."""

from dataclasses import replace

import pytest
import torch

from hwnas.core.errors import ConfigError, UnknownNameError
from hwnas.core.serial import parse
from hwnas.space.family import family_of
from hwnas.supernet.checkpoint import Checkpoints
from hwnas.supernet.curriculum import CURRICULA, ORDER, Shrinking, SinglePath, curriculum_of
from hwnas.supernet.family import supernet_family
from hwnas.supernet.recipe import RECIPES, SHRINKING_STEPS, TrainConfig
from hwnas.supernet.train import train

SHORT = TrainConfig(epochs=3, batch=48, warmup_epochs=0.5, threads=1)
CONFIGS = {
    "sandwich": SHORT,
    "single-path": replace(SHORT, recipe="single-path", random_subnets=2, teacher_epochs=1),
    "shrinking": TrainConfig(recipe="shrinking", epochs=6, teacher_epochs=1, batch=48, warmup_epochs=0.5, threads=1),
}


class Killed(Exception):
    pass


def weights(space, data, config, *, seed=5, checkpoints=None, kill_after=None):
    """What training leaves, by name."""
    net = supernet_family(space).build(space, seed=seed)
    count = iter(range(1, 10_000))

    def progress(_):
        if next(count) == kill_after:
            raise Killed

    train(net, curriculum_of(space, config, seed=seed), data, config, seed=seed, checkpoints=checkpoints, progress=progress)
    return net.state_dict()


def same(one, other):
    return all(torch.equal(value, other[name]) for name, value in one.items())


def test_the_names_are_those_of_the_configuration():
    assert sorted(RECIPES) == list(CURRICULA.names()) == sorted(CONFIGS)
    assert len(ORDER) == SHRINKING_STEPS


@pytest.mark.parametrize("name", RECIPES)
class TestEveryRecipe:
    def test_phases_cover_the_training(self, space, name):
        config = CONFIGS[name]
        for epochs in range(config.epochs, config.epochs + 20):
            phases = curriculum_of(space, replace(config, epochs=epochs), seed=0).phases
            assert sum(phase.epochs for phase in phases) == epochs
            assert all(phase.epochs >= 1 for phase in phases)

    def test_lessons_are_of_the_space_and_depend_on_the_seed_alone(self, space, name):
        config = CONFIGS[name]
        one, again, other = (curriculum_of(space, config, seed=seed) for seed in (3, 3, 4))
        places = [(e, s) for e in range(config.epochs) for s in range(3)]
        lessons = [one.lessons(e, s) for e, s in places]
        assert lessons == [again.lessons(e, s) for e, s in places]
        assert lessons != [other.lessons(e, s) for e, s in places]
        for each in lessons:
            assert each[0].labels > 0
            assert one.teacher is not None or not any(lesson.teacher for lesson in each)
            for lesson in each:
                assert lesson.labels + lesson.first + lesson.teacher > 0
                assert space.architecture(lesson.arch.codes[0]) == lesson.arch

    def test_nobody_learns_from_a_teacher_that_is_not_there_yet(self, space, name):
        curriculum = curriculum_of(space, CONFIGS[name], seed=0)
        assert not any(lesson.teacher for e in range(curriculum.phases[0].epochs) for lesson in curriculum.lessons(e, 0))

    @pytest.mark.slow  # the sandwich's resume is in the fast suite
    def test_killed_anywhere_it_ends_with_the_same_bits(self, space, data, tmp_path, name):
        config = replace(CONFIGS[name], ema=0.9, mixup=0.2, accumulate=2, checkpoint_steps=1)
        whole = weights(space, data, config)
        for kill_after in (3, 8) if name == "shrinking" else (3,):
            checkpoints = Checkpoints(tmp_path / str(kill_after), {})
            with pytest.raises(Killed):
                weights(space, data, config, checkpoints=checkpoints, kill_after=kill_after)
            assert same(whole, weights(space, data, config, checkpoints=checkpoints))


@pytest.mark.parametrize("change", [{"ema": 0.9}, {"mixup": 0.4}, {"accumulate": 2}, {"random_subnets": 2}])
def test_every_option_counts(space, data, change):
    assert not same(weights(space, data, SHORT), weights(space, data, replace(SHORT, **change)))


def test_the_average_is_of_the_weights_after_each_step(space, data):
    """Two steps, by hand: the decay is that of the few steps so far."""
    config = replace(SHORT, batch=96, warmup_epochs=1000.0, lr=100.0)  # a warm-up that never ends: one epoch is the first of two
    start = supernet_family(space).build(space, seed=5).state_dict()
    one, two = (weights(space, data, replace(config, epochs=epochs)) for epochs in (1, 2))
    averaged = weights(space, data, replace(config, epochs=2, ema=0.99))
    for name in ("head.classifier.weight", "stem.conv.weight"):
        after_one = 0.1 * start[name] + 0.9 * one[name]
        torch.testing.assert_close(averaged[name], 2 / 11 * after_one + 9 / 11 * two[name])
        assert not torch.allclose(averaged[name], two[name])


def test_shrinking_frees_choices_in_their_order(space):
    config = TrainConfig(recipe="shrinking", epochs=16, teacher_epochs=4, random_subnets=60)
    shrinking = Shrinking(space, config, 0)
    largest = family_of(space).extremes(space)[1]
    assert shrinking.lessons(0, 0) == shrinking.lessons(3, 1)
    assert shrinking.lessons(0, 0)[0].arch == largest
    begin, found, sizes = 0, [], set()
    for phase in shrinking.phases:
        values = [space.values(lesson.arch.indices) for lesson in shrinking.lessons(begin, 0)]
        sizes = {row["resolution"] for row in values}
        found.append({k: sorted({v for row in values for n, v in row.items() if n.endswith(k)}) for k in ("kernel", "depth", "expand")})
        begin += phase.epochs
    kernels, depths, expands = [3, 5, 7], [2, 3, 4], [3, 4, 6]
    assert [tuple(each.values()) for each in found] == [
        ([7], [4], [6]),
        (kernels, [4], [6]),
        (kernels, [3, 4], [6]),
        (kernels, depths, [6]),
        (kernels, depths, [4, 6]),
        (kernels, depths, expands),
    ]
    assert [phase.sort for phase in shrinking.phases] == [0, 0, 0, 0, 1, 2]
    assert sizes == set(space.choices[0].options)


def test_a_teacher_that_was_trained_first_changes_what_others_learn(space, data):
    config = CONFIGS["single-path"]
    taught, untaught = (SinglePath(space, replace(config, teacher_epochs=n), 5) for n in (1, 0))
    assert all(lesson.teacher == 1.0 for lesson in taught.lessons(1, 0))
    assert all(lesson.teacher == 0.0 for lesson in untaught.lessons(1, 0))
    assert not same(weights(space, data, config), weights(space, data, replace(config, teacher_epochs=0)))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"recipe": "sandwhich"}, "unknown training recipe 'sandwhich'; did you mean 'sandwich'?"),
        ({"teacher_epochs": 2}, "the largest subnet teaches while it learns"),
        ({"recipe": "shrinking"}, "train.teacher_epochs must be at least 1"),
        ({"recipe": "shrinking", "teacher_epochs": 6}, "train.epochs of 10 leaves less than 5 after train.teacher_epochs of 6"),
        ({"recipe": "single-path", "teacher_epochs": 10}, "leaves less than 1"),
        ({"recipe": "single-path", "random_subnets": 0}, "random_subnets must be at least 1"),
        ({"ema": 1.0}, "ema must be at least 0 and below 1"),
        ({"mixup": -0.1}, "mixup must not be negative"),
        ({"later_lr": 0.0}, "later_lr must be above 0"),
        ({"accumulate": 0}, "accumulate must be at least 1"),
        ({"accumulate": 32}, "each of 64 parts (threads times accumulate) less than"),
    ],
)
def test_bad_recipes(values, message):
    with pytest.raises((ConfigError, UnknownNameError)) as caught:
        parse(TrainConfig, values, where="hwnas.toml: train")
    assert message in str(caught.value)
