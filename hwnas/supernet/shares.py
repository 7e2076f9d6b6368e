"""The gradient of a step from several processes, each computing an equal share of the batch, as data-parallel training does.

Within one process Python and memory management would hold threads up, and torch's own threads would meet in every layer: two processes that
meet once a step are almost twice as fast on two cores. Parameters, images and gradients pass through a shared file, commands and
answers as JSON lines through pipes. The shares depend on the number of processes alone, so fewer cores compute the same bits, only later.

A killed run leaves nothing behind: a process whose pipe closes ends, and the shared file has no name, only descriptors.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

import hwnas
from hwnas.core.arch import Architecture, Choice, Condition, SearchSpace
from hwnas.core.errors import TrainingProcessLost
from hwnas.supernet.family import Supernet, supernet_family
from hwnas.supernet.tensors import channels_last

Floats = NDArray[np.float32]
Labels = NDArray[np.int64]
Gradients = tuple[Tensor | None, ...]


@dataclass(frozen=True, slots=True)
class Batch:
    """What a step learns from: ``images[i] (n, C, R, R) float32`` for ``archs[i]``, and ``labels (n,) int64``.

    The first architecture learns from the labels, the others from the first one's outputs.
    """

    archs: tuple[Architecture, ...]
    images: tuple[Floats, ...]
    labels: Labels

    def part(self, which: slice) -> Batch:
        """Some of the images."""
        return Batch(self.archs, tuple(images[which] for images in self.images), self.labels[which])


def gradients(
    supernet: Supernet, batch: Batch, *, wanted: Sequence[Tensor], label_smoothing: float, weight: float
) -> tuple[float, Gradients]:
    """The first architecture's loss and the gradients of the sum of all losses, both times ``weight``; None for what is not used."""
    inputs = [channels_last(images) for images in batch.images]
    logits = supernet(inputs[0], batch.archs[0])
    loss = F.cross_entropy(logits, torch.from_numpy(batch.labels), label_smoothing=label_smoothing)
    taught = logits.detach().softmax(dim=1)
    students = [F.cross_entropy(supernet(x, arch), taught) for arch, x in zip(batch.archs[1:], inputs[1:], strict=True)]
    return weight * loss.item(), torch.autograd.grad(weight * sum(students, loss), wanted, allow_unused=True)


class Shares:
    """Computes the gradients of batches with ``processes`` processes, this one included. Use it as a context.

    ``floats`` bounds the pixels of a batch over all its architectures.
    """

    def __init__(self, supernet: Supernet, *, processes: int, label_smoothing: float, floats: int) -> None:
        self.supernet, self.label_smoothing, self.processes = supernet, label_smoothing, processes
        self.floats = floats
        self.parameters = tuple(supernet.parameters())
        self.others: list[_Other] = []
        self.stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for _ in range(self.processes - 1):
                self.others.append(stack.enter_context(_Other(self.supernet, self.label_smoothing, self.floats)))
            self.stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stack.close()

    def step(self, batch: Batch) -> float:
        """Set ``grad`` of every parameter to that of the mean over the images; gives the loss of the first architecture."""
        n = len(batch.labels)
        parts = [batch.part(which) for which in _slices(n, self.processes)]
        for other, part in zip(self.others, parts[1:], strict=True):
            other.ask(part, weight=len(part.labels) / n)
        share = len(parts[0].labels) / n
        own = gradients(self.supernet, parts[0], wanted=self.parameters, label_smoothing=self.label_smoothing, weight=share)
        results = [own, *(other.answer() for other in self.others)]
        for parameter, grads in zip(self.parameters, zip(*(grads for _, grads in results), strict=True), strict=True):
            known = [grad for grad in grads if grad is not None]
            parameter.grad = sum(known[1:], known[0]) if known else None
        return math.fsum(loss for loss, _ in results)


def _slices(n: int, parts: int) -> list[slice]:
    return [slice(a, b) for a, b in pairwise(round(i * n / parts) for i in range(parts + 1))]


class _Memory:
    """The shared file, mapped: parameters, gradients and pixels of one process. An empty file grows to the size that is needed."""

    def __init__(self, file: IO[bytes], supernet: nn.Module, floats: int) -> None:
        shapes = [p.shape for p in supernet.parameters()]
        size = sum(shape.numel() for shape in shapes)
        whole = np.memmap(file, dtype=np.float32, mode="r+", shape=(2 * size + floats,))
        parameters, gradients, self.pixels = np.split(whole, [size, 2 * size])
        self.parameters, self.gradients = list(_cut(parameters, shapes)), list(_cut(gradients, shapes))


def _cut(flat: Floats, shapes: Sequence[Sequence[int]]) -> Iterator[Floats]:
    """The beginning of ``flat`` in pieces of these shapes."""
    start = 0
    for shape in shapes:
        stop = start + math.prod(shape)
        yield flat[start:stop].reshape(shape)
        start = stop


