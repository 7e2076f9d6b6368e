"""Nets trained alone and subnets trained together, on the same images by the same recipe, and how accurate they are.

A net that is trained alone is a plain module with weights of its own: nothing of it is elastic. Its loop, batches, augmentation and
learning rate are the supernet's; it is recalibrated and evaluated as subnets are. All run in one process; where the recipe has several,
the batch is cut in as many parts, so that batch norm sees as many images at a time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import hwnas.supernet.mobilenet_v3  # noqa: F401  (registers its supernets)
from benchmarks.supernet._state import State, say
from hwnas.core.arch import Architecture, SearchSpace
from hwnas.core.serial import plain
from hwnas.data import Dataset, Limits, load_dataset
from hwnas.data.batches import batches
from hwnas.pipeline.context import Context
from hwnas.space.family import SpaceOptions, family_of, find_space
from hwnas.supernet.accuracy import BATCH, Subnets, evaluate
from hwnas.supernet.calibrate import recalibrate
from hwnas.supernet.checkpoint import Checkpoints, read_weights, write_weights
from hwnas.supernet.curriculum import Alone, Curriculum, curriculum_of
from hwnas.supernet.depthwise import depthwise_conv2d
from hwnas.supernet.family import Supernet, supernet_family
from hwnas.supernet.gradients import gradients
from hwnas.supernet.recipe import TrainConfig
from hwnas.supernet.tensors import channels_last, threads
from hwnas.supernet.train import Progress, steps_an_epoch, train
from hwnas.supernet.views import Views
from hwnas.workspace import Workspace

ROOT = Path(__file__).parents[2]
PARTS = ("val", "test")
"""What nets are evaluated on: neither part is trained on here."""
_PACED = 3
"""Steps by which the time of a training is foreseen."""


class QuickDepthwise(nn.Conv2d):
    """A depthwise ``nn.Conv2d`` with this project's gradient."""

    def forward(self, x: Tensor) -> Tensor:
        """``(N, C, H, W) -> (N, C, H', W')``."""
        return depthwise_conv2d(x, self.weight, self.stride[0])


def quick_depthwise(net: nn.Module) -> nn.Module:
    """``net``, whose depthwise convolutions take this project's gradient, which is the same and quicker."""
    for each in net.modules():
        if isinstance(each, nn.Conv2d) and each.groups > 1:
            each.__class__ = QuickDepthwise
    return net


class Fixed(Supernet):
    """A plain net in a supernet's place: whatever architecture is asked for, it computes its own."""

    def __init__(self, space: SearchSpace, net: nn.Module) -> None:
        super().__init__()
        self.space, self.net = space, net

    def forward(self, x: Tensor, arch: Architecture) -> Tensor:  # noqa: ARG002 (the supernet's names)
        """``(N, C, R, R) -> (N, classes)``."""
        return self.net(x)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Net:
    """A net to be trained alone: ``build(seed)`` gives it untrained, ``what`` says all that decides it, ``size`` is of its images."""

    name: str
    what: Any
    size: int
    build: Callable[[int], nn.Module]


