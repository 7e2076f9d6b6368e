"""Small model files for tests of the agent and the profiler, and a device that exists only in a test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np


def onnx_convolution(path: Path, *, channels: int = 4, size: int = 6, ir_version: int = 8, opset: int = 17) -> Path:
    """``(1, C, S, S) float32``: one 3x3 convolution and a ReLU."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    weight = np.random.default_rng(0).standard_normal((channels, channels, 3, 3)).astype(np.float32)
    shape = [1, channels, size, size]
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1]), helper.make_node("Relu", ["c"], ["y"])],
        "convolution",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(weight, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = ir_version
    onnx.save(model, path)
    return path


def onnx_identity(path: Path, *, element: int, shape: list[int | str]) -> Path:
    """One Identity of any element type (an ``onnx.TensorProto`` constant) and shape."""
    import onnx
    from onnx import helper

    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])],
        "identity",
        [helper.make_tensor_value_info("x", element, shape)],
        [helper.make_tensor_value_info("y", element, shape)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.save(model, path)
    return path


def tflite_relu(path: Path, *, side: int = 16, int8: bool = False) -> Path:
    """``(1, S, S, 4)`` float32 or int8: one RELU."""
    return tflite_chain(path, "RELU", side=side, int8=int8)


def tflite_chain(path: Path, *operators: str, side: int = 16, int8: bool = False) -> Path:
    """``(1, S, S, 4)`` float32 or int8: operators of one input and no options, one after the other."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    graph = schema.SubGraphT()
    graph.tensors, graph.operators, graph.inputs, graph.outputs = [], [], [0], [len(operators)]
    for number in range(len(operators) + 1):
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.buffer = f"t{number}", [1, side, side, 4], 0
        tensor.type = schema.TensorType.INT8 if int8 else schema.TensorType.FLOAT32
        if int8:
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale, tensor.quantization.zeroPoint = [0.1], [0]
        graph.tensors.append(tensor)
    model = schema.ModelT()
    model.version, model.subgraphs, model.operatorCodes, model.buffers = 3, [graph], [], [schema.BufferT()]
    for number, name in enumerate(operators):
        operator, code = schema.OperatorT(), schema.OperatorCodeT()
        operator.opcodeIndex, operator.inputs, operator.outputs = number, [number], [number + 1]
        code.builtinCode = getattr(schema.BuiltinOperator, name)
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
        code.version = 2 if int8 else 1
        graph.operators.append(operator)
        model.operatorCodes.append(code)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(bytes(builder.Output()))
    return path


class SimulatedDevice:
    """Time passes only when something runs. ``speed(seconds)`` is the factor by which everything is slower at that time.

    Its model files are their own duration: the path ``"120"`` runs for 120 us on the quiet device. After a model of a
    millisecond or more the next run is slower by the factor ``cold``: the caches are full of the large model.
    """

    def __init__(self, speed: Callable[[float], float] = lambda _: 1.0, *, noise: float = 0.003, cold: float = 1.0, seed: int = 0) -> None:
        self.now_ns = 0
        self.slept_s: list[float] = []
        self._speed = speed
        self._noise = noise
        self._cold = cold
        self._last = ""
        self._rng = np.random.default_rng(seed)

    def clock(self) -> int:
        """Nanoseconds; reading the clock takes some."""
        self.now_ns += 30
        return self.now_ns

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.slept_s.append(seconds)
        self.now_ns += int(seconds * 1e9)

    def load(self, path: str, threads: int, seed: int) -> Callable[[], object]:
        """A `hwnas_agent.runtimes.Runtime.load`; a path that is no number does not load."""
        base_ns = float(path) * 1e3

        def run() -> None:
            jitter = 1 + self._noise * abs(float(self._rng.standard_normal()))
            cold = self._cold if self._last != path and base_ns < 1e6 <= float(self._last or 0) * 1e3 else 1.0
            self._last = path
            self.now_ns += int(base_ns * self._speed(self.now_ns / 1e9) * jitter * cold)

        return run
