"""Gradients from several processes, and what happens when one of them is lost."""

import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from hwnas.core.errors import TrainingProcessLost
from hwnas.space.family import family_of
from hwnas.supernet.curriculum import Lesson
from hwnas.supernet.family import supernet_family
from hwnas.supernet.gradients import Batch, Teacher, gradients
from hwnas.supernet.shares import (
    Shares,
    _Memory,
    _slices,
    _space_from_json,
    _space_to_json,
    serve,
)

SMOOTHING = 0.1
ROOTS = (Path(__file__).parents[2], Path(__file__).parents[2] / "devices" / "agent")


@pytest.fixture
def supernet(space):
    return supernet_family(space).build(space, seed=0).train()


@pytest.fixture
def batch(space):
    smallest, largest = family_of(space).extremes(space)
    rng = np.random.default_rng(0)
    images = tuple(rng.normal(size=(5, 1, size, size)).astype(np.float32) for size in (20, 16))
    return Batch((Lesson(largest), Lesson(smallest, labels=0.0, first=1.0)), images, rng.integers(0, 10, size=5))


def floats(batch):
    return sum(images.size for images in batch.images)


def by_hand(supernet, batch, parts, teacher=None):
    """Loss and gradients summed over ``parts`` in this process."""
    wanted = list(supernet.parameters())
    results = [
        gradients(supernet, batch.part(part), wanted=wanted, label_smoothing=SMOOTHING, weight=len(batch.labels[part]) / 5, teacher=teacher)
        for part in parts
    ]
    sums = [[g for g in column if g is not None] for column in zip(*(grads for _, grads in results), strict=True)]
    return sum(loss for loss, _ in results), [sum(column[1:], column[0]) if column else None for column in sums]


@pytest.mark.parametrize("processes", [1, 2, pytest.param(3, marks=pytest.mark.slow)])
def test_processes_give_the_bits_that_one_would_give_share_by_share(supernet, batch, processes):
    loss, expected = by_hand(supernet, batch, _slices(5, processes))
    with Shares(supernet, processes=processes, label_smoothing=SMOOTHING, floats=floats(batch)) as shares:
        for _ in range(2):
            assert shares.step(batch) == pytest.approx(loss, abs=1e-12)
        for parameter, grad in zip(supernet.parameters(), expected, strict=True):
            assert (parameter.grad is None) == (grad is None)
            assert grad is None or torch.equal(parameter.grad, grad)
        # the others see what the optimiser changes here
        with torch.no_grad():
            supernet.head.classifier.bias.add_(torch.arange(10) / 10)
        changed, _ = by_hand(supernet, batch, _slices(5, processes))
        assert shares.step(batch) == pytest.approx(changed, abs=1e-12)
        assert abs(changed - loss) > 1e-6


def test_teachers_mixed_images_and_parts_reach_every_process(space, supernet, batch):
    smallest, largest = family_of(space).extremes(space)
    lessons = (Lesson(largest, labels=0.5, teacher=1.0), Lesson(smallest, teacher=2.0))
    batch = replace(batch, lessons=lessons, partners=batch.labels[::-1].copy(), share=0.3)
    teacher = Teacher(supernet_family(space).build(space, seed=1).train(), largest)
    options = {"label_smoothing": SMOOTHING, "floats": floats(batch), "accumulate": 2, "teacher": teacher}
    with Shares(supernet, processes=2, **options) as shares:
        for seed in (2, 3):  # the teacher changes on the way
            teacher.net.load_state_dict(supernet_family(space).build(space, seed=seed).state_dict())
            shares.teach()
            cuts = [slice(0, 1), slice(1, 2), slice(2, 4), slice(4, 5)]
            loss, expected = by_hand(supernet, batch, cuts, teacher)
            assert shares.step(batch) == pytest.approx(loss, abs=1e-6)
            for parameter, grad in zip(supernet.parameters(), expected, strict=True):
                assert grad is None or torch.equal(parameter.grad, grad)


def test_losses_are_those_of_the_lessons(space, supernet, batch):
    """The gradient of a step, from the definition of cross entropy."""
    smallest, largest = family_of(space).extremes(space)
    lessons = (Lesson(largest, labels=0.5), Lesson(smallest, labels=0.7, first=0.4, teacher=0.9))
    mixed = replace(batch, lessons=lessons, partners=batch.labels[::-1].copy(), share=0.3)
    teacher = Teacher(supernet_family(space).build(space, seed=1).train(), largest)
    wanted = list(supernet.parameters())
    loss, grads = gradients(supernet, mixed, wanted=wanted, label_smoothing=SMOOTHING, weight=2.0, teacher=teacher)

    def cross_entropy(logits, targets):
        return -(targets * logits.log_softmax(1)).sum(1).mean()

    hard = [torch.nn.functional.one_hot(torch.from_numpy(y), 10) * (1 - SMOOTHING) + SMOOTHING / 10 for y in (mixed.labels, mixed.partners)]
    labels = 0.3 * hard[0] + 0.7 * hard[1]
    large, small = (torch.from_numpy(x) for x in mixed.images)
    out, student = supernet(large, largest), supernet(small, smallest)
    taught = teacher.net(small, largest).detach().softmax(1)
    first = 0.5 * cross_entropy(out, labels)
    second = 0.7 * cross_entropy(student, labels) + 0.4 * cross_entropy(student, out.detach().softmax(1))
    total = 2 * (first + second + 0.9 * cross_entropy(student, taught))
    assert loss == pytest.approx(2 * first.item(), rel=1e-5)
    for got, expected in zip(grads, torch.autograd.grad(total, wanted, allow_unused=True), strict=True):
        assert (got is None) == (expected is None)
        if got is not None:
            torch.testing.assert_close(got, expected, rtol=1e-3, atol=1e-5)


