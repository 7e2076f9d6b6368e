"""A plain static ``nn.Module`` in eval mode becomes a `Graph`, by symbolic tracing (Reed et al. 2022, arXiv:2112.08429) in milliseconds.

Batch norm is folded into the convolution before it; dropout and identities vanish. An operation that is not known is an
`UnsupportedOpError` that names it and the module that uses it, never a silently different network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from torch import fx, nn

from hwnas.core.errors import UnsupportedOpError, UsageError
from hwnas.export.fold import Norm, fold_norms
from hwnas.export.graph import INPUT, OUTPUT, Graph, Op, Shape, infer_shape
from hwnas.export.torch_ops import FUNCTIONS, METHODS, MODULES


def lower(module: nn.Module, input_shape: tuple[int, int, int], *, batch: int = 1, timing_only: bool = False) -> Graph:
    """The graph of ``module`` for images of ``input_shape (C, H, W)`` in batches of ``batch``.

    A batch norm whose statistics were never recalibrated raises `VerificationError`, unless ``timing_only`` says that nobody will
    read what the network answers. A module in training mode raises `UsageError`, an unknown operation `UnsupportedOpError`.
    """
    training = [path for path, child in module.named_modules() if child.training]
    if training:
        raise UsageError(f"module '{training[-1] or type(module).__name__}' is in training mode; call eval() before exporting")
    try:
        traced = fx.Tracer().trace(module)
    except fx.proxy.TraceError as problem:
        raise UnsupportedOpError(f"control flow that depends on the input ({problem})", type(module).__name__) from None
    return Lowering(module, (batch, *input_shape), timing_only=timing_only).run(traced)


class Lowering:
    """One pass over a traced module: the tensor of every traced node, and the operations so far in order."""

    def __init__(self, module: nn.Module, input_shape: tuple[int, int, int, int], *, timing_only: bool) -> None:
        self.module = module
        self.input_shape = input_shape
        self.timing_only = timing_only
        self.shapes: dict[str, Shape] = {INPUT: input_shape}
        self._names: dict[fx.Node, str] = {}
        self._ops: list[Op] = []

    def run(self, traced: fx.Graph) -> Graph:
        """The finished graph."""
        output = ""
        for node in traced.nodes:
            if node.op == "placeholder":
                self._placeholder(node)
            elif node.op == "output":
                output = self._tensor(node, node.args[0])
            else:
                self._names[node] = self._lower(node)
        if output == INPUT:
            raise UsageError(f"{type(self.module).__name__} returns its input; there is nothing to export")
        ops = fold_norms(_reachable(self._ops, output), output=output)
        return Graph(self.input_shape, _with_output(ops, output))

    def append(self, op: Op) -> str:
        """Add an operation; returns the name of its tensor."""
        shapes = tuple(self.shapes[name] for name in op.inputs)
        self.shapes[op.name] = shapes[0] if isinstance(op, Norm) else infer_shape(op, shapes)
        self._ops.append(op)
        return op.name

    def name(self, node: fx.Node, *, suffix: str = "") -> str:
        """A free name for what ``node`` makes, after the path of the module that makes it."""
        wanted = path_of(node) + suffix
        candidates = [wanted, *(f"{wanted}_{i}" for i in range(1, len(self._ops) + 3))]
        return next(name for name in candidates if name not in self.shapes and name != OUTPUT)

    def source(self, node: fx.Node, position: int = 0) -> str:
        """Name of the tensor that ``node`` takes as its argument at ``position``."""
        if position >= len(node.args):
            raise self.unsupported(node, f"{_called(node)} with tensors passed by keyword")
        return self._tensor(node, node.args[position])

    def unsupported(self, node: fx.Node, operation: str) -> UnsupportedOpError:
        """The error for an operation of ``node`` that has no counterpart in the graph."""
        return UnsupportedOpError(operation, path_of(node))

    def _placeholder(self, node: fx.Node) -> None:
        if self._names:
            raise UnsupportedOpError(f"a second input ('{node.target}')", type(self.module).__name__)
        self._names[node] = INPUT

    def _lower(self, node: fx.Node) -> str:
        if node.op == "call_module":
            child = self.module.get_submodule(str(node.target))
            handler = MODULES.get(type(child))
            if handler is None:
                raise self.unsupported(node, f"nn.{type(child).__name__}")
            return handler(self, node, child)
        known = (METHODS if node.op == "call_method" else FUNCTIONS).get(node.target)
        if known is None or node.op == "get_attr":
            raise self.unsupported(node, _called(node))
        return known(self, node)

    def _tensor(self, node: fx.Node, value: Any) -> str:
        if not isinstance(value, fx.Node) or value not in self._names:
            raise self.unsupported(node, f"{_called(node)} of {type(value).__name__}")
        return self._names[value]


def path_of(node: fx.Node) -> str:
    """``features.3.se``: the path of the module call, or of the module around a function call plus the function's name."""
    if node.op == "call_module":
        return str(node.target)
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    around = str(stack[-1][0]) if stack else ""
    return f"{around}.{node.name}" if around else node.name


def _called(node: fx.Node) -> str:
    return f"a {node.op}" if node.op in ("output", "get_attr") else str(getattr(node.target, "__name__", node.target))


def _reachable(ops: Sequence[Op], output: str) -> list[Op]:
    needed = {output}
    kept: list[Op] = []
    for op in reversed(ops):
        if op.name in needed:
            needed.update(op.inputs)
            kept.append(op)
    return kept[::-1]


def _with_output(ops: Sequence[Op], output: str) -> tuple[Op, ...]:
    def named(old: str) -> str:
        return OUTPUT if old == output else old

    return tuple(replace(op, name=named(op.name), inputs=tuple(map(named, op.inputs))) for op in ops)
