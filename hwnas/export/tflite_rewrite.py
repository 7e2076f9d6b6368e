"""A graph in the terms of TFLite: no hard-sigmoid, constants folded away, weights in the order that channels-last tensors need.

TFLite has no hard-sigmoid. ``hardsigmoid(x) = relu6(x + 3) / 6``: the 3 goes into the bias of the convolution before it, and the sixth,
carried through products and pools, into the weights of the convolutions after it. What cannot be folded stays an `Affine`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from hwnas.core.errors import UnsupportedOpError
from hwnas.export.graph import (
    Activation,
    Affine,
    Conv,
    Flatten,
    GlobalAveragePool,
    Graph,
    Linear,
    Mul,
    Op,
    Weights,
    consumers,
)


def for_tflite(graph: Graph) -> Graph:
    """An equal graph without hard-sigmoid, with as few `Affine` as can be, whose linear layers read NHWC order."""
    ops: Sequence[Op] = _split_hardsigmoid(graph.ops)
    ops = _fold_backward(ops, graph.output)
    ops = _fold_forward(ops, graph.output)
    ops = _reorder_linear(Graph(graph.input_shape, tuple(ops), graph.output, graph.input))
    return Graph(graph.input_shape, tuple(ops), graph.output, graph.input)


def _split_hardsigmoid(ops: Sequence[Op]) -> list[Op]:
    done: list[Op] = []
    for op in ops:
        if isinstance(op, Activation) and op.kind == "hardsigmoid":
            shifted = Affine(f"{op.name}.plus3", op.inputs, shift=3.0)
            clipped = Activation(f"{op.name}.relu6", (shifted.name,), "relu6")
            done += [shifted, clipped, Affine(op.name, (clipped.name,), scale=1 / 6)]
        else:
            done.append(op)
    return done


def _fold_backward(ops: Sequence[Op], output: str) -> list[Op]:
    """Every `Affine` that alone reads a convolution or linear layer goes into it."""
    readers = consumers(ops)
    done: dict[str, Op] = {}
    renamed: dict[str, str] = {}
    for op in ops:
        inputs = tuple(renamed.get(name, name) for name in op.inputs)
        source = done.get(inputs[0])
        if isinstance(op, Affine) and op.name != output and isinstance(source, Conv | Linear) and len(readers[op.inputs[0]]) == 1:
            weight = _rounded(source.weight.astype(np.float64) * op.scale)
            bias = _rounded(source.bias.astype(np.float64) * op.scale + op.shift)
            done[source.name] = replace(source, weight=weight, bias=bias)
            renamed[op.name] = source.name
        else:
            done[op.name] = replace(op, inputs=inputs)
    return list(done.values())


def _fold_forward(ops: Sequence[Op], output: str) -> list[Op]:
    """Every pure, positive scale whose readers all lead to weights goes into those weights."""
    absorbs = _absorption(ops, output)
    owed: dict[str, float] = {}
    renamed: dict[str, str] = {}
    done: list[Op] = []
    for op in ops:
        inputs = tuple(renamed.get(name, name) for name in op.inputs)
        factor = float(np.prod([owed.get(name, 1.0) for name in op.inputs]))
        if isinstance(op, Affine) and op.shift == 0.0 < op.scale and absorbs(op.name):
            renamed[op.name] = inputs[0]
            owed[op.name] = factor * op.scale
        elif isinstance(op, Conv | Linear) and factor != 1.0:
            done.append(replace(op, inputs=inputs, weight=_rounded(op.weight.astype(np.float64) * factor)))
        else:
            done.append(replace(op, inputs=inputs))
            owed[op.name] = factor
    return done


def _absorption(ops: Sequence[Op], output: str) -> Callable[[str], bool]:
    """Whether a factor on a tensor can be carried, through operations that commute with it, into weights on every path."""
    readers = consumers(ops)
    known: dict[str, bool] = {}
    for op in reversed(ops):
        after = readers.get(op.name, [])
        known[op.name] = op.name != output and all(isinstance(r, Conv | Linear) or (_commutes(r) and known[r.name]) for r in after)
    return lambda name: known[name]


def _commutes(op: Op) -> bool:
    """Whether a positive factor on one input is the same factor on the result."""
    if isinstance(op, Affine):
        return op.shift == 0.0 < op.scale
    return isinstance(op, Mul | Flatten | GlobalAveragePool) or (isinstance(op, Activation) and op.kind == "relu")


def _reorder_linear(graph: Graph) -> list[Op]:
    """Flattened feature maps come in NHWC order, so the columns of the linear layers that read them are permuted."""
    readers = consumers(graph.ops)
    orders: dict[str, tuple[int, ...]] = {}
    for op in graph.ops:
        shape = graph.shapes[op.inputs[0]]
        if isinstance(op, Flatten) and len(shape) == 4 and min(shape[1], shape[2] * shape[3]) > 1:
            if op.name == graph.output or not all(isinstance(r, Linear) for r in readers.get(op.name, [])):
                raise UnsupportedOpError("flatten of a feature map into anything but linear layers", op.name)
            orders[op.name] = shape[1:]
    return [_permuted(op, orders[op.inputs[0]]) if isinstance(op, Linear) and op.inputs[0] in orders else op for op in graph.ops]


def _permuted(linear: Linear, shape: tuple[int, ...]) -> Linear:
    weight = linear.weight.reshape(-1, *shape).transpose(0, 2, 3, 1)
    return replace(linear, weight=np.ascontiguousarray(weight.reshape(len(linear.weight), -1)))


def _rounded(weight: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> Weights:
    return weight.astype(np.float32)
