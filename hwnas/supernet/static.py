"""The plain modules that a subnet is made of: what is profiled, trained alone and exported.

Nothing here is elastic, and everything can be traced symbolically (``torch.fx``). Blocks after Howard et al. 2019 (arXiv 1905.02244).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hwnas.core.errors import ConfigError
from hwnas.space.mobilenet_v3 import BlockSpec, Plan, first_spec, make_divisible

BN_EPS = 1e-5


def activation(name: str) -> nn.Module | None:
    """The module of an activation's name in a plan: ``relu``, ``hswish``, or ``none`` for no module."""
    if name == "none":
        return None
    if name == "relu":
        return nn.ReLU()
    if name == "hswish":
        return nn.Hardswish()
    raise ConfigError(f"unknown activation '{name}'; known: hswish, none, relu")


def squeezed(channels: int) -> int:
    """Channels between the two convolutions of squeeze-and-excitation: a quarter, rounded to 8."""
    return make_divisible(channels // 4)


class ConvBnAct(nn.Module):
    """Convolution with padding k // 2 and without bias, batch norm, activation: ``(N, in, H, W) -> (N, out, H', W')``."""

    def __init__(self, in_width: int, out_width: int, *, kernel: int = 1, stride: int = 1, groups: int = 1, act: str = "none") -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_width, out_width, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(out_width, eps=BN_EPS)
        self.act = activation(act)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve, normalise, activate."""
        x = self.bn(self.conv(x))
        return x if self.act is None else self.act(x)


class SqueezeExcite(nn.Module):
    """Channels scaled by a gate of their own averages (Hu et al. 2018, arXiv 1709.01507); hard sigmoid."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.reduce = nn.Conv2d(width, squeezed(width), 1)
        self.act = nn.ReLU()
        self.expand = nn.Conv2d(squeezed(width), width, 1)
        self.gate = nn.Hardsigmoid()

    def forward(self, x: Tensor) -> Tensor:
        """``(N, C, H, W) -> (N, C, H, W)``."""
        gate: Tensor = self.gate(self.expand(self.act(self.reduce(self.pool(x)))))
        return x * gate


class InvertedResidual(nn.Module):
    """Expand, depthwise, squeeze-and-excitation, project; ``expand`` is absent where it would not widen, ``se`` where the spec has none."""

    def __init__(self, spec: BlockSpec) -> None:
        super().__init__()
        self.residual = spec.residual
        self.expand = None if spec.mid == spec.in_width else ConvBnAct(spec.in_width, spec.mid, act=spec.act)
        self.depthwise = ConvBnAct(spec.mid, spec.mid, kernel=spec.kernel, stride=spec.stride, groups=spec.mid, act=spec.act)
        self.se = SqueezeExcite(spec.mid) if spec.se else None
        self.project = ConvBnAct(spec.mid, spec.out_width)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, in, H, W) -> (N, out, H', W')``."""
        y: Tensor = x if self.expand is None else self.expand(x)
        y = self.depthwise(y)
        y = y if self.se is None else self.se(y)
        y = self.project(y)
        return x + y if self.residual else y


class Head(nn.Module):
    """Global average, 1 x 1 feature mix without batch norm and bias, h-swish, classifier: ``(N, in, H, W) -> (N, classes)``."""

    def __init__(self, in_width: int, mix: int, classes: int) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.mix = nn.Conv2d(in_width, mix, 1, bias=False)
        self.act = nn.Hardswish()
        self.classifier = nn.Linear(mix, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        x = self.act(self.mix(self.pool(x)))
        return self.classifier(torch.flatten(x, 1))  # type: ignore[no-any-return]


class Network(nn.Module):
    """A whole MobileNetV3-like network, ``(N, C, R, R) float32 -> (N, classes)``, with the given inverted residuals in chain order."""

    def __init__(self, plan: Plan, specs: Sequence[BlockSpec]) -> None:
        super().__init__()
        self.stem = ConvBnAct(plan.channels, plan.stem, kernel=3, stride=plan.stem_stride, act="hswish")
        front = [first_spec(plan)] if plan.first_block else []
        self.blocks = nn.Sequential(*(InvertedResidual(spec) for spec in [*front, *specs]))
        self.final_expand = ConvBnAct(plan.stages[-1].width, plan.final_expand, act="hswish")
        self.head = Head(plan.final_expand, plan.feature_mix, plan.classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        return self.head(self.final_expand(self.blocks(self.stem(x))))  # type: ignore[no-any-return]