class _Other:
    """One more process, seen from the one that trains."""

    def __init__(self, supernet: Supernet, label_smoothing: float, floats: int) -> None:
        self.supernet, self.setup, self.floats = supernet, {"label_smoothing": label_smoothing, "floats": floats}, floats

    def __enter__(self) -> Self:
        self.parameters = tuple(self.supernet.parameters())
        root = str(Path(hwnas.__file__).resolve().parent.parent)
        paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
        with tempfile.TemporaryFile() as file:
            number = file.fileno()
            self.memory = _Memory(file, self.supernet, self.floats)
            self.process = subprocess.Popen(
                [sys.executable, "-m", __name__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"},
                text=True,
                pass_fds=[number],
                start_new_session=True,  # an interrupt is for the process that trains; it closes the pipe
            )
        space = self.supernet.space
        self._say({**self.setup, "space": _space_to_json(space), "module": type(self.supernet).__module__, "memory": number})
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with suppress(BrokenPipeError):
            _pipe(self.process.stdin).close()
        try:
            self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        _pipe(self.process.stdout).close()

    def ask(self, batch: Batch, *, weight: float) -> None:
        """Start the computation on ``batch``."""
        for parameter, place in zip(self.parameters, self.memory.parameters, strict=True):
            place[...] = parameter.detach().numpy()
        flat = np.concatenate([images.reshape(-1) for images in batch.images])
        self.memory.pixels[: len(flat)] = flat
        self._say(
            {
                "archs": [arch.indices for arch in batch.archs],
                "shapes": [images.shape for images in batch.images],
                "labels": batch.labels.tolist(),
                "weight": weight,
            }
        )

    def answer(self) -> tuple[float, Gradients]:
        """Wait for the result."""
        line = _pipe(self.process.stdout).readline()
        if not line.endswith("\n"):
            self._lost()
        said = json.loads(line)
        # copied: the next step writes there again
        grads = tuple(
            torch.from_numpy(np.array(view)) if known else None for view, known in zip(self.memory.gradients, said["known"], strict=True)
        )
        return float(said["loss"]), grads

    def _say(self, message: Mapping[str, Any]) -> None:
        try:
            stream = _pipe(self.process.stdin)
            stream.write(json.dumps(message) + "\n")
            stream.flush()
        except BrokenPipeError:
            self._lost()

    def _lost(self) -> None:
        code = self.process.wait()
        raise TrainingProcessLost(
            f"a process that computes a share of the batch ended with code {code}; where memory is short, set train.threads or batch lower"
        )


def _pipe(stream: IO[str] | None) -> IO[str]:
    if stream is None:
        raise TypeError("the process was started without a pipe")
    return stream


def _space_to_json(space: SearchSpace) -> dict[str, Any]:
    choices = [[c.name, c.options, c.active_if and [c.active_if.choice, c.active_if.options]] for c in space.choices]
    return {"family": space.family, "name": space.name, "input": space.input_shape, "choices": choices, "constants": space.constants}


def _space_from_json(value: Mapping[str, Any]) -> SearchSpace:
    choices = tuple(Choice(n, tuple(o), Condition(when[0], tuple(when[1])) if when else None) for n, o, when in value["choices"])
    channels, height, width = value["input"]
    return SearchSpace(value["family"], value["name"], (channels, height, width), choices, value["constants"])


def serve(commands: IO[str], answers: IO[str]) -> None:
    """The other side: one line of setup, then a line of answer for every line of command, until the pipe closes."""
    torch.set_num_threads(1)
    setup = json.loads(commands.readline())
    import_module(setup["module"])  # registers the family
    space = _space_from_json(setup["space"])
    supernet = supernet_family(space).build(space, seed=0).train()
    parameters = tuple(supernet.parameters())
    with os.fdopen(setup["memory"], "r+b") as file:
        memory = _Memory(file, supernet, setup["floats"])
    for line in commands:
        command = json.loads(line)
        with torch.no_grad():
            for parameter, value in zip(parameters, memory.parameters, strict=True):
                parameter.copy_(torch.from_numpy(value))
        batch = Batch(
            archs=tuple(Architecture(space.id, tuple(indices)) for indices in command["archs"]),
            images=tuple(_cut(memory.pixels, command["shapes"])),
            labels=np.array(command["labels"], dtype=np.int64),
        )
        loss, grads = gradients(supernet, batch, wanted=parameters, label_smoothing=setup["label_smoothing"], weight=command["weight"])
        for place, grad in zip(memory.gradients, grads, strict=True):
            if grad is not None:
                place[...] = grad.numpy()
        answers.write(json.dumps({"loss": loss, "known": [grad is not None for grad in grads]}) + "\n")
        answers.flush()


if __name__ == "__main__":
    serve(sys.stdin, sys.stdout)
