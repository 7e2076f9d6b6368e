"""The page agent in Debian's chromium: whole sessions, a reload in the middle, a page that is closed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from queue import Queue
from typing import Any

import pytest

from hwnas.core.device import Measurement, MeasurePlan
from hwnas.core.errors import DeviceError, DeviceLost
from hwnas.profiler import webdesk
from hwnas.profiler.browser import BrowserLauncher, close_servers
from hwnas.profiler.session import Job, SessionSummary, run_session
from hwnas.profiler.webaddress import parse_address
from hwnas.profiler.webruntime import WEBGPU_FILES
from tests.agent.models import onnx_convolution, onnx_identity
from tests.rig.chromium import browsers, missing, served

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(missing()), reason=missing())]

LIMIT_S = 120.0
# the machine that tests run on may be busy: what is tested is the way of the messages, not how well it measures
PLAN = MeasurePlan(warmup=1, min_repeats=4, least_repeats=1, min_total_ms=0.0, max_seconds=60.0)


@pytest.fixture(scope="module")
def launch() -> Iterator[Any]:
    with browsers() as launch:
        yield launch


@pytest.fixture(scope="module")
def chromium(launch: Any) -> Any:
    return launch()


@pytest.fixture
def tab(chromium: Any) -> Iterator[Any]:
    context = chromium.new_context()
    yield context.new_page()
    context.close()


class Host:
    """The host's side in a thread of its own, and what it has seen so far."""

    def __init__(self, pool: ThreadPoolExecutor, folder: Path) -> None:
        self.links: Queue[str] = Queue()
        self.measured: list[tuple[str, Measurement]] = []
        self._pool, self._folder = pool, folder
        address = parse_address("http://127.0.0.1:0", where="here")
        self._launcher = BrowserLauncher("phone", address, wait_s=60.0, show=lambda link, _: self.links.put(link))

    def jobs(self, count: int) -> list[Job]:
        return [Job(f"m{i}", onnx_convolution(self._folder / f"{i}.onnx", channels=4 + i, size=8)) for i in range(count)]

    def run(self, jobs: list[Job], plan: MeasurePlan = PLAN, **options: Any) -> Future[SessionSummary]:
        return self._pool.submit(self._session, jobs, plan, **{"runtime": "onnxruntime-web", **options})

    def _session(self, jobs: list[Job], plan: MeasurePlan, **options: Any) -> SessionSummary:
        probe = onnx_convolution(self._folder / "probe.onnx", channels=8, size=24)
        with self._launcher.launch() as channel:
            return run_session(
                channel,
                jobs,
                plan,
                probe=probe,
                reference=probe,
                on_measured=lambda key, regimes: self.measured.append((key, regimes["quiet"])),
                **options,
            )


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    with ThreadPoolExecutor(1) as pool:
        yield Host(pool, tmp_path)
    close_servers()


def wait(tab: Any, until: Any) -> None:
    """Let the page live until something is so."""
    end = time.monotonic() + LIMIT_S
    while not until():
        assert time.monotonic() < end, tab.inner_text("body")
        tab.wait_for_timeout(50)


def test_two_sessions_on_one_page(host: Host, tab: Any) -> None:
    troubles: list[str] = []
    tab.on("pageerror", lambda problem: troubles.append(str(problem)))
    running = host.run(host.jobs(5))
    tab.goto(host.links.get(timeout=30))
    wait(tab, running.done)
    summary = running.result()
    # one that was measured anew, because the machine got faster, comes twice
    assert {key for key, _ in host.measured} == {f"m{i}" for i in range(5)}
    assert all(min(measurement.samples_ms) > 0 for _, measurement in host.measured)
    assert all(measurement.load_ms and measurement.first_ms for _, measurement in host.measured)
    assert (summary.provider, summary.run_queue_seen) == ("wasm", False)
    assert summary.device.runtimes["onnxruntime-web"].version == summary.runtime_version
    assert summary.device.facts["cross_origin_isolated"] == "true"
    timer = summary.device.facts["timer_us"]
    assert isinstance(timer, int | float)
    assert 0 < timer < 50
    assert "token" not in tab.url
    wait(tab, lambda: tab.inner_text("#state").startswith("done"))
    assert tab.inner_text("#models") == "5 of 5"
    cores = summary.device.cores
    again = host.run(host.jobs(1), threads=min(2, len(cores)))
    wait(tab, again.done)
    assert again.result().measured == ("m0",)
    assert host.links.empty()
    assert troubles == []


