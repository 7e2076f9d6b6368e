"""Which provider of onnxruntime really runs a model: with the real one on the CPU, and with a stand-in for what takes a GPU to show."""

import subprocess
import sys
import types
from collections import namedtuple

import onnxruntime
import pytest
from hwnas_agent import runtime_onnx
from hwnas_agent.runtime import ModelUnusable, RuntimeUnusable
from hwnas_agent.runtime_onnx import CPU, CUDA, PROVIDERS, TENSORRT, Provider
from hwnas_agent.runtimes import find_runtime, open_runtime
from hwnas_agent.subject import Job, load

from tests.agent.models import onnx_convolution
from tests.agent.test_runtimes import SETTINGS

GPU = [name for name in PROVIDERS if name != "onnxruntime"]
without_gpu = pytest.mark.skipif(CUDA in onnxruntime.get_available_providers(), reason="this onnxruntime has CUDA")


def on_gpu(name):
    """The reason why a runtime is not here, in place of the runtime's test."""
    return pytest.mark.skipif(find_runtime(name).version is None, reason=find_runtime(name).reason or "it is here")


@without_gpu
@pytest.mark.parametrize("name", GPU)
def test_a_provider_that_was_not_built_in_is_told_before_any_model_is_loaded(name):
    found = find_runtime(name)
    assert found.version is None
    assert found.max_opset is None
    assert PROVIDERS[name].wanted[0] in found.reason
    assert CPU in found.reason
    assert "onnxruntime-gpu" in found.reason
    with pytest.raises(RuntimeUnusable, match=name):
        open_runtime(name)


@without_gpu
@pytest.mark.parametrize("name", GPU)
def test_a_provider_that_does_not_load_is_an_error_and_no_cpu_timing(name, tmp_path, monkeypatch):
    """As on a GPU machine that lacks a library: the provider is offered, and the session comes up on the CPU without a word."""
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [TENSORRT, CUDA, CPU])
    with pytest.raises(RuntimeUnusable, match=f"runs the model on {CPU} instead of {PROVIDERS[name].wanted[0]}"):
        load(open_runtime(name), Job("a", str(onnx_convolution(tmp_path / "a.onnx"))), SETTINGS)


def test_the_cpu_runs_all_of_a_model(tmp_path):
    subject = load(open_runtime("onnxruntime"), Job("a", str(onnx_convolution(tmp_path / "a.onnx"))), SETTINGS)
    assert subject.execution == (CPU, 0, None)


def test_onnxruntime_tells_its_nodes_and_so_does_a_profile_of_a_run(tmp_path, monkeypatch):
    """Both ways of finding out, with the real onnxruntime: a provider that is not asked for stands for the fall-back."""
    path = str(onnx_convolution(tmp_path / "a.onnx"))
    asked = Provider(("AzureExecutionProvider", CPU), "cpu")
    if asked.wanted[0] not in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has one provider only")
    monkeypatch.setitem(PROVIDERS, "onnxruntime-azure", asked)
    session = runtime_onnx._session(onnxruntime, path, 1, asked)
    assert session.get_providers() == list(asked.wanted)
    told = runtime_onnx._execution(onnxruntime, session, path, 1, asked, 0)
    profiled = runtime_onnx.counted(runtime_onnx._profiled(onnxruntime, path, 1, asked, 0), asked.wanted[0])
    for execution in (told, profiled):
        assert execution.by.startswith(CPU)
        assert execution.fallbacks >= 1
        assert "on " + CPU in execution.note


class Pretend:
    """An onnxruntime with a GPU, as far as the agent looks at it."""

    __version__ = "1.31.0"
    GraphOptimizationLevel = types.SimpleNamespace(ORT_ENABLE_ALL=99)

    def __init__(self, monkeypatch, *, providers=(CUDA, CPU), nodes=None, failure=None):
        self.providers, self.nodes, self.failure = list(providers), nodes or {}, failure
        self.done = []
        self.asked = None
        self.OrtValue = types.SimpleNamespace(ortvalue_from_numpy=lambda array, place, number: (array, place, number))
        monkeypatch.setitem(sys.modules, "onnxruntime", self)

    def get_available_providers(self):
        return [TENSORRT, CUDA, CPU]

    class SessionOptions:
        def __init__(self):
            self.entries = {}

        def add_session_config_entry(self, key, value):
            self.entries[key] = value

    def InferenceSession(self, path, options, *, providers, **keywords):  # noqa: N802 - onnxruntime's name
        self.asked = (providers, keywords)
        if self.failure:
            raise RuntimeError(self.failure)
        part, node = namedtuple("part", "ep_name get_nodes"), namedtuple("node", "op_type name")
        parts = [part(name, lambda found=found: [node(*n.split()) for n in found]) for name, found in self.nodes.items()]
        bound = types.SimpleNamespace(
            bind_ortvalue_input=lambda name, value: self.done.append(("input", name, *value[1:])),
            bind_output=lambda name, place: self.done.append(("output", name, place)),
            synchronize_outputs=lambda: self.done.append("wait"),
        )
        return types.SimpleNamespace(
            get_providers=lambda: self.providers,
            get_inputs=lambda: [types.SimpleNamespace(name="x", type="tensor(float16)", shape=[1, 2])],
            get_outputs=lambda: [types.SimpleNamespace(name="y")],
            io_binding=lambda: bound,
            run_with_iobinding=lambda binding: self.done.append("run"),
            get_provider_graph_assignment_info=lambda: parts,
        )