def test_shares_are_equal_and_cover_the_batch():
    for n in range(2, 40):
        for parts in range(1, n // 2 + 1):
            cuts = _slices(n, parts)
            assert cuts[0].start == 0
            assert cuts[-1].stop == n
            assert all(a.stop == b.start for a, b in pairwise(cuts))
            sizes = [cut.stop - cut.start for cut in cuts]
            assert max(sizes) - min(sizes) <= 1


def test_a_lost_process_is_named(supernet, batch):
    with Shares(supernet, processes=2, label_smoothing=SMOOTHING, floats=floats(batch)) as shares:
        shares.step(batch)
        other = shares.others[0]
        os.kill(other.process.pid, signal.SIGKILL)
        other.process.wait()
        with pytest.raises(TrainingProcessLost, match="ended with code -9; where memory is short"):
            shares.step(batch)


def test_a_process_that_ends_without_an_answer_is_lost(supernet, batch):
    with Shares(supernet, processes=2, label_smoothing=SMOOTHING, floats=floats(batch)) as shares:
        other = shares.others[0]
        other.ask(batch, weight=1.0)
        other.process.kill()
        with pytest.raises(TrainingProcessLost, match="code -9"):
            other.answer()


def test_closing_ends_the_processes(supernet, batch):
    with Shares(supernet, processes=2, label_smoothing=SMOOTHING, floats=floats(batch)) as shares:
        process = shares.others[0].process
        assert process.poll() is None
    assert process.returncode == 0


def test_a_process_whose_pipe_closes_ends_by_itself(supernet, batch):
    """As when the one that trains is killed."""
    with Shares(supernet, processes=2, label_smoothing=SMOOTHING, floats=floats(batch)) as shares:
        process = shares.others[0].process
        shares.step(batch)
        process.stdin.close()
        for _ in range(600):
            if process.poll() is not None:
                break
            time.sleep(0.05)
        assert process.returncode == 0


KILLED = """
import os, signal
import hwnas.supernet.mobilenet_v3
from hwnas.space.family import find_space
from hwnas.supernet.curriculum import Lesson
from hwnas.supernet.family import supernet_family
from hwnas.supernet.gradients import Batch, Teacher, gradients
from hwnas.supernet.shares import Shares

space = find_space("tiny-32")
with Shares(supernet_family(space).build(space, seed=0), processes=2, label_smoothing=0.1, floats=100) as shares:
    print(shares.others[0].process.pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_run_leaves_neither_process_nor_file(tmp_path):
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": os.pathsep.join(map(str, ROOTS))}
    done = subprocess.run([sys.executable, "-c", KILLED], env=environment, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    other = Path("/proc") / done.stdout.strip()
    for _ in range(600):
        # where nobody waits for orphans, one that has ended stays as a zombie
        if not other.exists() or "\nState:\tZ" in (other / "status").read_text():
            break
        time.sleep(0.05)
    else:
        pytest.fail("the other process goes on")
    assert list(tmp_path.iterdir()) == []


def test_the_other_side_in_this_process(supernet, batch):
    with tempfile.TemporaryFile() as file:
        memory, number = _Memory(file, supernet, floats(batch)), os.dup(file.fileno())
    for place, parameter in zip(memory.parameters, supernet.parameters(), strict=True):
        place[...] = parameter.detach().numpy()
    memory.pixels[:] = np.concatenate([images.reshape(-1) for images in batch.images])
    setup = {
        "space": _space_to_json(supernet.space),
        "module": "hwnas.supernet.mobilenet_v3",
        "memory": number,
        "floats": floats(batch),
        "label_smoothing": SMOOTHING,
        "teacher": None,
    }
    command = {
        "lessons": [(lesson.arch.indices, lesson.labels, lesson.first, lesson.teacher) for lesson in batch.lessons],
        "partners": None,
        "share": 1.0,
        "shapes": [images.shape for images in batch.images],
        "labels": batch.labels.tolist(),
        "weight": 1.0,
    }
    answers = io.StringIO()
    serve(io.StringIO(json.dumps(setup) + "\n" + json.dumps(command) + "\n"), answers)
    answer = json.loads(answers.getvalue())
    loss, expected = by_hand(supernet, batch, [slice(0, 5)])
    assert answer["loss"] == loss
    assert answer["known"] == [grad is not None for grad in expected]
    for place, grad in zip(memory.gradients, expected, strict=True):
        assert grad is None or np.array_equal(place, grad.numpy())


def test_spaces_survive_the_pipe(space):
    assert _space_from_json(json.loads(json.dumps(_space_to_json(space)))) == space
    assert _space_from_json(json.loads(json.dumps(_space_to_json(space)))).id == space.id
