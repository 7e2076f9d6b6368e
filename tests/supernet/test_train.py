"""Training: the sandwich rule, its schedule, and runs that go on where they were killed."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from hwnas.core.errors import CheckpointError, ConfigError, DataError, TrainingDiverged
from hwnas.core.serial import parse
from hwnas.data.batches import batches
from hwnas.space.family import family_of
from hwnas.supernet.checkpoint import Checkpoints, Position
from hwnas.supernet.curriculum import Alone, Lesson, Phase, Sandwich, curriculum_of
from hwnas.supernet.family import supernet_family
from hwnas.supernet.recipe import TrainConfig
from hwnas.supernet.tensors import threads
from hwnas.supernet.train import Progress, learning_rate, train

CONFIG = TrainConfig(epochs=2, batch=32, warmup_epochs=0.5, threads=1)
STEPS = 3


class Killed(Exception):
    pass


def trained(space, data, config=CONFIG, *, seed=7, curriculum=None, checkpoints=None, kill_after=None, seen=None):
    """A supernet trained from scratch or from checkpoints; ``kill_after`` steps of this process it dies."""
    net = supernet_family(space).build(space, seed=seed)
    count = 0

    def progress(at: Progress) -> None:
        nonlocal count
        count += 1
        if seen is not None:
            seen.append(at)
        if kill_after is not None and count == kill_after:
            raise Killed

    chosen = curriculum or curriculum_of(space, config, seed=seed)
    train(net, chosen, data, config, seed=seed, checkpoints=checkpoints, progress=progress)
    return net


def same(one, other):
    return all(torch.equal(value, other.state_dict()[name]) for name, value in one.state_dict().items())


@pytest.fixture(scope="module")
def reference(space, data):
    return trained(space, data)


def test_same_seed_same_bits(space, data, reference):
    assert same(reference, trained(space, data))


def test_another_seed_trains_otherwise(space, data, reference):
    assert not same(reference, trained(space, data, seed=8))


def test_torchs_own_threads_do_not_matter(space, data, reference):
    with threads(2):
        assert same(reference, trained(space, data))
        assert torch.get_num_threads() == 2


@pytest.mark.slow
def test_two_processes_give_the_same_bits_every_time(space, data, reference, tmp_path):
    config = replace(CONFIG, threads=2)
    checkpoints = Checkpoints(tmp_path, {})
    with pytest.raises(Killed):
        trained(space, data, config, checkpoints=checkpoints, kill_after=STEPS + 1)
    resumed = trained(space, data, config, checkpoints=checkpoints)
    assert same(trained(space, data, config), resumed)
    assert not same(reference, resumed)  # batch norm sees half of the batch


@pytest.mark.parametrize("every", [0, 2])
@pytest.mark.parametrize("kill_after", range(1, 2 * STEPS + 1))
def test_killed_at_any_step_the_resumed_run_ends_with_the_same_bits(space, data, reference, tmp_path, kill_after, every):
    config = replace(CONFIG, checkpoint_steps=every)
    checkpoints = Checkpoints(tmp_path, {"space": space.id})
    with pytest.raises(Killed):
        trained(space, data, config, checkpoints=checkpoints, kill_after=kill_after)
    seen: list[Progress] = []
    resumed = trained(space, data, config, checkpoints=checkpoints, seen=seen)
    done = kill_after // STEPS * STEPS
    if every and kill_after % STEPS >= every:
        done += kill_after % STEPS // every * every
    assert len(seen) == 2 * STEPS - done
    assert same(reference, resumed)


def test_killed_again_and_again(space, data, reference, tmp_path):
    config = replace(CONFIG, checkpoint_steps=1)
    checkpoints = Checkpoints(tmp_path, {})
    for _ in range(2 * STEPS):
        with pytest.raises(Killed):
            trained(space, data, config, checkpoints=checkpoints, kill_after=1)
    assert checkpoints.files()[0].name.startswith("epoch00002-step0000000")
    assert same(reference, trained(space, data, config, checkpoints=checkpoints))


def test_a_torn_checkpoint_is_passed_over(space, data, reference, tmp_path):
    config = replace(CONFIG, checkpoint_steps=1)
    checkpoints = Checkpoints(tmp_path, {})
    with pytest.raises(Killed):
        trained(space, data, config, checkpoints=checkpoints, kill_after=5)
    newest, older = checkpoints.files()
    newest.write_bytes(newest.read_bytes()[:-100])
    seen: list[Progress] = []
    assert same(reference, trained(space, data, config, checkpoints=checkpoints, seen=seen))
    assert (seen[0].epoch, seen[0].step) == (1, 1)
    assert older not in checkpoints.files()


def test_checkpoints_of_another_run_are_refused(space, data, tmp_path):
    trained(space, data, replace(CONFIG, epochs=1), checkpoints=Checkpoints(tmp_path, {"seed": 1}))
    with pytest.raises(CheckpointError, match="another training run"):
        trained(space, data, checkpoints=Checkpoints(tmp_path, {"seed": 2}))


def test_progress_counts_every_step(space, data):
    seen: list[Progress] = []
    trained(space, data, seen=seen)
    assert [(p.epoch, p.step) for p in seen] == [(e, s) for e in range(2) for s in range(STEPS)]
    assert seen[-1].share == 1.0
    assert all(math.isfinite(p.loss) for p in seen)


def test_training_learns(space, data):
    seen: list[Progress] = []
    config = replace(CONFIG, epochs=20, label_smoothing=0.0, shift=0.0, threads=1)
    trained(space, data, config, curriculum=Alone(family_of(space).extremes(space)[0], 20), seen=seen)
    assert np.mean([p.loss for p in seen[-STEPS:]]) < 0.6 * seen[0].loss


def test_the_sandwich_has_both_ends_and_draws_the_rest_by_seed_epoch_and_step(space):
    smallest, largest = family_of(space).extremes(space)
    two = replace(CONFIG, random_subnets=2)
    sandwich = Sandwich(space, two, 3)
    drawn = {(e, s): sandwich.lessons(e, s) for e in range(3) for s in range(3)}
    ends = (Lesson(largest), Lesson(smallest, labels=0.0, first=1.0))
    assert all(lessons[:2] == ends and len(lessons) == 4 for lessons in drawn.values())
    assert len({lessons[2:] for lessons in drawn.values()}) == 9
    assert Sandwich(space, two, 3).lessons(1, 2) == drawn[1, 2]
    assert Sandwich(space, two, 4).lessons(1, 2) != drawn[1, 2]


def test_students_learn_from_the_largest_alone(space, data):
    """With one subnet the labels decide; students change what the shared weights become."""
    largest = family_of(space).extremes(space)[1]
    by_itself = trained(space, data, curriculum=Alone(largest, CONFIG.epochs))
    fresh = supernet_family(space).build(space, seed=7)
    moved = [name for name, value in by_itself.state_dict().items() if not torch.equal(value, fresh.state_dict()[name])]
    assert moved
    assert not any("transforms" in name for name in moved)  # kernel 7 is raw
    assert not same(by_itself, trained(space, data))


def test_a_step_is_the_mean_gradient_of_its_shares(space, data):
    """One step of plain SGD without momentum, recomputed by hand."""
    config = TrainConfig(epochs=1, batch=96, momentum=0.0, weight_decay=0.0, warmup_epochs=0.0, lr=0.5, flip=False, shift=0.0, threads=2)
    smallest, largest = family_of(space).extremes(space)
    after = trained(space, data, replace(config, random_subnets=0))
    net = supernet_family(space).build(space, seed=7).train()
    (positions,) = batches(96, batch=96, seed=7, epoch=0)
    labels = torch.from_numpy(data.labels("train")[positions])
    total = torch.zeros(())
    for half in (slice(0, 48), slice(48, 96)):
        logits = []
        for arch in (largest, smallest):
            size = family_of(space).resolution(space, arch)
            x = data.preprocessing(size).normalise(data.images("train", size)[positions])
            logits.append(net(torch.from_numpy(x[half]), arch))
        hard = torch.nn.functional.one_hot(labels[half], 10) * 0.9 + 0.01
        soft = logits[0].detach().softmax(1)
        for target, output in ((hard, logits[0]), (soft, logits[1])):
            total = total - (target * output.log_softmax(1)).sum(1).mean() / 2
    total.backward()
    for (name, before), (_, now) in zip(net.named_parameters(), after.named_parameters(), strict=True):
        expected = before.detach() - 0.5 * before.grad if before.grad is not None else before.detach()
        torch.testing.assert_close(now.detach(), expected, rtol=1e-3, atol=1e-4, msg=name)


def test_learning_rate_warms_up_and_cools_down():
    config = TrainConfig(epochs=10, lr=0.4, warmup_epochs=2.0)
    rates = [learning_rate(config, Phase("all", 10), 5, at) for at in range(50)]
    assert rates[0] == pytest.approx(0.4 / 11)
    assert rates[10] == 0.4 == max(rates)
    assert rates[30] == pytest.approx(0.2)
    assert all(a < b for a, b in pairwise(rates[:11]))
    assert all(a > b for a, b in pairwise(rates[10:]))
    assert 0 < rates[-1] < 0.01
    assert learning_rate(TrainConfig(epochs=1, warmup_epochs=3.0), Phase("all", 1), 5, 4) > 0
    assert learning_rate(config, Phase("later", 4, lr=0.5, warmup=False), 5, 0) == 0.2


def test_a_loss_that_is_no_number_stops_with_the_step(space, data, tmp_path):
    checkpoints = Checkpoints(tmp_path, {})
    with pytest.raises(TrainingDiverged, match=r"epoch 1, step \d+: the loss became (nan|inf); set train.lr below 1e\+18"):
        trained(space, data, replace(CONFIG, lr=1e18, warmup_epochs=0.0, checkpoint_steps=1), checkpoints=checkpoints)
    net = supernet_family(space).build(space, seed=7)
    checkpoints.load(net, torch.optim.SGD(net.parameters(), lr=0.1))


def test_a_loss_that_is_no_number_names_the_last_good_checkpoint(space, data, tmp_path, monkeypatch):
    """Weights break in the second step, the loss of which is still a number: nothing broken is kept."""
    step, count = torch.optim.SGD.step, iter(range(100))

    def breaking(self, *args):
        step(self, *args)
        if next(count) == 1:
            with torch.no_grad():
                self.param_groups[0]["params"][0].view(-1)[0] = math.nan

    monkeypatch.setattr(torch.optim.SGD, "step", breaking)
    checkpoints = Checkpoints(tmp_path, {})
    with pytest.raises(TrainingDiverged) as caught:
        trained(space, data, replace(CONFIG, checkpoint_steps=1), checkpoints=checkpoints)
    (good,) = checkpoints.files()
    assert str(caught.value) == (
        f"epoch 1, step 2: a weight is no longer a finite number; set train.lr below 0.1; the last good checkpoint is {good}"
    )
    assert good.name == "epoch00000-step0000001.safetensors"
    net = supernet_family(space).build(space, seed=7)
    assert checkpoints.load(net, torch.optim.SGD(net.parameters(), lr=0.1)) == Position(0, 1)


def test_fewer_images_than_a_batch(space, data):
    with pytest.raises(DataError, match="96 training images, fewer than one batch of 128"):
        trained(space, data, replace(CONFIG, batch=128))


def test_a_folder_without_checkpoints_starts_at_the_first_step(space, tmp_path):
    net = supernet_family(space).build(space, seed=0)
    assert Checkpoints(tmp_path / "none", {}).load(net, torch.optim.SGD(net.parameters(), lr=0.1)) == Position(0, 0)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epochs": 0}, "epochs must be at least 1"),
        ({"batch": 1}, "batch must be at least 2"),
        ({"batch": 8, "threads": 8}, "at least 2 images"),
        ({"threads": 0}, "threads must be at least 1"),
        ({"random_subnets": -1}, "random_subnets must be at least 0"),
        ({"lr": 0.0}, "lr must be above 0"),
        ({"weight_decay": -0.1}, "weight_decay must not be negative"),
        ({"label_smoothing": 1.0}, "label_smoothing must be at least 0 and below 1"),
        ({"shift": 1.5}, "shift must be at least 0 and below 1"),
        ({"epoch": 3}, "unknown key 'epoch'; did you mean 'epochs'?"),
        ({"epochs": "3"}, "valid integer"),
    ],
)
def test_bad_configuration(values, message):
    with pytest.raises(ConfigError) as caught:
        parse(TrainConfig, values, where="hwnas.toml: train")
    assert message in str(caught.value)


def test_threads_must_be_some():
    with pytest.raises(ConfigError, match="at least 1 thread"), threads(0):
        pass
