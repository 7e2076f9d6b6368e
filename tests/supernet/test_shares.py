"""Gradients from several processes, and what happens when one of them is lost."""

import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from hwnas.core.errors import TrainingProcessLost
from hwnas.space.family import family_of
from hwnas.supernet.family import supernet_family
from hwnas.supernet.shares import (
    Batch,
    Shares,
    _Memory,
    _slices,
    _space_from_json,
    _space_to_json,
    gradients,
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
    return Batch((largest, smallest), images, rng.integers(0, 10, size=5))


def floats(batch):
    return sum(images.size for images in batch.images)


def by_hand(supernet, batch, parts):
    """Loss and gradients summed over ``parts`` in this process."""
    wanted = list(supernet.parameters())
    results = [
        gradients(supernet, batch.part(part), wanted=wanted, label_smoothing=SMOOTHING, weight=len(batch.labels[part]) / 5)
        for part in parts
    ]
    sums = [[g for g in column if g is not None] for column in zip(*(grads for _, grads in results), strict=True)]
    return sum(loss for loss, _ in results), [sum(column[1:], column[0]) if column else None for column in sums]


@pytest.mark.parametrize("processes", [1, 2, 3])
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
from hwnas.supernet.family import supernet_family
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
    }
    command = {
        "archs": [arch.indices for arch in batch.archs],
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
