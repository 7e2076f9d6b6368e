"""torch programs in the agent: the whole way on the CPU, and on CUDA where there is a GPU."""

import io
import json
import zipfile

import numpy as np
import pytest
import torch
from hwnas_agent.measure import Session
from hwnas_agent.runtime import ModelUnusable, RuntimeUnusable
from hwnas_agent.runtime_torch import EventClock, require_plain, torch_on
from hwnas_agent.runtimes import find_runtime, open_runtime
from hwnas_agent.subject import Job, load

from hwnas.export import EXPORTERS, ExportSpec
from hwnas.export.probes import probe_graph
from tests.agent.test_runtimes import SETTINGS
from tests.export.networks import small_net

FOUND = find_runtime("torch-cuda")
on_gpu = pytest.mark.skipif(FOUND.version is None, reason=FOUND.reason or "there is a GPU")
SHAPE = (3, 24, 24)


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """A network in each precision, by precision."""
    folder = tmp_path_factory.mktemp("programs")
    exporter = EXPORTERS.get("pt2")
    return {
        precision: exporter.export(small_net(), ExportSpec(input_shape=SHAPE, precision=precision), folder / f"{precision}.pt2").path
        for precision in ("fp32", "fp16", "bf16")
    }


@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
def test_a_program_is_loaded_and_answers_in_its_own_precision_channels_last(programs, precision):
    subject = load(torch_on("cpu"), Job("a", programs[precision]), SETTINGS)
    assert subject.execution == ("torch", 0, None)
    answer = subject.run()
    assert str(answer.dtype) == {"fp32": "torch.float32", "fp16": "torch.float16", "bf16": "torch.bfloat16"}[precision]
    assert torch.isfinite(answer).all()
    program = torch.export.load(programs[precision])
    weights = [value for value in program.state_dict.values() if value.dim() == 4]
    assert len(weights) > 10
    assert all(value.is_contiguous(memory_format=torch.channels_last) for value in weights)


def test_the_agent_answers_as_the_host_does(programs):
    answer = load(torch_on("cpu"), Job("a", programs["fp32"]), SETTINGS).run()
    image = np.random.RandomState(0).standard_normal((1, *SHAPE)).astype(np.float32)
    with torch.no_grad():
        wanted = small_net()(torch.from_numpy(image))
    np.testing.assert_allclose(answer.numpy(), wanted.numpy(), atol=1e-4)


def test_a_session_by_a_clock_of_the_runtimes_own(tmp_path, programs):
    path = EXPORTERS.get("pt2").export(probe_graph(pairs=2), ExportSpec(), tmp_path / "probe.pt2").path
    messages = []
    settings = SETTINGS._replace(min_repeats=3, least_repeats=3)
    session = Session(torch_on("cpu"), settings, messages.append)
    done = session.measure([Job("a", programs["fp32"])], Job("probe", path), Job("reference", path))
    assert done["results"] + done["short"] == 1
    assert all(m["execution"]["by"] == "torch" for m in messages if m["type"] == "result")


def rewritten(path, change):
    """The archive with its files changed by ``change(name, data)``."""
    out = io.BytesIO()
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))
    return out.getvalue()


def with_pickled_inputs(name, data):
    return b"\x80\x04." if "sample_inputs" in name else data


def with_pickled_weight(name, data):
    if not name.endswith("weights_config.json"):
        return data
    told = json.loads(data)
    next(iter(told["config"].values()))["use_pickle"] = True
    return json.dumps(told).encode()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (with_pickled_inputs, "pickled example inputs"),
        (with_pickled_weight, "pickled weights"),
        (lambda name, data: b"{}" if name.endswith("_config.json") else data, "not an exported program: 'config'"),
        (lambda name, data: b"\xff" if name.endswith("_config.json") else data, "not an exported program"),
    ],
)
def test_what_torch_would_unpickle_is_not_loaded(programs, tmp_path, change, words):
    (tmp_path / "m.pt2").write_bytes(rewritten(programs["fp32"], change))
    with pytest.raises(ModelUnusable, match=words):
        require_plain(str(tmp_path / "m.pt2"))


def test_what_the_host_writes_is_plain(programs):
    for path in programs.values():
        require_plain(path)
        with zipfile.ZipFile(path) as archive:
            assert not [name for name in archive.namelist() if b"torch._utils" in archive.read(name)]


def test_no_archive_at_all_is_refused(tmp_path):
    (tmp_path / "m.pt2").write_bytes(b"nothing")
    with pytest.raises(ModelUnusable, match="not an exported program: File is not a zip file"):
        load(torch_on("cpu"), Job("a", str(tmp_path / "m.pt2")), SETTINGS)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_the_reason_is_told():
    assert FOUND.reason == f"torch-cuda: torch {torch.__version__} sees no CUDA device"
    with pytest.raises(RuntimeUnusable, match="sees no CUDA device"):
        open_runtime("torch-cuda")


class Events:
    """A GPU whose stream is done 0.25 ms after each event was recorded."""

    def __init__(self):
        self.now_ms = 0.0
        self.cuda = self

    def Event(self, *, enable_timing):  # noqa: N802 - torch's name
        assert enable_timing
        return Event(self)


class Event:
    def __init__(self, gpu):
        self.gpu, self.at_ms, self.waited = gpu, None, False

    def record(self):
        self.at_ms = self.gpu.now_ms = self.gpu.now_ms + 0.25

    def synchronize(self):
        self.waited = True

    def elapsed_time(self, other):
        assert self.waited
        assert other.waited
        return other.at_ms - self.at_ms


def test_the_gpus_clock_sums_the_time_between_events():
    clock = EventClock(Events(), start=lambda: 1_000_000)
    readings = [clock() for _ in range(4)]
    assert readings == [1_250_000, 1_500_000, 1_750_000, 2_000_000]


@on_gpu
@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
def test_a_gpu_replays_a_graph(programs, precision):
    runtime = open_runtime("torch-cuda")
    subject = load(runtime, Job("a", programs[precision]), SETTINGS, runtime.clock)
    assert subject.execution.by.startswith("CUDA graph on ")
    assert subject.execution.fallbacks == 0
    assert 0 < subject.run_ns < 1e9


@on_gpu
def test_a_session_on_a_gpu(tmp_path, programs):
    path = EXPORTERS.get("pt2").export(probe_graph(), ExportSpec(), tmp_path / "probe.pt2").path
    runtime, messages = open_runtime("torch-cuda"), []
    settings = SETTINGS._replace(min_repeats=3, least_repeats=3, max_seconds=20.0)
    session = Session(runtime, settings, messages.append, clock=runtime.clock)
    done = session.measure([Job(name, program) for name, program in programs.items()], Job("probe", path), Job("reference", path))
    assert done["results"] + done["short"] == 3
