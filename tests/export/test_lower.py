"""Torch modules become graphs: what vanishes, what is folded, and what is refused by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from hwnas.core.errors import UnsupportedOpError, UsageError, VerificationError
from hwnas.export.graph import OUTPUT, Activation, Affine, Conv, Flatten, GlobalAveragePool, Graph
from hwnas.export.lower import lower
from hwnas.export.tflite_rewrite import for_tflite
from hwnas.export.torch_network import Network
from tests.export.networks import BlockConfig, block, conv_bn, seeded, small_net


class Calls(nn.Module):
    """A module whose forward is a function of the input and of itself."""

    def __init__(self, call: Callable[..., Any], *, children: dict[str, nn.Module] | None = None) -> None:
        super().__init__()
        self.call = call
        for name, child in (children or {}).items():
            self.add_module(name, child)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = self.call(x) if not dict(self.named_children()) else self.call(self, x)
        return made


def test_batch_norm_dropout_and_identity_vanish() -> None:
    graph = lower(small_net(), (3, 33, 33))
    assert Counter(type(op).__name__ for op in graph.ops) == {
        "Conv": 20,
        "Activation": 17,
        "GlobalAveragePool": 4,
        "Mul": 3,
        "Add": 2,
        "Flatten": 1,
        "Linear": 2,
    }
    assert graph.output_shape == (1, 10)
    assert graph.shapes["blocks.3.depthwise.0"] == (1, 96, 5, 5)
    assert "blocks.2.se.gate" in graph.shapes, "names follow the module paths"


def test_batch_norm_is_folded_in_float64() -> None:
    module = seeded(conv_bn(3, 5, 3))
    (op,) = lower(module, (3, 8, 8)).ops
    assert isinstance(op, Conv)
    conv, norm = module.get_submodule("0"), module.get_submodule("1")
    assert isinstance(conv, nn.Conv2d)
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
    weight = (conv.weight.double() * scale[:, None, None, None]).float()
    bias = (norm.bias.double() - norm.running_mean.double() * scale).float()
    np.testing.assert_array_equal(op.weight, weight.detach().numpy())
    np.testing.assert_array_equal(op.bias, bias.detach().numpy())


def test_the_graph_does_not_share_memory_with_the_module() -> None:
    conv = nn.Conv2d(3, 4, 1)
    (op,) = lower(seeded(nn.Sequential(conv)), (3, 4, 4)).ops
    assert isinstance(op, Conv)
    before = op.weight.copy()
    with torch.no_grad():
        conv.weight.zero_()
    np.testing.assert_array_equal(op.weight, before)


def test_a_batch_norm_that_no_convolution_feeds_is_a_depthwise_convolution() -> None:
    (op,) = lower(seeded(nn.Sequential(nn.BatchNorm2d(4))), (4, 6, 6)).ops
    assert isinstance(op, Conv)
    assert (op.groups, op.weight.shape) == (4, (4, 1, 1, 1))


def test_a_convolution_that_something_else_reads_is_not_folded_into() -> None:
    module = Calls(lambda self, x: self.norm(y := self.conv(x)) + y, children={"conv": nn.Conv2d(3, 4, 1), "norm": nn.BatchNorm2d(4)})
    graph = lower(seeded(module), (3, 6, 6))
    assert [type(op).__name__ for op in graph.ops] == ["Conv", "Conv", "Add"]


def test_batch_norm_as_initialised_must_not_be_exported_except_for_timing() -> None:
    module = conv_bn(3, 4, 3).eval()
    with pytest.raises(VerificationError, match="batch norm '1' was not recalibrated"):
        lower(module, (3, 8, 8))
    assert len(lower(module, (3, 8, 8), timing_only=True).ops) == 1


def test_training_mode_is_refused() -> None:
    with pytest.raises(UsageError, match="module '1' is in training mode"):
        lower(nn.Sequential(nn.Conv2d(3, 4, 1), nn.Dropout()).train(), (3, 8, 8))


def test_what_nobody_reads_is_left_out() -> None:
    module = Calls(lambda self, x: (self.unused(x), self.used(x))[1], children={"unused": nn.Conv2d(3, 4, 1), "used": nn.Conv2d(3, 5, 1)})
    graph = lower(module.eval(), (3, 8, 8))
    assert [op.name for op in graph.ops] == [OUTPUT]


def test_a_module_called_twice_gives_two_operations() -> None:
    module = Calls(lambda self, x: self.conv(self.conv(x)), children={"conv": nn.Conv2d(3, 3, 1)})
    graph = lower(module.eval(), (3, 8, 8))
    assert [op.name for op in graph.ops] == ["conv", OUTPUT]


def test_a_pool_of_one_pixel_vanishes() -> None:
    module = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.ReLU(), nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten(), nn.Flatten()).eval()
    graph = lower(module, (3, 8, 8))
    assert [type(op) for op in graph.ops] == [GlobalAveragePool, Activation, Flatten]


@pytest.mark.parametrize(
    ("call", "kinds"),
    [
        (lambda x: F.relu6(x + 3) / 6, ["Affine", "Activation", "Affine"]),
        (lambda x: 2 * x - 1, ["Affine", "Affine"]),
        (lambda x: F.hardswish(x).mean([2, 3], keepdim=True), ["Activation", "GlobalAveragePool"]),
        (lambda x: torch.mean(x, dim=(-1, -2)), ["GlobalAveragePool", "Flatten"]),
        (lambda x: F.adaptive_avg_pool2d(x, output_size=1).flatten(1), ["GlobalAveragePool", "Flatten"]),
        (lambda x: torch.flatten(x, start_dim=1).relu(), ["Flatten", "Activation"]),
        (lambda x: F.dropout(F.hardsigmoid(x), training=False).contiguous(), ["Activation"]),
        (lambda x: torch.add(x, x).mul(x), ["Add", "Mul"]),
    ],
)
def test_functions_and_methods(call: Callable[[torch.Tensor], torch.Tensor], kinds: list[str]) -> None:
    graph = lower(Calls(call).eval(), (3, 5, 4))
    assert [type(op).__name__ for op in graph.ops] == kinds


def test_numbers_become_scales_and_shifts() -> None:
    ops = lower(Calls(lambda x: (0.5 * x - 3) / 4 + 1).eval(), (3, 5, 4)).ops
    assert [(op.scale, op.shift) for op in ops if isinstance(op, Affine)] == [(0.5, 0.0), (1.0, -3.0), (0.25, 0.0), (1.0, 1.0)]


def test_same_padding_of_an_even_kernel_is_uneven() -> None:
    (op,) = lower(nn.Sequential(nn.Conv2d(3, 4, (2, 4), padding="same")).eval(), (3, 8, 8)).ops
    assert isinstance(op, Conv)
    assert op.padding == (0, 1, 1, 2)


class Branches(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x if x.sum() > 0 else -x


class TwoInputs(nn.Module):
    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return x + y


class Weighted(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.weight


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (nn.Sequential(nn.Conv2d(3, 4, 1), nn.Sequential(nn.SiLU())), r"1\.0: cannot export nn\.SiLU"),
        (nn.Sequential(nn.Conv2d(4, 4, 1, groups=2)), r"0: cannot export nn\.Conv2d with groups=2 of 4 channels"),
        (nn.Sequential(nn.Conv2d(3, 4, 3, dilation=2)), "dilation"),
        (nn.Sequential(nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect")), "padding_mode='reflect'"),
        (nn.Sequential(nn.BatchNorm2d(3, track_running_stats=False)), "without running statistics"),
        (nn.Sequential(nn.AdaptiveAvgPool2d(2)), "average pooling to 2"),
        (nn.Sequential(nn.Flatten(2)), "flatten of dimensions 2 to -1"),
        (Calls(lambda x: x.mean(1)), "mean over 1 of 4 dimensions"),
        (Calls(lambda x: x.mean()), "mean over None"),
        (Calls(lambda x: torch.softmax(x, 1)), "softmax: cannot export softmax"),
        (Calls(lambda x: x.softmax(1)), "softmax"),
        (Calls(lambda x: x - x.relu()), "tensor - tensor"),
        (Calls(lambda x: 1 - x), "'-' of int and Node"),
        (Calls(lambda x: x / 0), "'/' of Node and int"),
        (Calls(lambda x: torch.add(x, x, alpha=2)), "'\\+' with arguments passed by keyword \\(alpha\\)"),
        (Calls(lambda x: torch.relu(input=x)), "relu with tensors passed by keyword"),
        (Calls(lambda x: F.dropout(x)), "dropout in training mode"),
        (Calls(lambda x: (x, x + 1)), "an? output of tuple"),
        (Branches(), "Branches: cannot export control flow that depends on the input"),
        (TwoInputs(), "TwoInputs: cannot export a second input"),
        (Weighted(), "get_attr"),
    ],
)
def test_what_is_not_known_is_named(module: nn.Module, message: str) -> None:
    channels = next((child.in_channels for child in module.modules() if isinstance(child, nn.Conv2d)), 3)
    with pytest.raises(UnsupportedOpError, match=message):
        lower(module.eval(), (channels, 8, 8))


def test_a_module_that_does_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="nothing to export"):
        lower(nn.Sequential(nn.Identity()).eval(), (3, 8, 8))


def test_an_input_that_does_not_fit_is_refused() -> None:
    with pytest.raises(UsageError, match=r"'0' \(Conv\) cannot take an input of 1x3x8x8"):
        lower(nn.Sequential(nn.Conv2d(4, 4, 1)).eval(), (3, 8, 8))


def test_batch_is_part_of_the_graph() -> None:
    assert lower(block(BlockConfig()), (8, 6, 6), batch=3).input_shape == (3, 8, 6, 6)


@pytest.mark.parametrize("rewrite", [lambda graph: graph, for_tflite])
def test_all_that_files_lose_is_one_rounding_of_each_weight(rewrite: Callable[[Graph], Graph]) -> None:
    """A net whose batch norm spans ten orders of magnitude, in double precision: folded and rewritten, it differs by roundings alone."""
    net = small_net()
    rng = np.random.default_rng(0)
    with torch.no_grad():
        for norm in (each for each in net.modules() if isinstance(each, nn.BatchNorm2d)):
            norm.running_var.copy_(torch.from_numpy(10.0 ** rng.uniform(-8, 2, norm.num_features)))
            norm.running_mean.copy_(torch.from_numpy(rng.normal(0, 3, norm.num_features)) * norm.running_var.sqrt())
            norm.weight.copy_(norm.running_var.sqrt() + 1e-3)
    x = torch.from_numpy(rng.standard_normal((2, 3, 33, 33)))
    graph = rewrite(lower(net, (3, 33, 33)))
    with torch.inference_mode():
        exact, folded = net.double()(x), Network(graph).double()(x)
    assert float((folded - exact).abs().max()) <= 100 * 2.0**-24 * float(exact.abs().max())
