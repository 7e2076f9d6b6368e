"""Plain torch networks that the export tests write; every batch norm has statistics of its own."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True)
class BlockConfig:
    in_channels: int = 8
    out_channels: int = 8
    expand: int = 3
    kernel: int = 3
    stride: int = 1
    se: bool = True
    act: str = "hardswish"


ACTS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "relu6": nn.ReLU6, "hardswish": nn.Hardswish}


def conv_bn(cin: int, cout: int, kernel: int, stride: int = 1, groups: int = 1, act: str = "") -> nn.Sequential:
    layers: list[nn.Module] = [nn.Conv2d(cin, cout, kernel, stride, kernel // 2, groups=groups, bias=False), nn.BatchNorm2d(cout)]
    return nn.Sequential(*layers, *([ACTS[act]()] if act else []))


class SqueezeExcite(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = max(channels // 4, 4)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.reduce = nn.Conv2d(channels, inner, 1)
        self.expand = nn.Conv2d(inner, channels, 1)
        self.gate = nn.Hardsigmoid()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gate: torch.Tensor = self.gate(self.expand(torch.relu(self.reduce(self.pool(x)))))
        return x * gate


class InvertedResidual(nn.Module):
    def __init__(self, config: BlockConfig) -> None:
        super().__init__()
        wide = config.in_channels * config.expand
        self.expand = conv_bn(config.in_channels, wide, 1, act=config.act)
        self.depthwise = conv_bn(wide, wide, config.kernel, config.stride, groups=wide, act=config.act)
        self.se = SqueezeExcite(wide) if config.se else nn.Identity()
        self.project = conv_bn(wide, config.out_channels, 1)
        self.residual = config.stride == 1 and config.in_channels == config.out_channels

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.project(self.se(self.depthwise(self.expand(x))))
        return x + y if self.residual else y


class SmallNet(nn.Module):
    """A MobileNetV3 in small: stem, inverted residuals, pooled head."""

    def __init__(self, *, channels: int = 3, classes: int = 10, blocks: tuple[BlockConfig, ...] = ()) -> None:
        super().__init__()
        self.stem = conv_bn(channels, 8, 3, 2, act="hardswish")
        self.blocks = nn.Sequential(*map(InvertedResidual, blocks))
        width = blocks[-1].out_channels if blocks else 8
        self.final = conv_bn(width, 4 * width, 1, act="hardswish")
        self.feature = nn.Sequential(nn.Linear(4 * width, 32), nn.Hardswish())
        self.classifier = nn.Sequential(nn.Dropout(0.1), nn.Linear(32, classes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.final(self.blocks(self.stem(x)))
        logits: torch.Tensor = self.classifier(self.feature(x.mean((2, 3))))
        return logits


FOUR_BLOCKS = (
    BlockConfig(8, 8, 1, 3, 1, True, "relu"),
    BlockConfig(8, 16, 3, 5, 2, False, "relu"),
    BlockConfig(16, 16, 4, 7, 1, True, "hardswish"),
    BlockConfig(16, 24, 6, 3, 2, True, "relu6"),
)


def seeded(module: nn.Module, *, seed: int = 0) -> nn.Module:
    """The module in eval mode, with weights that keep activations near 1 and batch norms as if recalibrated."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for child in module.modules():
            if isinstance(child, nn.Conv2d | nn.Linear):
                fan_in = child.weight[0].numel()
                child.weight.copy_(torch.randn(child.weight.shape, generator=generator) * (1.5 / fan_in) ** 0.5)
                if child.bias is not None:
                    child.bias.copy_(torch.randn(child.bias.shape, generator=generator) * 0.1)
            if isinstance(child, nn.BatchNorm2d):
                child.weight.copy_(torch.rand(child.weight.shape, generator=generator) + 0.5)
                child.bias.copy_(torch.randn(child.bias.shape, generator=generator) * 0.2)
                child.running_mean = torch.randn(child.bias.shape, generator=generator) * 0.2
                child.running_var = torch.rand(child.bias.shape, generator=generator) + 0.5
                child.num_batches_tracked = torch.tensor(7)
    return module.eval()


def small_net(*, channels: int = 3, seed: int = 0) -> nn.Module:
    return seeded(SmallNet(channels=channels, blocks=FOUR_BLOCKS), seed=seed)


def block(config: BlockConfig, *, seed: int = 0) -> nn.Module:
    return seeded(InvertedResidual(config), seed=seed)
