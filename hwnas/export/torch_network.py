"""A `hwnas.export.graph.Graph` as a torch module: what a static network is after batch norm was folded into its weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hwnas.core.errors import UnsupportedOpError
from hwnas.export.graph import Activation, Add, Affine, Conv, Flatten, GlobalAveragePool, Graph, Linear, Mul, Op

_ACTIVATIONS = {"relu": F.relu, "relu6": F.relu6, "hardswish": F.hardswish, "hardsigmoid": F.hardsigmoid}


class Network(nn.Module):
    """``image (N, C, H, W) -> `` what the graph's output is. Weights are buffers, in the order of the operations."""

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self._graph = graph
        for number, op in enumerate(graph.ops):
            if isinstance(op, Conv | Linear):
                self.register_buffer(f"weight{number}", torch.from_numpy(op.weight.copy()))
                self.register_buffer(f"bias{number}", torch.from_numpy(op.bias.copy()))

    def forward(self, image: Tensor) -> Tensor:
        """Run the operations in order."""
        made = {self._graph.input: image}
        for number, op in enumerate(self._graph.ops):
            made[op.name] = self._one(number, op, [made[name] for name in op.inputs])
        return made[self._graph.output]

    def _one(self, number: int, op: Op, taken: list[Tensor]) -> Tensor:
        match op:
            case Conv():
                return self._conv(number, op, taken[0])
            case Linear():
                return F.linear(taken[0], self.get_buffer(f"weight{number}"), self.get_buffer(f"bias{number}"))
            case GlobalAveragePool():
                return F.adaptive_avg_pool2d(taken[0], 1)
            case Flatten():
                return torch.flatten(taken[0], 1)
            case Add():
                return taken[0] + taken[1]
            case Mul():
                return taken[0] * taken[1]
            case Affine():
                return taken[0] * op.scale + op.shift
            case Activation() if op.kind in _ACTIVATIONS:
                return _ACTIVATIONS[op.kind](taken[0])
            case _:
                raise UnsupportedOpError(getattr(op, "kind", type(op).__name__), op.name)

    def _conv(self, number: int, op: Conv, taken: Tensor) -> Tensor:
        top, left, bottom, right = op.padding
        even = (top, left) == (bottom, right)
        if not even:
            taken = F.pad(taken, (left, right, top, bottom))
        weight, bias = self.get_buffer(f"weight{number}"), self.get_buffer(f"bias{number}")
        return F.conv2d(taken, weight, bias, stride=op.stride, padding=(top, left) if even else 0, groups=op.groups)