def test_tensors_are_bound_on_the_gpu_and_a_call_waits_for_it(monkeypatch):
    pretend = Pretend(monkeypatch, nodes={CUDA: ["Conv a", "Relu b"]})
    subject = load(open_runtime("onnxruntime-cuda"), Job("a", "a.onnx"), SETTINGS)
    assert pretend.done[:2] == [("input", "x", "cuda", 0), ("output", "y", "cuda")]
    assert pretend.done[2:] == ["run", "wait"] * (len(pretend.done[2:]) // 2)
    assert len(pretend.done) >= 6
    assert pretend.asked == ([CUDA], {"enable_fallback": 0})
    assert subject.execution == (f"{CUDA} 2", 0, None)


def test_nodes_that_a_provider_left_to_others_are_told_with_the_model(monkeypatch):
    nodes = {CPU: [f"Shape s{i}" for i in range(9)], TENSORRT: ["Conv a"], CUDA: ["Resize r"]}
    Pretend(monkeypatch, providers=(TENSORRT, CUDA, CPU), nodes=nodes)
    execution = load(open_runtime("onnxruntime-tensorrt"), Job("a", "a.onnx"), SETTINGS).execution
    assert execution.by == f"{TENSORRT} 1, {CPU} 9, {CUDA} 1"
    assert execution.fallbacks == 10
    assert execution.note.startswith(f"Shape s0 on {CPU}, ")
    assert execution.note.endswith(" and 6 more")


def test_tensorrt_that_became_cuda_is_an_error(monkeypatch):
    Pretend(monkeypatch, providers=(CUDA, CPU))
    with pytest.raises(RuntimeUnusable, match=f"runs the model on {CUDA}, {CPU} instead of {TENSORRT}"):
        load(open_runtime("onnxruntime-tensorrt"), Job("a", "a.onnx"), SETTINGS)


def test_a_provider_that_says_why_it_does_not_load_is_quoted(monkeypatch):
    Pretend(monkeypatch, failure="CUDA failure 35: driver too old")
    with pytest.raises(ModelUnusable, match="driver too old"):
        load(open_runtime("onnxruntime-cuda"), Job("a", "a.onnx"), SETTINGS)


def test_a_telling_that_fails_leaves_the_model_usable(monkeypatch):
    pretend = Pretend(monkeypatch)
    pretend.nodes = {CUDA: ["Convolution"]}  # no name: the stand-in's telling fails
    execution = load(open_runtime("onnxruntime-cuda"), Job("a", "a.onnx"), SETTINGS).execution
    assert execution.by is execution.fallbacks is None
    assert execution.note.startswith("the runtime does not tell: TypeError")


@pytest.mark.parametrize("name", [pytest.param(name, marks=on_gpu(name)) for name in GPU])
def test_a_gpu_runs_all_of_a_convolution(name, tmp_path):
    subject = load(open_runtime(name), Job("a", str(onnx_convolution(tmp_path / "a.onnx"))), SETTINGS)
    assert subject.execution.by.startswith(PROVIDERS[name].wanted[0])
    assert subject.execution.fallbacks == 0


def test_a_session_that_asks_for_cuda_ends_with_the_reason(tmp_path):
    """The agent as a process: what a host sees of it."""
    if find_runtime("onnxruntime-cuda").version is not None:
        pytest.skip("this onnxruntime has CUDA")
    code = "from hwnas_agent.facts import hello; print(hello(['onnxruntime-cuda'])['runtimes'])"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout
    assert f"has no {CUDA}" in said
