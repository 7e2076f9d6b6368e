"""A static image network as data: the small intermediate form that every emitter reads.

Tensors are NCHW float32 and the batch is fixed. Weights are constants (numpy arrays) with batch norm folded into them. A graph knows
neither torch nor a file format, and infers and checks the shape of every tensor when it is made.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from hwnas.core.errors import UnsupportedOpError, UsageError

Weights = NDArray[np.float32]
Shape = tuple[int, ...]

INPUT = "image"
OUTPUT = "logits"
ACTIVATIONS = ("relu", "relu6", "hardswish", "hardsigmoid")


@dataclass(frozen=True, slots=True, eq=False)
class Op:
    """One operation; ``name`` is also the name of the tensor that it makes."""

    name: str
    inputs: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Conv(Op):
    """2-D convolution, dense (``groups`` 1) or depthwise (``groups`` = input channels).

    ``weight (O, I / groups, kh, kw)``, ``bias (O,)``, ``stride (h, w)``, ``padding (top, left, bottom, right)`` of zeros.
    """

    weight: Weights
    bias: Weights
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    groups: int = 1


@dataclass(frozen=True, slots=True, eq=False)
class Linear(Op):
    """``x (N, I) -> x @ weight.T + bias (N, O)``, ``weight (O, I)``, ``bias (O,)``."""

    weight: Weights
    bias: Weights


@dataclass(frozen=True, slots=True, eq=False)
class GlobalAveragePool(Op):
    """``(N, C, H, W) -> (N, C, 1, 1)``."""


@dataclass(frozen=True, slots=True, eq=False)
class Flatten(Op):
    """``(N, ...) -> (N, K)``, in NCHW order."""


@dataclass(frozen=True, slots=True, eq=False)
class Add(Op):
    """Sum of two tensors of one rank; a side of length 1 is broadcast."""


@dataclass(frozen=True, slots=True, eq=False)
class Mul(Op):
    """Product of two tensors of one rank; a side of length 1 is broadcast."""


@dataclass(frozen=True, slots=True, eq=False)
class Affine(Op):
    """``scale * x + shift`` with two numbers."""

    scale: float = 1.0
    shift: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Activation(Op):
    """``kind`` is one of `ACTIVATIONS`; hard-swish and hard-sigmoid as in Howard et al. 2019, arXiv:1905.02244."""

    kind: str = "relu"


@dataclass(frozen=True, slots=True, eq=False)
class Graph:
    """Operations in the order in which they run. ``input_shape`` is ``(N, C, H, W)``; ``output`` names the last tensor."""

    input_shape: tuple[int, int, int, int]
    ops: tuple[Op, ...]
    output: str = OUTPUT
    input: str = INPUT
    shapes: Mapping[str, Shape] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        shapes: dict[str, Shape] = {self.input: self.input_shape}
        for op in self.ops:
            if op.name in shapes:
                raise UsageError(f"two tensors of the graph are named '{op.name}'")
            missing = [name for name in op.inputs if name not in shapes]
            if missing:
                raise UsageError(f"'{op.name}' reads '{missing[0]}', which nothing before it makes")
            shapes[op.name] = infer_shape(op, tuple(shapes[name] for name in op.inputs))
        if self.output not in shapes or self.output == self.input:
            raise UsageError(f"no operation makes the output '{self.output}' of the graph")
        object.__setattr__(self, "shapes", MappingProxyType(shapes))

    @property
    def output_shape(self) -> Shape:
        """Shape of the output, NCHW."""
        return self.shapes[self.output]

    @property
    def parameters(self) -> int:
        """How many numbers the weights hold."""
        return sum(op.weight.size + op.bias.size for op in self.ops if isinstance(op, Conv | Linear))


def consumers(ops: Iterable[Op]) -> dict[str, list[Op]]:
    """The operations that read each tensor, in order; a tensor that none reads is absent."""
    readers: dict[str, list[Op]] = {}
    for op in ops:
        for name in dict.fromkeys(op.inputs):
            readers.setdefault(name, []).append(op)
    return readers


def infer_shape(op: Op, shapes: tuple[Shape, ...]) -> Shape:
    """Shape of what ``op`` makes from inputs of ``shapes``; inputs that do not fit it raise `UsageError`."""
    match op:
        case Conv():
            return _conv_shape(op, shapes[0])
        case Linear():
            _require(len(shapes[0]) == 2 and shapes[0][1] == op.weight.shape[1], op, shapes)
            return (shapes[0][0], op.weight.shape[0])
        case GlobalAveragePool():
            _require(len(shapes[0]) == 4, op, shapes)
            return (*shapes[0][:2], 1, 1)
        case Flatten():
            return (shapes[0][0], int(np.prod(shapes[0][1:])))
        case Add() | Mul():
            left, right = shapes
            _require(len(left) == len(right) and all(a == b or 1 in (a, b) for a, b in zip(left, right, strict=True)), op, shapes)
            return tuple(max(a, b) for a, b in zip(left, right, strict=True))
        case Activation():
            _require(op.kind in ACTIVATIONS, op, shapes)
            return shapes[0]
        case Affine():
            return shapes[0]
        case _:
            raise UnsupportedOpError(type(op).__name__, op.name)


def _conv_shape(conv: Conv, shape: Shape) -> Shape:
    out_channels, in_per_group, *kernel = conv.weight.shape
    top, left, bottom, right = conv.padding
    _require(len(shape) == 4 and shape[1] == in_per_group * conv.groups, conv, (shape,))
    _require(out_channels % conv.groups == 0 and conv.bias.shape == (out_channels,), conv, (shape,))
    padded = (shape[2] + top + bottom, shape[3] + left + right)
    sides = tuple((side - k) // s + 1 for side, k, s in zip(padded, kernel, conv.stride, strict=True))
    _require(min(sides) >= 1, conv, (shape,))
    return (shape[0], out_channels, *sides)


def _require(fits: bool, op: Op, shapes: tuple[Shape, ...]) -> None:
    if not fits:
        shown = " and ".join("x".join(map(str, shape)) for shape in shapes)
        raise UsageError(f"'{op.name}' ({type(op).__name__}) cannot take an input of {shown}")
