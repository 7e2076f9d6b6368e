"""What each torch module, function and method becomes in a `Graph`: the tables that `lower` looks into."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import fx, nn
from torch.nn import functional as F

from hwnas.core.errors import VerificationError
from hwnas.export.fold import Norm
from hwnas.export.graph import Activation, Add, Affine, Conv, Flatten, GlobalAveragePool, Linear, Mul, Weights

if TYPE_CHECKING:
    from hwnas.export.lower import Lowering

ModuleRule = Callable[["Lowering", fx.Node, Any], str]
CallRule = Callable[["Lowering", fx.Node], str]


def _numbers(tensor: torch.Tensor | None, length: int = 0) -> Weights:
    if tensor is None:
        return np.zeros(length, dtype=np.float32)
    return tensor.detach().to(device="cpu", dtype=torch.float32).numpy().copy(order="C")


def _conv(lowering: Lowering, node: fx.Node, conv: nn.Conv2d) -> str:
    if conv.groups not in (1, conv.in_channels):
        raise lowering.unsupported(node, f"nn.Conv2d with groups={conv.groups} of {conv.in_channels} channels")
    if conv.dilation != (1, 1) or conv.padding_mode != "zeros":
        raise lowering.unsupported(node, f"nn.Conv2d with dilation={conv.dilation}, padding_mode={conv.padding_mode!r}")
    left, right, top, bottom = conv._reversed_padding_repeated_twice
    op = Conv(
        lowering.name(node),
        (lowering.source(node),),
        weight=_numbers(conv.weight),
        bias=_numbers(conv.bias, conv.out_channels),
        stride=(conv.stride[0], conv.stride[1]),
        padding=(top, left, bottom, right),
        groups=conv.groups,
    )
    return lowering.append(op)


def _batch_norm(lowering: Lowering, node: fx.Node, norm: nn.BatchNorm2d) -> str:
    mean, variance, tracked = norm.running_mean, norm.running_var, norm.num_batches_tracked
    if mean is None or variance is None or tracked is None:
        raise lowering.unsupported(node, "nn.BatchNorm2d without running statistics")
    if not lowering.timing_only and int(tracked) == 0:
        raise VerificationError(f"batch norm '{node.target}' was not recalibrated; run it over training images before exporting")
    scale = 1.0 / np.sqrt(_numbers(variance).astype(np.float64) + norm.eps)
    if norm.affine:
        scale = scale * _numbers(norm.weight).astype(np.float64)
    shift = (_numbers(norm.bias).astype(np.float64) if norm.affine else 0.0) - _numbers(mean).astype(np.float64) * scale
    return lowering.append(Norm(lowering.name(node), (lowering.source(node),), scale=scale, shift=shift))


def _linear(lowering: Lowering, node: fx.Node, linear: nn.Linear) -> str:
    weight, bias = _numbers(linear.weight), _numbers(linear.bias, linear.out_features)
    return lowering.append(Linear(lowering.name(node), (lowering.source(node),), weight=weight, bias=bias))


def _pool_module(lowering: Lowering, node: fx.Node, pool: nn.AdaptiveAvgPool2d) -> str:
    return _pool(lowering, node, pool.output_size)


def _pool_call(lowering: Lowering, node: fx.Node) -> str:
    return _pool(lowering, node, _argument(node, 1, "output_size", None))


def _pool(lowering: Lowering, node: fx.Node, size: Any) -> str:
    source = lowering.source(node)
    if size not in (1, (1, 1), [1, 1]):
        raise lowering.unsupported(node, f"average pooling to {size}")
    if lowering.shapes[source][2:] == (1, 1):
        return source
    return lowering.append(GlobalAveragePool(lowering.name(node), (source,)))


def _mean(lowering: Lowering, node: fx.Node) -> str:
    dims = _argument(node, 1, "dim", None)
    rank = len(lowering.shapes[lowering.source(node)])
    spatial = isinstance(dims, tuple | list) and sorted(d % 4 for d in dims if isinstance(d, int)) == [2, 3]
    if not spatial or rank != 4:
        raise lowering.unsupported(node, f"mean over {dims} of {rank} dimensions")
    pooled = _pool(lowering, node, 1)
    if _argument(node, 2, "keepdim", False):
        return pooled
    return lowering.append(Flatten(lowering.name(node, suffix=".flatten"), (pooled,)))


def _flatten_module(lowering: Lowering, node: fx.Node, flatten: nn.Flatten) -> str:
    return _flatten(lowering, node, flatten.start_dim, flatten.end_dim)


def _flatten_call(lowering: Lowering, node: fx.Node) -> str:
    return _flatten(lowering, node, _argument(node, 1, "start_dim", 0), _argument(node, 2, "end_dim", -1))


def _flatten(lowering: Lowering, node: fx.Node, start: Any, end: Any) -> str:
    source = lowering.source(node)
    rank = len(lowering.shapes[source])
    if start != 1 or end not in (-1, rank - 1):
        raise lowering.unsupported(node, f"flatten of dimensions {start} to {end}")
    return source if rank == 2 else lowering.append(Flatten(lowering.name(node), (source,)))


def _drop(lowering: Lowering, node: fx.Node, _: nn.Module) -> str:
    return lowering.source(node)


def _contiguous(lowering: Lowering, node: fx.Node) -> str:
    return lowering.source(node)


def _dropout_call(lowering: Lowering, node: fx.Node) -> str:
    if _argument(node, 2, "training", True):
        raise lowering.unsupported(node, "dropout in training mode")
    return lowering.source(node)


def _activation(kind: str) -> CallRule:
    def rule(lowering: Lowering, node: fx.Node) -> str:
        return lowering.append(Activation(lowering.name(node), (lowering.source(node),), kind))

    return rule


def _activation_module(kind: str) -> ModuleRule:
    rule = _activation(kind)
    return lambda lowering, node, _: rule(lowering, node)


def _arithmetic(symbol: str) -> CallRule:
    """Sum or product of two tensors; sum, difference, product or quotient of a tensor and a number."""

    def rule(lowering: Lowering, node: fx.Node) -> str:
        left, right = _operands(lowering, node, symbol)
        name = lowering.name(node)
        if isinstance(left, fx.Node) and isinstance(right, fx.Node):
            if symbol not in "+*":
                raise lowering.unsupported(node, f"tensor {symbol} tensor")
            return lowering.append((Add if symbol == "+" else Mul)(name, (lowering.source(node, 0), lowering.source(node, 1))))
        swapped = isinstance(right, fx.Node)
        number = left if swapped else right
        if not isinstance(number, int | float) or (swapped and symbol in "-/") or (symbol == "/" and number == 0):
            raise lowering.unsupported(node, f"'{symbol}' of {type(left).__name__} and {type(right).__name__}")
        source = (lowering.source(node, int(swapped)),)
        if symbol in "+-":
            return lowering.append(Affine(name, source, shift=float(number if symbol == "+" else -number)))
        return lowering.append(Affine(name, source, scale=float(number if symbol == "*" else 1 / number)))

    return rule


def _operands(lowering: Lowering, node: fx.Node, symbol: str) -> tuple[Any, Any]:
    if len(node.args) != 2 or node.kwargs:
        raise lowering.unsupported(node, f"'{symbol}' with arguments passed by keyword ({', '.join(node.kwargs)})")
    return node.args[0], node.args[1]


def _argument(node: fx.Node, position: int, keyword: str, default: Any) -> Any:
    return node.args[position] if len(node.args) > position else node.kwargs.get(keyword, default)


MODULES: dict[type[nn.Module], ModuleRule] = {
    nn.Conv2d: _conv,
    nn.BatchNorm2d: _batch_norm,
    nn.Linear: _linear,
    nn.AdaptiveAvgPool2d: _pool_module,
    nn.Flatten: _flatten_module,
    **dict.fromkeys((nn.Identity, nn.Dropout, nn.Dropout2d), _drop),
    nn.ReLU: _activation_module("relu"),
    nn.ReLU6: _activation_module("relu6"),
    nn.Hardswish: _activation_module("hardswish"),
    nn.Hardsigmoid: _activation_module("hardsigmoid"),
}

FUNCTIONS: dict[Any, CallRule] = {
    **dict.fromkeys((operator.add, operator.iadd, torch.add), _arithmetic("+")),
    **dict.fromkeys((operator.mul, operator.imul, torch.mul), _arithmetic("*")),
    **dict.fromkeys((operator.sub, operator.isub, torch.sub), _arithmetic("-")),
    **dict.fromkeys((operator.truediv, operator.itruediv, torch.div), _arithmetic("/")),
    **dict.fromkeys((F.relu, torch.relu), _activation("relu")),
    F.relu6: _activation("relu6"),
    F.hardswish: _activation("hardswish"),
    F.hardsigmoid: _activation("hardsigmoid"),
    F.adaptive_avg_pool2d: _pool_call,
    F.dropout: _dropout_call,
    torch.mean: _mean,
    torch.flatten: _flatten_call,
}

METHODS: dict[Any, CallRule] = {
    **dict.fromkeys(("add", "add_"), _arithmetic("+")),
    **dict.fromkeys(("mul", "mul_"), _arithmetic("*")),
    **dict.fromkeys(("relu", "relu_"), _activation("relu")),
    "mean": _mean,
    "flatten": _flatten_call,
    "contiguous": _contiguous,
}
