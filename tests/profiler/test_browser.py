"""The browser transport from the host's side: links, sessions, reloads and losses, with a page that a test plays."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from hwnas.core.device import MeasurePlan
from hwnas.core.errors import AgentTimeout, ConfigError, DeviceLost, ProtocolError, Unreachable
from hwnas.core.serial import sha256_file
from hwnas.profiler import browser, webdesk
from hwnas.profiler.browser import BrowserLauncher, close_servers, show_link
from hwnas.profiler.session import Job, run_session
from hwnas.profiler.webaddress import parse_address
from tests.profiler.test_session import DONE, HELLO, result
from tests.rig.webpage import Answer, PretendPage

PLAN = MeasurePlan(min_repeats=3, max_seconds=20.0)
RUNTIME = {"onnxruntime-web": {"version": "1.30.0", "reason": None, "max_ir": 10, "max_opset": 21}}
READY = {"type": "ready", "runtime_version": "1.30.0", "provider": "wasm", "cores": [], "run_queue_seen": False}


@pytest.fixture(autouse=True)
def _no_runtime_needed(monkeypatch):
    monkeypatch.setattr(browser, "web_files", dict)
    monkeypatch.setattr(webdesk, "POLL_S", 1.0)
    yield
    close_servers()


class Links(list):
    """What was shown, as the pages that open it; ``opened`` is set when there is one."""

    def __init__(self):
        super().__init__()
        self.shown = threading.Semaphore(0)

    def __call__(self, link, name):
        self.append((link, name))
        self.shown.release()

    def open(self):
        assert self.shown.acquire(timeout=10)
        origin, token = self[-1][0].split("/#token=")
        page = PretendPage(origin)
        page.enter("/claim", token)
        return page


@pytest.fixture
def links():
    return Links()


@pytest.fixture
def launcher(links):
    return BrowserLauncher("phone", parse_address("http://127.0.0.1:0", where="here"), wait_s=10.0, show=links)


@pytest.fixture
def host():
    with ThreadPoolExecutor(1) as pool:
        yield pool


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "m.onnx"
    path.write_bytes(b"a model")
    return path


@pytest.fixture
def opened(launcher, links, host):
    """A channel and its page."""
    channel = host.submit(launcher.launch)
    page = links.open()
    with channel.result(timeout=10) as open_channel:
        yield open_channel, page


def session(launcher, model, measured, jobs=("a", "b", "c"), **options):
    with launcher.launch() as channel:
        return run_session(
            channel,
            [Job(key, model) for key in jobs],
            PLAN,
            runtime="onnxruntime-web",
            probe=model,
            reference=model,
            on_measured=lambda key, _: measured.append(key),
            **options,
        )


def greet(page):
    page.until("hello")
    page.send({**HELLO, "runtimes": RUNTIME, "python": ""})
    return page.until("start")


def test_a_whole_session_and_a_second_one_on_the_same_page(launcher, links, host, model):
    measured, page = [], None
    for _ in range(2):
        running = host.submit(session, launcher, model, measured)
        page = page or links.open()
        begin, *jobs, start = greet(page)
        assert [job["id"] for job in jobs] == ["a", "b", "c"]
        assert start["jobs"] == 3
        assert begin["probe"] == f"/model/{sha256_file(model)}"
        assert page.request("GET", begin["probe"]) == b"a model"
        page.send(READY, result("a"), result("b"))
        page.send({"type": "alive"}, result("c"), {**DONE, "results": 3})
        summary = running.result(timeout=10)
        assert summary.measured == ("a", "b", "c")
        assert (summary.provider, summary.runtime_version) == ("wasm", "1.30.0")
    assert len(links) == 1
    assert measured == ["a", "b", "c"] * 2


def test_a_page_that_reloads_goes_on_with_what_is_missing(launcher, links, host, model):
    measured, seen = [], []
    running = host.submit(session, launcher, model, measured, on_progress=seen.append)
    page = links.open()
    greet(page)
    page.send(READY, result("b"))
    page.request("POST", "/leave")
    page.reload()
    begin, *jobs, start = page.until("start")
    assert ([job["id"] for job in jobs], start["jobs"], begin["quiet_level_us"]) == (["a", "c"], 2, 120.0)
    progress = {"type": "progress", "finished": 0, "accepted": 2, "wanted": 6, "quiet_share": 1.0}
    page.send(READY, progress, result("a"), result("c"), {**DONE, "results": 2})
    assert running.result(timeout=10).measured == ("b", "a", "c")
    assert measured == ["b", "a", "c"]
    assert (seen[0].finished, seen[0].accepted, seen[0].wanted) == (1, 5, 9)


def test_a_page_that_is_closed_is_lost_and_its_results_are_kept(launcher, links, host, model, monkeypatch):
    monkeypatch.setattr(webdesk, "RETURN_S", 0.2)
    measured = []
    running = host.submit(session, launcher, model, measured)
    page = links.open()
    greet(page)
    page.send(READY, result("b"))
    page.request("POST", "/leave")
    with pytest.raises(DeviceLost, match=r"phone: the page was closed before it was done.*; 1 of 3 models were measured and are kept"):
        running.result(timeout=10)
    assert measured == ["b"]


def test_after_a_page_was_closed_there_is_a_new_link(launcher, links, host):
    for count in (1, 2):
        channel = host.submit(launcher.launch)
        page = links.open()
        channel.result(timeout=10).close()
        assert len(links) == count
        page.reload()
        page.request("POST", "/leave")


def test_no_page_in_time_is_unreachable(launcher, links):
    quick = BrowserLauncher("phone", launcher.address, wait_s=0.1, show=links)
    with pytest.raises(Unreachable, match=r"phone: no page was opened at http://127\.0\.0\.1:\d+ within 0 s; run the command again"):
        quick.launch()
    with pytest.raises(Answer, match="403"):
        links.open()


def test_silence_is_a_timeout(opened):
    channel, _ = opened
    with pytest.raises(AgentTimeout, match=r"phone: no word from the page within 0\.05 s"):
        channel.receive(timeout_s=0.05)


def test_messages_that_are_sent_twice_arrive_once(opened):
    channel, page = opened
    channel.send({"type": "ping"})
    page.reload()
    page.send({"type": "alive"})
    page.sent = 0
    page.send({"type": "alive"}, {"type": "refused", "reason": "no"})
    assert [channel.receive(timeout_s=1)["type"] for _ in range(2)] == ["alive", "refused"]


def test_the_host_says_again_what_was_not_acknowledged(opened):
    channel, page = opened
    page.reload()
    channel.send({"type": "hello", "runtimes": ["a"]})
    channel.send({"type": "hello", "runtimes": ["b"]})
    first = page.receive()
    page.seen = 0
    assert page.receive() == first
    page.seen = 1
    assert [message["runtimes"] for message in page.receive()] == [["b"]]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"nonsense", "not JSON"),
        (b'{"seq":0,"type":"shell"}', "unknown message type 'shell'"),
        (b'{"seq":0,"type":"alive","more":1}', "other fields"),
        (b'{"seq":1,"type":"alive"}', "sequence number 1, not 0"),
        (b'{"type":"alive"}', "sequence number None, not 0"),
        (b'{"seq":true,"type":"alive"}', "sequence number True"),
        (b'{"seq":-1,"type":"alive"}', "sequence number -1"),
        (b'{"seq":0,"type":"refused","reason":"' + b"x" * 70_000 + b'"}', "longer than"),
        (b"[" * 60_000, "not JSON"),
    ],
)
def test_what_is_not_of_the_protocol_is_an_error_of_its_own(opened, body, words):
    channel, page = opened
    page.reload()
    with pytest.raises(Answer, match="400"):
        page.request("POST", "/send", body=body)
    with pytest.raises(ProtocolError, match=f"phone: .*{words}"):
        channel.receive(timeout_s=1)


def test_a_page_cannot_send_without_end(opened, monkeypatch):
    channel, page = opened
    page.reload()
    monkeypatch.setattr(webdesk, "MAX_TOTAL_BYTES", 100)
    with pytest.raises(Answer, match="400"):
        page.send(*[{"type": "alive"}] * 10)
    with pytest.raises(ProtocolError, match="more than 100 bytes"):
        channel.receive(timeout_s=1)


def test_nothing_of_an_old_session_reaches_a_new_one(opened, launcher):
    channel, page = opened
    page.reload()
    page.send({"type": "refused", "reason": "old"})
    channel.close()
    with pytest.raises(DeviceLost, match="the channel is closed"):
        channel.receive(timeout_s=1)
    with pytest.raises(DeviceLost, match="the channel is closed"):
        channel.send({"type": "ping"})
    with launcher.launch() as other:
        with pytest.raises(Answer, match="409"):
            page.send({"type": "refused", "reason": "late"})
        with pytest.raises(AgentTimeout):
            other.receive(timeout_s=0.05)
    channel.close()


def test_what_cannot_be_asked_or_done_is_said(opened, tmp_path):
    channel, _ = opened
    with pytest.raises(ConfigError, match="phone: cannot be asked for this: unknown message type 'shell'"):
        channel.send({"type": "shell"})
    with pytest.raises(ConfigError, match="no such file"):
        channel.push(tmp_path / "nothing", "x")
    with pytest.raises(ConfigError, match="a page has no files"):
        channel.pull("x", tmp_path / "x")


def test_the_link_is_shown_on_standard_error_with_a_code_only_in_a_terminal(capsys, monkeypatch):
    pytest.importorskip("segno")
    show_link("http://127.0.0.1:1/#token=abc", "phone")
    out, err = capsys.readouterr()
    assert out == ""
    assert "phone: open this link" in err
    assert "http://127.0.0.1:1/#token=abc" in err
    assert "█" not in err
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    show_link("http://127.0.0.1:1/#token=abc", "phone")
    assert "█" in capsys.readouterr().err