@dataclass(frozen=True)
class Trainings:
    """Trainings on one set of images, each done once and kept; accuracies are shares."""

    state: State
    space: SearchSpace
    data: Dataset
    config: TrainConfig
    recalibration_images: int

    @classmethod
    def of_workspace(cls, folder: Path, *, preset: str | None = None, quick: bool = False) -> Trainings:
        """With the reference workspace's images and recipe, in its space, or in the whole of ``preset``; few images where ``quick``."""
        ctx = Context(Workspace.open(ROOT))
        data, config = ctx.dataset, ctx.config.train
        if quick:
            config = replace(config, epochs=1, warmup_epochs=0.2)
            limits = Limits(train=200, val=100, test=200)
            data = load_dataset(ctx.config.data.source, root=ROOT, seed=0, cache=ctx.store.images, limits=limits)
        space = ctx.space if preset is None else find_space(preset, SpaceOptions(data.channels, data.n_classes))
        config = replace(config, threads=1, accumulate=config.threads * config.accumulate)
        return cls(State(folder), space, data, config, ctx.config.accuracy.recalibration_images)

    def with_config(self, config: TrainConfig) -> Trainings:
        """The same by another recipe."""
        return replace(self, config=config)

    @cached_property
    def _inputs(self) -> dict[str, Any]:
        known = {"space": self.space.id, "data": self.data.id, "recalibration_images": self.recalibration_images}
        return {**known, "recipe": plain(self.config), "torch": torch.__version__}

    # --- alone

    def subnet(self, arch: Architecture) -> Net:
        """An architecture of the space as a net of its own."""
        family = family_of(self.space)
        return Net(
            family.describe(self.space, arch),
            ["architecture", arch.id],
            family.resolution(self.space, arch),
            lambda seed: supernet_family(self.space).static(self.space, arch, seed=seed),
        )

    def alone(self, net: Net, seed: int) -> dict[str, float]:
        """``net`` trained by itself on the labels: its accuracy by part, and ``seconds`` of processor time."""
        inputs = self._alone_inputs(net, seed)
        known: dict[str, float] = self.state.of("alone", inputs, lambda: self._trained_alone(net, seed))
        return known

    def has_alone(self, net: Net, seed: int) -> bool:
        """Whether that is done already."""
        return self.state.has("alone", self._alone_inputs(net, seed))

    def _alone_inputs(self, net: Net, seed: int) -> dict[str, Any]:
        return {**self._inputs, "net": net.what, "seed": seed}

    def _trained_alone(self, net: Net, seed: int) -> dict[str, float]:
        fixed = self._fixed(net, seed)
        seconds = self._train(fixed, self._by_itself(net), seed, f"{net.name} alone", ["alone", self._alone_inputs(net, seed)])
        recalibrate(fixed.net, self._calibration(net.size))
        shares = {part: evaluate(fixed.net, self.data.images(part, net.size), self.data.labels(part), self._to(net.size)) for part in PARTS}
        return {**shares, "seconds": seconds}

    def _fixed(self, net: Net, seed: int) -> Fixed:
        return Fixed(self.space, quick_depthwise(net.build(seed)))

    def _by_itself(self, net: Net) -> Alone:
        """Its lessons are of an architecture that takes images of its size."""
        sizes = [int(size) for size in self.space.choices[0].options]
        arch = self.space.architecture([sizes.index(net.size), *([0] * (len(self.space.choices) - 1))])
        return Alone(arch, self.config.epochs)

    def _calibration(self, size: int) -> Iterator[Tensor]:
        images = self.data.images("train", size)[: self.recalibration_images]
        for start in range(0, len(images), BATCH):
            yield channels_last(self._to(size).normalise(images[start : start + BATCH]))

    def _to(self, size: int) -> Any:
        return self.data.preprocessing(size)

    # --- together

    def supernet(self, seed: int) -> Supernet:
        """A supernet trained by the recipe."""
        net = supernet_family(self.space).build(self.space, seed=seed)
        inputs = {**self._inputs, "seed": seed}
        path = self.state.path("supernet", inputs, ".safetensors")
        if not path.is_file():
            self._train(
                net, curriculum_of(self.space, self.config, seed=seed), seed, f"supernet, {self.config.recipe}", ["supernet", inputs]
            )
            write_weights(path, net, inputs)
        read_weights(path, net, inputs)
        return net

    def has_supernet(self, seed: int) -> bool:
        """Whether that is done already."""
        return self.state.path("supernet", {**self._inputs, "seed": seed}, ".safetensors").is_file()

    def subnets(self, seed: int) -> Subnets:
        """The subnets of `supernet`."""
        return Subnets(self.supernet(seed), self.data, recalibration_images=self.recalibration_images, torch_threads=1)

    def together(self, archs: Sequence[Architecture], seed: int) -> dict[str, dict[str, float]]:
        """Accuracies by part of subnets of `supernet`, by the id of their architecture."""

        def make() -> dict[str, dict[str, float]]:
            subnets = self.subnets(seed)
            known = {part: dict(subnets.accuracies(archs, part=part)) for part in PARTS}
            return {arch.id: {part: known[part][arch] for part in PARTS} for arch in archs}

        ids = sorted(arch.id for arch in archs)
        found: dict[str, dict[str, float]] = self.state.of("together", {**self._inputs, "seed": seed, "architectures": ids}, make)
        return found

    def validated(self, archs: Sequence[Architecture], seed: int) -> dict[str, float]:
        """Accuracies on the validation part of subnets of `supernet`, by the id of their architecture."""
        ids = sorted(arch.id for arch in archs)
        inputs = {**self._inputs, "seed": seed, "architectures": ids}
        found: dict[str, float] = self.state.of(
            "validated", inputs, lambda: {arch.id: value for arch, value in self.subnets(seed).accuracies(archs, part="val")}
        )
        return found

    # --- both

    def _train(self, net: Supernet, curriculum: Curriculum, seed: int, name: str, what: Any) -> float:
        """Train, from the last epoch's checkpoint on where there is one; seconds of processor time since."""
        checkpoints = Checkpoints(self.state.path("going", {"of": what}, ""), {"of": plain(what)})
        begin, last = time.process_time(), -1

        def progress(at: Progress) -> None:
            nonlocal last
            if at.epoch != last:
                last = at.epoch
                say(f"{name}, seed {seed}: epoch {at.epoch + 1}/{at.epochs}, loss {at.loss:.3f}")

        train(net, curriculum, self.data, self.config, seed=seed, checkpoints=checkpoints, progress=progress)
        for path in checkpoints.files():
            path.unlink()
        if checkpoints.folder.is_dir():
            checkpoints.folder.rmdir()
        return time.process_time() - begin

    def seconds_alone(self, net: Net) -> float:
        """About how long `alone` will train."""
        return self._paced(self._fixed(net, 0), self._by_itself(net))

    def seconds_together(self) -> float:
        """About how long `supernet` will train."""
        net = supernet_family(self.space).build(self.space, seed=0)
        return self._paced(net, curriculum_of(self.space, self.config, seed=0))

    def _paced(self, net: Supernet, curriculum: Curriculum) -> float:
        """Processor time of a few steps that spread over the epochs, after one that does not count, times how many there are."""
        net.train()
        views, steps = Views(self.space, self.data, self.config, seed=0), steps_an_epoch(self.data, self.config)
        wanted = tuple(net.parameters())
        teacher = curriculum.teacher
        taken = 0.0
        with threads(1):
            for at in range(_PACED + 1):
                epoch = self.config.epochs * max(at - 1, 0) // _PACED
                positions = next(iter(batches(self.data.part("train").n, batch=self.config.batch, seed=0, epoch=epoch, drop_last=True)))
                begin = time.process_time()
                batch = views.batch(curriculum.lessons(epoch, at), positions, epoch, at)
                gradients(net, batch, wanted=wanted, label_smoothing=self.config.label_smoothing, weight=1.0)
                if teacher is not None and batch.lessons[0].teacher:
                    with torch.no_grad():
                        net(channels_last(batch.images[0]), teacher)
                taken += (time.process_time() - begin) * (at > 0)
        return taken / _PACED * steps * self.config.epochs
