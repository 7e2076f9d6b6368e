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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import hwnas
from hwnas.core.arch import Architecture, Choice, Condition, SearchSpace
from hwnas.core.errors import TrainingProcessLost
from hwnas.supernet.curriculum import Lesson
from hwnas.supernet.family import Supernet, supernet_family
from hwnas.supernet.gradients import Batch, Gradients, Teacher, gradients

Floats = NDArray[np.float32]


class Shares:
    """Computes the gradients of batches with ``processes`` processes, this one included. Use it as a context.

    ``floats`` bounds the pixels of a batch over all its lessons. Each process takes its share in ``accumulate`` parts, one after the other.
    """

    def __init__(
        self,
        supernet: Supernet,
        *,
        processes: int,
        label_smoothing: float,
        floats: int,
        accumulate: int = 1,
        teacher: Teacher | None = None,
    ) -> None:
        self.supernet, self.label_smoothing, self.processes = supernet, label_smoothing, processes
        self.floats, self.accumulate, self.teacher = floats, accumulate, teacher
        self.parameters = tuple(supernet.parameters())
        self.others: list[_Other] = []
        self.stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for _ in range(self.processes - 1):
                self.others.append(stack.enter_context(_Other(self.supernet, self.label_smoothing, self.floats, self.teacher)))
            self.stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stack.close()

    def teach(self) -> None:
        """Tell the other processes what the teacher's weights are now."""
        for other in self.others:
            other.teach()

    def step(self, batch: Batch) -> float:
        """Set ``grad`` of every parameter to that of the mean over the images; gives the loss of the first lesson on the labels."""
        n = len(batch.labels)
        for parameter in self.parameters:
            parameter.grad = None
        return math.fsum(loss for which in _slices(n, self.accumulate) for loss in self._add(batch.part(which), n))

    def _add(self, batch: Batch, n: int) -> Iterator[float]:
        """Add the gradient of a part of a batch of ``n``; gives the losses."""
        parts = [batch.part(which) for which in _slices(len(batch.labels), self.processes)]
        for other, part in zip(self.others, parts[1:], strict=True):
            other.ask(part, weight=len(part.labels) / n)
        own = gradients(
            self.supernet,
            parts[0],
            wanted=self.parameters,
            label_smoothing=self.label_smoothing,
            weight=len(parts[0].labels) / n,
            teacher=self.teacher,
        )
        results = [own, *(other.answer() for other in self.others)]
        for parameter, grads in zip(self.parameters, zip(*(grads for _, grads in results), strict=True), strict=True):
            known = [grad for grad in (parameter.grad, *grads) if grad is not None]
            parameter.grad = sum(known[1:], known[0]) if known else None
        yield from (loss for loss, _ in results)


def _slices(n: int, parts: int) -> list[slice]:
    return [slice(a, b) for a, b in pairwise(round(i * n / parts) for i in range(parts + 1))]


class _Memory:
    """The shared file, mapped: parameters, gradients, the teacher's parameters where there is one, and pixels of one process.

    An empty file grows to the size that is needed.
    """

    def __init__(self, file: IO[bytes], supernet: nn.Module, floats: int, *, teacher: bool = False) -> None:
        shapes = [p.shape for p in supernet.parameters()]
        size = sum(shape.numel() for shape in shapes)
        cuts = [size, 2 * size, (2 + teacher) * size]
        whole = np.memmap(file, dtype=np.float32, mode="r+", shape=(cuts[-1] + floats,))
        parameters, gradients, taught, self.pixels = np.split(whole, cuts)
        self.parameters, self.gradients = list(_cut(parameters, shapes)), list(_cut(gradients, shapes))
        self.teacher = list(_cut(taught, shapes)) if teacher else []


def _cut(flat: Floats, shapes: Sequence[Sequence[int]]) -> Iterator[Floats]:
    """The beginning of ``flat`` in pieces of these shapes."""
    start = 0
    for shape in shapes:
        stop = start + math.prod(shape)
        yield flat[start:stop].reshape(shape)
        start = stop


class _Other:
    """One more process, seen from the one that trains."""

    def __init__(self, supernet: Supernet, label_smoothing: float, floats: int, teacher: Teacher | None) -> None:
        self.supernet, self.floats, self.teacher = supernet, floats, teacher
        self.setup = {"label_smoothing": label_smoothing, "floats": floats, "teacher": teacher and teacher.arch.indices}

    def __enter__(self) -> Self:
        self.parameters = tuple(self.supernet.parameters())
        root = str(Path(hwnas.__file__).resolve().parent.parent)
        paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
        with tempfile.TemporaryFile() as file:
            number = file.fileno()
            self.memory = _Memory(file, self.supernet, self.floats, teacher=self.teacher is not None)
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

    def teach(self) -> None:
        """Put the teacher's weights where the process reads them."""
        if self.teacher is not None:
            _put(self.teacher.net.parameters(), self.memory.teacher)

    def ask(self, batch: Batch, *, weight: float) -> None:
        """Start the computation on ``batch``."""
        _put(self.parameters, self.memory.parameters)
        flat = np.concatenate([images.reshape(-1) for images in batch.images])
        self.memory.pixels[: len(flat)] = flat
        self._say(
            {
                "lessons": [(lesson.arch.indices, lesson.labels, lesson.first, lesson.teacher) for lesson in batch.lessons],
                "shapes": [images.shape for images in batch.images],
                "labels": batch.labels.tolist(),
                "partners": None if batch.partners is None else batch.partners.tolist(),
                "share": batch.share,
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


def _put(parameters: Iterable[Tensor], places: Sequence[Floats]) -> None:
    for parameter, place in zip(parameters, places, strict=True):
        place[...] = parameter.detach().numpy()


def _take(parameters: Iterable[Tensor], places: Sequence[Floats]) -> None:
    with torch.no_grad():
        for parameter, value in zip(parameters, places, strict=True):
            parameter.copy_(torch.from_numpy(value))


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
    teacher = None
    if setup["teacher"] is not None:
        net = supernet_family(space).build(space, seed=0).train()
        teacher = Teacher(net, Architecture(space.id, tuple(setup["teacher"])))
    parameters = tuple(supernet.parameters())
    with os.fdopen(setup["memory"], "r+b") as file:
        memory = _Memory(file, supernet, setup["floats"], teacher=teacher is not None)
    for line in commands:
        command = json.loads(line)
        _take(parameters, memory.parameters)
        if teacher is not None:
            _take(teacher.net.parameters(), memory.teacher)
        loss, grads = gradients(
            supernet,
            _batch(command, space, memory),
            wanted=parameters,
            label_smoothing=setup["label_smoothing"],
            weight=command["weight"],
            teacher=teacher,
        )
        for place, grad in zip(memory.gradients, grads, strict=True):
            if grad is not None:
                place[...] = grad.numpy()
        answers.write(json.dumps({"loss": loss, "known": [grad is not None for grad in grads]}) + "\n")
        answers.flush()


def _batch(command: Mapping[str, Any], space: SearchSpace, memory: _Memory) -> Batch:
    lessons = (Lesson(Architecture(space.id, tuple(indices)), *weights) for indices, *weights in command["lessons"])
    labels = np.array(command["labels"], dtype=np.int64)
    partners = None if command["partners"] is None else np.array(command["partners"], dtype=np.int64)
    return Batch(tuple(lessons), tuple(_cut(memory.pixels, command["shapes"])), labels, partners, command["share"])


if __name__ == "__main__":
    serve(sys.stdin, sys.stdout)
