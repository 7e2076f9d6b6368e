import gc
import sys
import types
import weakref

import numpy as np
import pytest
from hwnas_agent.runtime import ModelUnusable, Runtime, RuntimeUnusable, random_input
from hwnas_agent.runtime_onnx import caller, onnx_limits
from hwnas_agent.runtimes import RUNTIMES, find_runtime, open_runtime
from hwnas_agent.subject import Job, Settings, load

from tests.agent.models import onnx_convolution, onnx_identity, tflite_relu

SETTINGS = Settings(
    threads=1,
    warmup=1,
    min_repeats=5,
    least_repeats=5,
    min_total_ms=0.0,
    min_sample_us=150.0,
    max_seconds=5.0,
    cooldown_s=0.0,
    seed=0,
    quiet_level_us=None,
)


@pytest.mark.parametrize(
    ("version", "limits"),
    [
        ("1.31.1", (10, 21)),
        ("1.19.0", (10, 21)),
        ("1.18.1", (8, 15)),
        ("1.9.0", (7, 12)),
        ("2.0", (10, 21)),
        ("0.5", (None, None)),
        ("dev", (None, None)),
    ],
)
def test_what_an_onnxruntime_reads_is_told_on_the_safe_side(version, limits):
    assert onnx_limits(version) == limits


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8", "uint8", "int64", "bool"])
def test_inputs_are_fixed_by_the_seed(dtype):
    first, again, other = (random_input([None, 3, "side", 64], dtype, seed) for seed in (1, 1, 2))
    assert first.shape == (1, 3, 1, 64)
    assert first.dtype == np.dtype(dtype)
    assert (first == again).all()
    assert (first != other).any()


def test_eight_bit_inputs_use_their_whole_range():
    values = random_input([10_000], "int8", 0)
    assert (values.min(), values.max()) == (-128, 127)


def test_onnxruntime_loads_and_runs_a_model(tmp_path):
    subject = load(open_runtime("onnxruntime"), Job("a", str(onnx_convolution(tmp_path / "a.onnx"))), SETTINGS)
    assert subject.load_ns > 0
    assert subject.first_ns > 0
    assert subject.runs >= 1


@pytest.mark.parametrize("element", [1, 2, 3, 5, 6, 7, 9, 10, 11])  # onnx.TensorProto: float, uint8, int8, … double
def test_onnxruntime_takes_inputs_of_every_type_and_open_shapes(tmp_path, element):
    path = onnx_identity(tmp_path / "a.onnx", element=element, shape=["batch", 4])
    open_runtime("onnxruntime").load(str(path), 1, 0).run()


def test_inputs_live_as_long_as_the_model():
    value = np.zeros(3)
    alive = weakref.ref(value)
    run = caller(lambda binding: binding, "result", [value])
    del value
    gc.collect()
    assert alive() is not None
    assert run() == "result"
    del run
    gc.collect()
    assert alive() is None


def test_an_input_that_cannot_be_filled_is_named(tmp_path):
    path = onnx_identity(tmp_path / "a.onnx", element=8, shape=[1])  # strings
    with pytest.raises(ModelUnusable, match="'x' is of type"):
        load(open_runtime("onnxruntime"), Job("a", str(path)), SETTINGS)


def usable(name):
    return find_runtime(name).version is not None


@pytest.mark.parametrize("runtime", [name for name in sorted(RUNTIMES) if usable(name)])
def test_a_broken_file_is_a_model_that_does_not_load(tmp_path, runtime):
    path = tmp_path / "broken"
    path.write_bytes(b"not a model")
    with pytest.raises(ModelUnusable):
        load(open_runtime(runtime), Job("a", str(path)), SETTINGS)


def test_a_silent_fall_back_to_another_provider_is_refused(tmp_path, monkeypatch):
    import onnxruntime

    monkeypatch.setattr(onnxruntime.InferenceSession, "get_providers", lambda self: ["OtherProvider", "CPUExecutionProvider"])
    with pytest.raises(RuntimeUnusable, match="OtherProvider"):
        load(open_runtime("onnxruntime"), Job("a", str(onnx_convolution(tmp_path / "a.onnx"))), SETTINGS)


@pytest.mark.parametrize("int8", [False, True])
def test_litert_loads_and_runs_a_model(tmp_path, int8):
    subject = load(open_runtime("litert"), Job("a", str(tflite_relu(tmp_path / "a.tflite", int8=int8))), SETTINGS)
    assert subject.load_ns > 0
    assert subject.runs >= 1
    assert subject.execution.by in ("XNNPACK 1", "built-in kernels 1")


def test_tflite_runtime_serves_where_a_board_has_only_that(monkeypatch):
    import ai_edge_litert.interpreter as interpreter

    package = types.ModuleType("tflite_runtime")
    package.__version__ = "2.14.0"
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    monkeypatch.setitem(sys.modules, "tflite_runtime", package)
    monkeypatch.setitem(sys.modules, "tflite_runtime.interpreter", interpreter)
    assert open_runtime("litert").version == "tflite-runtime 2.14.0"


def test_a_runtime_that_is_not_there_says_why():
    found = find_runtime("torchless")
    assert found.version is None
    assert "onnxruntime" in found.reason
    with pytest.raises(RuntimeUnusable, match="no runtime 'torchless'"):
        open_runtime("torchless")


def test_a_runtime_that_does_not_import_says_why(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert "does not import" in find_runtime("onnxruntime").reason


def test_what_was_found_has_its_version():
    assert find_runtime("onnxruntime")[:2] == (__import__("onnxruntime").__version__, None)
    assert find_runtime("litert").version.startswith("ai-edge-litert ")
    assert isinstance(open_runtime("litert"), Runtime)