def test_a_reload_in_the_middle_loses_nothing(host: Host, tab: Any) -> None:
    jobs = host.jobs(26)  # two chunks: the first is finished when the second begins
    running = host.run(jobs, MeasurePlan(warmup=1, min_repeats=4, least_repeats=1, min_total_ms=0.0, max_seconds=90.0, cooldown_s=3.0))
    tab.goto(host.links.get(timeout=30))
    wait(tab, lambda: host.measured or running.done())
    assert not running.done(), running.result()
    before = {key for key, _ in host.measured}
    tab.reload()
    wait(tab, running.done)
    assert sorted(running.result().measured) == sorted(job.id for job in jobs)
    assert before
    assert host.links.empty()


def test_a_page_that_is_closed_in_mid_run_is_a_lost_device(host: Host, tab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webdesk, "RETURN_S", 1.0)
    running = host.run(host.jobs(26), MeasurePlan(min_repeats=500, least_repeats=500, max_seconds=90.0))
    tab.goto(host.links.get(timeout=30))
    wait(tab, lambda: tab.inner_text("#state") == "measuring")
    tab.close(run_before_unload=False)
    with pytest.raises(DeviceLost, match=r"phone: the page was closed before it was done; .* of 26 models were measured and are kept"):
        running.result(timeout=60)


def test_a_model_that_does_not_run_and_a_runtime_that_is_not_there_are_told(host: Host, tab: Any, tmp_path: Path) -> None:
    import onnx

    (tmp_path / "broken.onnx").write_bytes(b"nonsense")
    good = onnx_identity(tmp_path / "good.onnx", element=onnx.TensorProto.INT64, shape=["n", 3])
    running = host.run([Job("bad", tmp_path / "broken.onnx"), Job("good", good)])
    tab.goto(host.links.get(timeout=30))
    wait(tab, running.done)
    with pytest.raises(DeviceError, match="1 of 2 models do not run on the device, first bad: "):
        running.result()
    assert {key for key, _ in host.measured} == {"good"}
    for options, words in (
        ({"runtime": "onnxruntime-web-webgpu"}, "'onnxruntime-web-webgpu' is not usable on this device: "),
        ({"runtime": "litert"}, "a page has no runtime 'litert'"),
        ({"threads": 4096}, "4096 threads need as many cores"),
        ({"plan": MeasurePlan(affinity=(0,))}, "a page cannot choose its cores"),
    ):
        refused = host.run(host.jobs(1), **options)
        wait(tab, refused.done)
        with pytest.raises(DeviceError, match=words):
            refused.result()


def test_a_link_that_was_used_opens_no_second_page(host: Host, tab: Any) -> None:
    running = host.run(host.jobs(1))
    link = host.links.get(timeout=30)
    tab.goto(link)
    wait(tab, running.done)
    other = tab.context.browser.new_page()
    other.goto(link)
    wait(other, lambda: "used already" in other.inner_text("#state"))
    other.close()


def test_a_new_link_in_the_tab_of_an_old_one_is_followed(host: Host, tab: Any) -> None:
    for _ in range(2):
        running = host.run(host.jobs(1))
        tab.goto(host.links.get(timeout=30))
        wait(tab, running.done)
        assert running.result().measured == ("m0",)
        close_servers()


@pytest.mark.skipif(set(WEBGPU_FILES) - set(served()), reason="no WebGPU runtime here; run 'hwnas agent fetch-web --webgpu'")
def test_webgpu_refuses_what_it_cannot_run_instead_of_falling_back(host: Host, launch: Any, tmp_path: Path) -> None:
    import onnx
    from onnx import helper

    shape = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 4]) for name in ("x", "y")]
    graph = helper.make_graph(
        [helper.make_node("Det", ["m"], ["d"]), helper.make_node("Add", ["x", "d"], ["y"])], "g", shape[:1], shape[1:]
    )
    graph.node.insert(0, helper.make_node("Reshape", ["x", "two"], ["m"]))
    graph.initializer.append(helper.make_tensor("two", onnx.TensorProto.INT64, [2], [2, 2]))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "det.onnx")
    running = host.run([Job("det", tmp_path / "det.onnx")], runtime="onnxruntime-web-webgpu")
    tab = launch(software_gpu=True).new_page()
    tab.goto(host.links.get(timeout=30))
    wait(tab, running.done)
    shown = tab.inner_text("#runtime")
    with pytest.raises(DeviceError, match=r"1 of 1 models do not run on the device, first det: .*fallback"):
        running.result()
    assert "webgpu" in shown
