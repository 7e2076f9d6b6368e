"""Rewrites of operation lists: batch norm into the convolution before it, constants into their neighbours. Folding is done in float64.

Folding as in Jacob et al. 2018, arXiv:1712.05877, section 3.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hwnas.export.graph import Conv, Op, consumers

Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Norm(Op):
    """Batch norm at inference, ``scale * x + shift`` by channel (``(C,) float64`` each); never part of a finished graph."""

    scale: Doubles
    shift: Doubles


def fold_norms(ops: Sequence[Op], *, output: str) -> tuple[Op, ...]:
    """``ops`` without `Norm`: folded into the convolution that feeds it when nothing else reads that, else a depthwise 1x1 convolution."""
    readers = consumers(ops)
    done: dict[str, Op] = {}
    renamed: dict[str, str] = {}
    for op in ops:
        inputs = tuple(renamed.get(name, name) for name in op.inputs)
        if not isinstance(op, Norm):
            done[op.name] = replace(op, inputs=inputs)
            continue
        source = done.get(inputs[0])
        if isinstance(source, Conv) and len(readers[op.inputs[0]]) == 1 and op.inputs[0] != output:
            done[source.name] = scaled(source, op.scale, op.shift)
            renamed[op.name] = source.name
        else:
            done[op.name] = _depthwise(replace(op, inputs=inputs))
    result = renamed.get(output, output)
    return tuple(_rename(op, result, output) for op in done.values())


def scaled(conv: Conv, scale: Doubles, shift: Doubles) -> Conv:
    """The convolution followed by ``scale * x + shift`` by output channel, as one convolution."""
    weight = conv.weight.astype(np.float64) * scale[:, None, None, None]
    bias = conv.bias.astype(np.float64) * scale + shift
    return replace(conv, weight=weight.astype(np.float32), bias=bias.astype(np.float32))


def _depthwise(norm: Norm) -> Conv:
    weight = norm.scale.astype(np.float32)[:, None, None, None]
    return Conv(norm.name, norm.inputs, weight, norm.shift.astype(np.float32), groups=len(norm.scale))


def _rename(op: Op, old: str, new: str) -> Op:
    if old == new:
        return op
    inputs = tuple(new if name == old else name for name in op.inputs)
    return replace(op, name=new if op.name == old else op.name, inputs=inputs)
