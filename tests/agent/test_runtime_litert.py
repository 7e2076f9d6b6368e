"""Which operations of a TFLite model XNNPACK took, from the interpreter's list."""

import numpy as np
import pytest
from hwnas_agent.runtime import Execution
from hwnas_agent.runtime_litert import executed
from hwnas_agent.runtimes import open_runtime
from hwnas_agent.subject import Job, load

from tests.agent.models import tflite_chain
from tests.agent.test_runtimes import SETTINGS


def op(index, name, inputs, outputs):
    return {"index": index, "op_name": name, "inputs": np.array(inputs), "outputs": np.array(outputs)}


CHAIN = [op(0, "CONV_2D", [0, 1, 2], [3]), op(1, "FLOOR", [3], [4]), op(2, "CONV_2D", [4, 5, 6], [7])]


@pytest.mark.parametrize(
    ("delegates", "expected"),
    [
        (
            [],
            Execution("built-in kernels 3", 3, "CONV_2D 0 on built-in kernels, FLOOR 1 on built-in kernels, CONV_2D 2 on built-in kernels"),
        ),
        ([op(3, "DELEGATE", [0, 1, 2, 5, 6], [7])], Execution("XNNPACK 3", 0)),
        (
            [op(3, "DELEGATE", [0, 1, 2], [3]), op(4, "DELEGATE", [4, 5, 6], [7])],
            Execution("XNNPACK 2, built-in kernels 1", 1, "FLOOR 1 on built-in kernels"),
        ),
    ],
)
def test_operations_between_a_delegates_borders_are_its_own(delegates, expected):
    assert executed([*CHAIN, *delegates]) == expected


def test_a_graph_that_branches_and_joins_inside_a_delegate_is_counted_once():
    graph = [op(0, "RELU", [0], [1]), op(1, "TANH", [1], [2]), op(2, "ABS", [1], [3]), op(3, "ADD", [2, 3], [4])]
    assert executed([*graph, op(4, "DELEGATE", [0], [4])]) == Execution("XNNPACK 4", 0)


def run(tmp_path, *operators):
    return load(open_runtime("litert"), Job("a", str(tflite_chain(tmp_path / "a.tflite", *operators))), SETTINGS).execution


def test_xnnpack_takes_the_whole_of_a_model_that_it_knows(tmp_path):
    assert run(tmp_path, "RELU", "ABS") == Execution("XNNPACK 2", 0)


def test_an_operation_that_xnnpack_does_not_know_is_named(tmp_path):
    execution = run(tmp_path, "RELU", "SIGN", "ABS")
    assert execution == Execution("XNNPACK 2, built-in kernels 1", 1, "SIGN 1 on built-in kernels")
