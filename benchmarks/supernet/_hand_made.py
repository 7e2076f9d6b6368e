"""Nets in the manner of MobileNetV2 and V3, drawn by hand for images of 32 x 32 and at the size of ``tiny-32``.

Kernels, expand ratios, squeeze-and-excitation and activations follow the tables of Sandler et al. 2018 (arXiv 1801.04381) and Howard et
al. 2019 (arXiv 1905.02244), stage by stage from the stem. What is scaled is what ``tiny-32`` has scaled: a stem of 8 channels, three
strides of 2 in place of five, widths of 16 at 8 x 8 and 32 at 4 x 4, fewer repeats of a stage, 128 and 192 features at the end. ReLU
stands in for ReLU6.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from benchmarks.supernet._alone import Net
from hwnas.space.mobilenet_v3 import BlockSpec, make_divisible
from hwnas.supernet.mobilenet_v3 import initialise
from hwnas.supernet.static import ConvBnAct, Head, InvertedResidual

SIZE = 32
STEM, FINAL, MIX = 8, 128, 192


@dataclass(frozen=True, slots=True)
class Bottleneck:
    """A row of the papers' tables: ``out`` channels, expand ratio, kernel, stride, squeeze-and-excitation, activation."""

    out: int
    expand: float
    kernel: int = 3
    stride: int = 1
    se: bool = False
    act: str = "relu"


@dataclass(frozen=True, slots=True)
class Design:
    """A net by its bottlenecks; ``mixed``: the head pools before its last features, as in V3, and not after them."""

    act: str
    mixed: bool
    rows: tuple[Bottleneck, ...]


def _hs(out: int, expand: float, kernel: int = 3, stride: int = 1, se: bool = False) -> Bottleneck:
    return Bottleneck(out, expand, kernel, stride, se, "hswish")


DESIGNS = {
    "MobileNetV2": Design(
        "relu",
        False,
        (
            Bottleneck(8, 1),
            Bottleneck(16, 6, stride=2),
            Bottleneck(16, 6),
            Bottleneck(32, 6, stride=2),
            Bottleneck(32, 6),
            Bottleneck(32, 6),
        ),
    ),
    "MobileNetV3-Small": Design(
        "hswish",
        True,
        (
            Bottleneck(8, 1, se=True),
            Bottleneck(16, 4.5, stride=2),
            Bottleneck(16, 3.67),
            _hs(32, 4, 5, stride=2, se=True),
            _hs(32, 6, 5, se=True),
            _hs(32, 6, 5, se=True),
        ),
    ),
    "MobileNetV3-Large": Design(
        "hswish",
        True,
        (
            Bottleneck(8, 1),
            Bottleneck(16, 4, stride=2),
            Bottleneck(16, 3),
            Bottleneck(16, 3, 5, se=True),
            _hs(32, 6, stride=2),
            _hs(32, 2.5),
            _hs(32, 6, se=True),
            _hs(32, 6, 5, se=True),
        ),
    ),
}


class HandMade(nn.Module):
    """``(N, channels, 32, 32) float32 -> (N, classes)`` logits."""

    def __init__(self, design: Design, *, channels: int, classes: int) -> None:
        super().__init__()
        self.stem = ConvBnAct(channels, STEM, kernel=3, stride=2, act=design.act)
        self.blocks = nn.Sequential(*(InvertedResidual(spec) for spec in _specs(design)))
        width = design.rows[-1].out
        self.final = ConvBnAct(width, FINAL if design.mixed else MIX, act=design.act)
        self.head: nn.Module = Head(FINAL, MIX, classes) if design.mixed else _PooledHead(MIX, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        return self.head(self.final(self.blocks(self.stem(x))))  # type: ignore[no-any-return]


class _PooledHead(nn.Module):
    """The average of every feature, and the classifier."""

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(features, classes)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, features, H, W) -> (N, classes)``."""
        return self.classifier(torch.flatten(self.pool(x), 1))  # type: ignore[no-any-return]


def hand_made(name: str, *, channels: int, classes: int) -> Net:
    """The net of a name in `DESIGNS`, to be trained alone."""
    design = DESIGNS[name]
    what = [name, channels, classes, STEM, FINAL, MIX, design]
    return Net(name, what, SIZE, _builder(design, channels, classes))


def _builder(design: Design, channels: int, classes: int) -> Callable[[int], nn.Module]:
    def build(seed: int) -> nn.Module:
        with torch.random.fork_rng(devices=[]):  # torch's own initialisation must not move the caller's generator
            net = HandMade(design, channels=channels, classes=classes)
        initialise(net, seed=seed)
        return net

    return build


def _specs(design: Design) -> list[BlockSpec]:
    widths = [STEM, *(row.out for row in design.rows)]
    return [
        BlockSpec(-1, -1, width, row.out, make_divisible(round(width * row.expand)), row.kernel, row.stride, row.act, row.se)
        for width, row in zip(widths, design.rows, strict=False)
    ]
