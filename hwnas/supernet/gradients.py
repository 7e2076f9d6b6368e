"""What a step learns: the losses of its lessons on one share of the batch, and their gradients.

Distillation is the cross entropy with what the teaching subnet says, without a temperature (Hinton et al. 2015, arXiv 1503.02531).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from hwnas.core.arch import Architecture
from hwnas.supernet.curriculum import Lesson
from hwnas.supernet.family import Supernet
from hwnas.supernet.tensors import channels_last

Floats = NDArray[np.float32]
Labels = NDArray[np.int64]
Gradients = tuple[Tensor | None, ...]


@dataclass(frozen=True, slots=True)
class Batch:
    """What a step learns from: ``images[i] (n, C, R, R) float32`` for ``lessons[i]``, and ``labels (n,) int64``.

    Mixed images are ``share`` of an image of ``labels`` and the rest of one of ``partners``.
    """

    lessons: tuple[Lesson, ...]
    images: tuple[Floats, ...]
    labels: Labels
    partners: Labels | None = None
    share: float = 1.0

    def part(self, which: slice) -> Batch:
        """Some of the images."""
        partners = None if self.partners is None else self.partners[which]
        return replace(self, images=tuple(images[which] for images in self.images), labels=self.labels[which], partners=partners)


@dataclass(frozen=True, slots=True)
class Teacher:
    """``net`` as it was at some time, and the architecture in it that others learn from."""

    net: Supernet
    arch: Architecture

    def says(self, x: Tensor) -> Tensor:
        """Probabilities, ``(n, C, R, R) -> (n, classes)``; batch norm uses the batch's statistics."""
        with torch.no_grad():
            logits: Tensor = self.net(x, self.arch)
            return logits.softmax(dim=1)


def gradients(
    supernet: Supernet, batch: Batch, *, wanted: Sequence[Tensor], label_smoothing: float, weight: float, teacher: Teacher | None = None
) -> tuple[float, Gradients]:
    """The first lesson's loss on the labels and the gradients of all losses' sum, both times ``weight``; None for what is not used."""
    losses: list[Tensor] = []
    first: Tensor | None = None
    heard: dict[int, Tensor] = {}
    for lesson, images in zip(batch.lessons, batch.images, strict=True):
        x = channels_last(images)
        logits = supernet(x, lesson.arch)
        first = logits.detach().softmax(dim=1) if first is None else first
        if lesson.labels:
            losses.append(lesson.labels * _on_labels(logits, batch, label_smoothing))
        if lesson.first:
            losses.append(lesson.first * F.cross_entropy(logits, first))
        if lesson.teacher and teacher is not None:
            size = x.shape[-1]
            heard[size] = heard[size] if size in heard else teacher.says(x)
            losses.append(lesson.teacher * F.cross_entropy(logits, heard[size]))
    return weight * losses[0].item(), torch.autograd.grad(weight * sum(losses[1:], losses[0]), wanted, allow_unused=True)


def _on_labels(logits: Tensor, batch: Batch, label_smoothing: float) -> Tensor:
    on_own = F.cross_entropy(logits, torch.from_numpy(batch.labels), label_smoothing=label_smoothing)
    if batch.partners is None:
        return on_own
    on_partners = F.cross_entropy(logits, torch.from_numpy(batch.partners), label_smoothing=label_smoothing)
    return batch.share * on_own + (1 - batch.share) * on_partners
