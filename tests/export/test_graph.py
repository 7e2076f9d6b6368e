"""The graph form: shapes are inferred, and a graph that cannot be is refused when it is made."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas.core.errors import UnsupportedOpError, UsageError
from hwnas.export.graph import (
    INPUT,
    OUTPUT,
    Activation,
    Add,
    Affine,
    Conv,
    Flatten,
    GlobalAveragePool,
    Graph,
    Linear,
    Mul,
    Op,
    consumers,
)


def conv(name: str, source: str, cin: int, cout: int, k: int = 3, *, stride: int = 1, pad: int = 1, groups: int = 1) -> Conv:
    weight = np.zeros((cout, cin // groups, k, k), dtype=np.float32)
    return Conv(name, (source,), weight, np.zeros(cout, dtype=np.float32), (stride, stride), (pad,) * 4, groups)


def linear(name: str, source: str, i: int, o: int) -> Linear:
    return Linear(name, (source,), np.zeros((o, i), dtype=np.float32), np.zeros(o, dtype=np.float32))


def test_shapes_of_a_squeeze_excite_head() -> None:
    ops: tuple[Op, ...] = (
        conv("stem", INPUT, 3, 8, stride=2),
        Activation("act", ("stem",), "hardswish"),
        GlobalAveragePool("pool", ("act",)),
        Activation("gate", ("pool",), "hardsigmoid"),
        Mul("se", ("act", "gate")),
        Add("sum", ("se", "act")),
        Affine("half", ("sum",), scale=0.5),
        Flatten("flat", ("half",)),
        linear(OUTPUT, "flat", 8 * 6 * 5, 10),
    )
    graph = Graph((2, 3, 11, 9), ops)
    assert graph.shapes["stem"] == (2, 8, 6, 5)
    assert graph.shapes["pool"] == (2, 8, 1, 1)
    assert graph.shapes["se"] == graph.shapes["half"] == (2, 8, 6, 5)
    assert graph.shapes["flat"] == (2, 240)
    assert graph.output_shape == (2, 10)
    assert graph.parameters == 8 * 3 * 9 + 8 + 2400 + 10
    assert [op.name for op in consumers(graph.ops)["act"]] == ["pool", "se", "sum"]


@given(side=st.integers(1, 40), k=st.sampled_from([1, 3, 5, 7]), stride=st.integers(1, 3))
def test_convolution_sides_follow_the_padding_formula(side: int, k: int, stride: int) -> None:
    graph = Graph((1, 2, side, side), (conv(OUTPUT, INPUT, 2, 4, k, stride=stride, pad=k // 2),))
    positions = len(range(-(k // 2), side + k // 2 - k + 1, stride))
    assert graph.output_shape == (1, 4, positions, positions)


@pytest.mark.parametrize(
    ("ops", "message"),
    [
        ((conv(OUTPUT, INPUT, 4, 8),), "cannot take an input of 1x3x8x8"),
        ((conv(OUTPUT, INPUT, 3, 8, k=11, pad=0),), "cannot take an input"),
        ((linear(OUTPUT, INPUT, 3, 8),), "cannot take an input"),
        ((Activation(OUTPUT, (INPUT,), "softplus"),), "cannot take an input"),
        ((Flatten("f", (INPUT,)), Add(OUTPUT, ("f", INPUT))), "cannot take an input of 1x192 and 1x3x8x8"),
        ((conv("c", INPUT, 3, 8), Add(OUTPUT, ("c", INPUT))), "cannot take an input of 1x8x8x8 and 1x3x8x8"),
        ((Flatten("f", (INPUT,)), GlobalAveragePool(OUTPUT, ("f",))), "cannot take an input of 1x192"),
        ((Activation(OUTPUT, ("nowhere",)),), "reads 'nowhere'"),
        ((Activation("a", (INPUT,)), Activation("a", (INPUT,))), "two tensors of the graph are named 'a'"),
        ((Activation("a", (INPUT,)),), "no operation makes the output 'logits'"),
    ],
)
def test_a_graph_that_cannot_be_is_refused(ops: tuple[Op, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Graph((1, 3, 8, 8), ops)


def test_an_operation_of_another_kind_is_named() -> None:
    @dataclass(frozen=True, slots=True, eq=False)
    class Sort(Op):
        pass

    with pytest.raises(UnsupportedOpError, match="logits: cannot export Sort") as caught:
        Graph((1, 3, 8, 8), (Sort(OUTPUT, (INPUT,)),))
    assert (caught.value.operation, caught.value.where, caught.value.exit_code) == ("Sort", OUTPUT, 2)
