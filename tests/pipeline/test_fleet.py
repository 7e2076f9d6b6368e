"""Several devices at once: what one does touches no other, nothing measured is lost, and no table mixes two devices."""

import _thread
import json
import re
import shutil
import threading
import time
from dataclasses import replace

import pytest

from hwnas.core.device import Measurement
from hwnas.core.errors import AgentTimeout, DeviceError, DeviceLost, Interrupted
from hwnas.latency.tablefile import read_table
from hwnas.pipeline import device
from hwnas.pipeline.ahead import Ahead
from hwnas.pipeline.context import Context
from hwnas.pipeline.fleet import profile_all
from hwnas.pipeline.goals import Target
from hwnas.profiler.nativetools import Burst
from hwnas.workspace import Workspace
from tests.rig.benchtool import write_program
from tests.rig.small_run import write_workspace

PATIENCE_S = 30.0
NAMES = ("a", "b", "c")
DEVICE = 'transport = "pretend"\nruntimes = ["onnxruntime", "litert"]\n'


class Watched:
    """A reporter that remembers; `Silent` but for that."""

    def __init__(self):
        from hwnas.pipeline.reporter import Silent

        self.stage = Silent().stage
        self.reused_titles, self.expected, self.notes = [], [], []
        self.reused, self.expect, self.note = self.reused_titles.append, self.expected.append, self.notes.append


@pytest.fixture(scope="module")
def written(tmp_path_factory, pretend):
    """A workspace with three devices whose model files are there, and that has measured nothing."""
    root = write_workspace(tmp_path_factory.mktemp("fleet") / "ws", runtimes=())
    (root / "devices" / "toy.toml").unlink()
    config = root / "hwnas.toml"
    config.write_text(re.sub(r"resolutions = \[(\d+), \d+\]", r"resolutions = [\1]", config.read_text()))
    for name in NAMES:
        (root / "devices" / f"{name}.toml").write_text(DEVICE)
    profile_all(Context(Workspace.open(root)), [target("a"), target("a", "litert")])
    for folder in ("stages", "tables", "predictors"):
        shutil.rmtree(root / "runs" / folder)
    return root


@pytest.fixture
def root(written, tmp_path):
    return shutil.copytree(written, tmp_path / "ws")


@pytest.fixture(autouse=True)
def _few_samples(pretend, monkeypatch):
    monkeypatch.setattr(pretend, "SAMPLES", 12)


@pytest.fixture
def act(pretend, monkeypatch):
    """``act(name, channel class)``: how the device of that name behaves from now on."""
    kinds = {}

    def launch(self):
        channel = kinds.get(self.device.id, pretend.PretendChannel)()
        channel.device = self.device.id
        return channel

    monkeypatch.setattr(pretend.PretendLauncher, "launch", launch)
    return kinds.__setitem__


def target(device, runtime="onnxruntime"):
    return Target(device, runtime, "fp32")


def context(root):
    return Context(Workspace.open(root), Watched())


def tables(root, device):
    return sorted((root / "runs" / "tables" / device).glob("*.json"))


def journal(root, name="journal.jsonl"):
    return [json.loads(line) for path in root.glob(f"runs/stages/profile-*/{name}") for line in path.read_text().splitlines()]


def timed(records, device="a"):
    return [r["key"] for r in records if r["kind"] == "timing" and r["of"]["device"] == device]


def breaks_after(pretend, n):
    """A device that is lost after ``n`` models."""

    class Breaking(pretend.PretendChannel):
        heard = 0

        def receive(self, *, timeout_s):
            message = super().receive(timeout_s=timeout_s)
            self.heard += message["type"] == "result"
            if self.heard > n:
                raise DeviceLost("the cable is out")
            return message

    return Breaking


def waits_for(pretend, condition):
    """A device that says nothing until ``condition()``, and then that it is lost."""

    class Stuck(pretend.PretendChannel):
        def receive(self, *, timeout_s):
            if any(message["type"] == "ready" for message in self.messages):
                for _ in range(int(PATIENCE_S / 0.01)):
                    if condition():
                        raise DeviceLost("no word within its deadline")
                    time.sleep(0.01)
                pytest.fail("the others were held up")
            return super().receive(timeout_s=timeout_s)

    return Stuck


def test_devices_are_measured_at_the_same_time(root, act, pretend):
    meeting = threading.Barrier(3)

    class Meeting(pretend.PretendChannel):
        def __init__(self):
            super().__init__()
            meeting.wait(PATIENCE_S)

    for name in NAMES:
        act(name, Meeting)
    outcomes = profile_all(context(root), map(target, NAMES))
    assert [(o.target.device, o.status, o.error) for o in outcomes] == [(name, "measured", None) for name in NAMES]
    assert not meeting.broken


def test_a_stuck_and_a_failing_device_do_not_hold_the_third(root, act, pretend):
    class Failing(pretend.PretendChannel):
        lacks = ("onnxruntime",)

    act("a", waits_for(pretend, lambda: tables(root, "c")))
    act("b", Failing)
    ctx = context(root)
    stuck, failing, fine = profile_all(ctx, map(target, NAMES))
    assert (stuck.status, failing.status, fine.status) == ("failed", "failed", "measured")
    assert isinstance(stuck.error, DeviceLost)
    assert isinstance(failing.error, DeviceError)
    assert len(tables(root, "c")) == 2
    assert not tables(root, "a")
    assert {note.split(" failed")[0] for note in ctx.reporter.notes} == {"a/onnxruntime fp32", "b/onnxruntime fp32"}


def answers_when(pretend, condition):
    """A device that says who it is only when ``condition()``; after a while without, that it is lost."""

    class Late(pretend.PretendChannel):
        def receive(self, *, timeout_s):
            if any(message["type"] == "hello" for message in self.messages):
                for _ in range(int(PATIENCE_S / 0.01)):
                    if condition():
                        return super().receive(timeout_s=timeout_s)
                    time.sleep(0.01)
                raise DeviceLost("no word within its deadline")
            return super().receive(timeout_s=timeout_s)

    return Late


def silent(pretend, condition):
    """A device that does not say who it is; its deadline passes when ``condition()``."""

    class Silent(pretend.PretendChannel):
        def receive(self, *, timeout_s):
            for _ in range(int(PATIENCE_S / 0.01)):
                if condition():
                    raise DeviceLost("nothing heard")
                time.sleep(0.01)
            pytest.fail("the others were held up")

    return Silent


def test_a_device_that_is_slow_to_answer_delays_nobody_and_joins_later(root, act, pretend):
    act("a", answers_when(pretend, lambda: tables(root, "b") and tables(root, "c")))
    ctx = context(root)
    assert [o.status for o in profile_all(ctx, map(target, NAMES))] == ["measured"] * 3
    *first, last, everybody = ctx.reporter.expected
    assert sorted(line.split(":")[0] for line in first) == ["profile b/onnxruntime fp32", "profile c/onnxruntime fp32"]
    assert last.startswith("profile a/onnxruntime fp32: ")
    assert re.match(r"3 devices at once: about \d+ (s|min), what a takes$", everybody)
    assert not ctx.reporter.notes


def test_the_forecast_for_all_is_said_when_the_last_device_is_known(root, act, pretend):
    both = threading.Event()
    ctx = context(root)
    act("a", answers_when(pretend, lambda: len(ctx.reporter.expected) >= 2))
    for name in "bc":
        act(name, waits_for(pretend, both.is_set))
    ctx.reporter.expect = lambda text: (ctx.reporter.expected.append(text), both.set() if "at once" in text else None)
    slow, *_ = profile_all(ctx, map(target, NAMES))
    assert slow.status == "measured"
    *_, mine, everybody = ctx.reporter.expected
    assert mine.startswith("profile a/")
    assert re.match(r"3 devices at once: about \d+ (s|min), what [abc] takes$", everybody)
    assert len(ctx.reporter.expected) == 4


def test_a_device_that_says_nothing_is_left_out_of_the_forecast(root, act, pretend):
    act("a", silent(pretend, lambda: tables(root, "b") and tables(root, "c")))
    ctx = context(root)
    stuck, *fine = profile_all(ctx, map(target, NAMES))
    assert isinstance(stuck.error, DeviceLost)
    assert [o.status for o in fine] == ["measured"] * 2
    assert not any(line.startswith("profile a/") for line in ctx.reporter.expected)
    (note,) = ctx.reporter.notes
    assert note == "a/onnxruntime fp32 failed, the others go on: nothing heard"


def test_a_reused_device_that_says_nothing_delays_nobody(root, act, pretend):
    profile_all(context(root), [target("a")])
    act("a", silent(pretend, lambda: tables(root, "b")))
    ctx = context(root)
    assert [o.status for o in profile_all(ctx, map(target, "ab"))] == ["reused", "measured"]
    (note,) = ctx.reporter.notes
    assert note == "a/onnxruntime fp32: whether the device has changed since cannot be said: nothing heard"


def test_nobody_begins_while_models_are_written_or_after_the_word_to_stop(root):
    ctx = context(root)
    ahead = Ahead(ctx, NAMES)
    began = threading.Event()
    lane = threading.Thread(target=lambda: (ahead.ready("a", []), began.set()), daemon=True)
    with ahead.writing():
        lane.start()
        assert not began.wait(0.3)
    assert began.wait(PATIENCE_S)
    lane.join()
    with ahead.writing():
        ctx.together.stop()
        with pytest.raises(Interrupted):
            ahead.ready("b", [])


def test_targets_of_a_device_follow_one_another_and_are_left_out_once_it_is_lost(root, act, pretend):
    open_now, most = [], []

    class Counting(pretend.PretendChannel):
        def __init__(self):
            super().__init__()
            open_now.append(self)
            most.append(len(open_now))

        def close(self):
            open_now.remove(self)

    act("a", Counting)
    both = [target("a"), target("a", "litert")]
    assert [o.status for o in profile_all(context(root), both)] == ["measured", "measured"]
    assert set(most) == {1}
    act("b", breaks_after(pretend, 3))
    first, second = profile_all(context(root), [replace(t, device="b") for t in both])
    assert (first.status, second.status) == ("failed", "skipped")
    assert "not tried, since its device was lost" in str(second.error)


def test_an_interruption_closes_all_sessions_and_keeps_what_was_measured(root, act, pretend):
    closed = []

    class Waiting(pretend.PretendChannel):
        def receive(self, *, timeout_s):
            if self.device == "a" and self.messages and self.messages[0]["type"] == "done":
                if not self.said:
                    self.said = True
                    _thread.interrupt_main()
                raise AgentTimeout("nothing")
            return super().receive(timeout_s=timeout_s)

        said = False

        def close(self):
            closed.append(self.device)

    act("a", Waiting)
    act("b", waits_for(pretend, lambda: False))
    act("b", Waiting)
    with pytest.raises(KeyboardInterrupt):
        profile_all(context(root), map(target, "ab"))
    assert "a" in closed
    before = timed(journal(root))
    assert before
    assert not tables(root, "a")
    act("a", pretend.PretendChannel)
    (outcome,) = profile_all(context(root), [target("a")])
    assert outcome.status == "measured"
    assert timed(journal(root)) == before, "nothing was measured twice"


def test_what_is_in_the_journal_is_said_and_not_measured_again(root, act, pretend):
    act("a", breaks_after(pretend, 5))
    ctx = context(root)
    (outcome,) = profile_all(ctx, [target("a")])
    assert isinstance(outcome.error, DeviceLost)
    (line,) = ctx.reporter.expected
    assert "in the journal" not in line
    act("a", pretend.PretendChannel)
    ctx = context(root)
    profile_all(ctx, [target("a"), target("b")])
    *each, both = ctx.reporter.expected
    mine, other = sorted(each)
    assert mine.startswith("profile a/")
    assert "(5 are in the journal): about " in mine
    assert "in the journal" not in other
    assert both.startswith("2 devices at once: about ")
    assert both.endswith(", what b takes")
    keys = timed(journal(root))
    assert len(keys) == len(set(keys))


def test_an_update_in_mid_profile_starts_over_and_says_so(root, act, pretend):
    act("a", breaks_after(pretend, 5))
    profile_all(context(root), [target("a")])
    before = timed(journal(root))
    act("a", pretend.updated("1.1"))
    ctx = context(root)
    (outcome,) = profile_all(ctx, [target("a")])
    assert outcome.status == "measured"
    assert ctx.reporter.notes == [
        "profile a/onnxruntime fp32: the device has changed (onnxruntime 0, now 1.1); what was measured before is measured again"
    ]
    keys = timed(journal(root))
    assert keys[: len(before)] == before
    assert set(before) < set(keys[len(before) :])
    table = read_table(tables(root, "a")[0])
    assert table.facts["runtime_version"] == "1.1"
    assert {m.facts["runtime_version"] for m in table.entries.values()} == {"1.1"}


def test_measuring_anew_keeps_the_old_profile_until_it_is_done(root, act, pretend):
    profile_all(context(root), [target("a")])
    old = {path.name: path.read_bytes() for path in tables(root, "a")}
    act("a", breaks_after(pretend, 5))
    (outcome,) = profile_all(context(root), [target("a")], anew=True)
    assert outcome.status == "failed"
    (outcome,) = profile_all(context(root), [target("a")])
    assert outcome.status == "reused"
    assert {path.name: path.read_bytes() for path in tables(root, "a")} == old

    class Faster(pretend.PretendChannel):
        def result(self, key, path):
            return super().result(key, path) | {"quiet_ms": [0.5] * 8}

    act("a", Faster)
    (outcome,) = profile_all(context(root), [target("a")], anew=True)
    assert outcome.status == "measured"
    assert not journal(root, "anew.jsonl")
    medians = [m.quantile_ms("p50") for m in read_table(tables(root, "a")[0]).entries.values()]
    assert medians.count(0.5) >= len(medians) - 5, "what the interrupted one measured is kept, the rest is new"
    keys = timed(journal(root))
    assert len(keys) == len(set(keys))


def test_a_device_without_an_agent_has_a_forecast_and_says_what_is_begun(root, monkeypatch):
    write_program(root / "devices" / "tool", "#!/bin/sh\n")
    (root / "devices" / "a.toml").write_text('transport = "local"\n[native]\ntool = "benchmark_model"\npath = "tool"\n')

    def lost(device, jobs, plan, *, on_burst, on_measured, **_):
        for job in jobs[:3]:
            on_burst(job.id, Burst(5, 100.0, "mean", 1.0, 1.0, None))
        on_measured(jobs[0].id, {"typical": Measurement((0.1,), 0)})
        raise DeviceLost("the cable is out")

    monkeypatch.setattr(device, "measure_native", lost)
    said = []
    for _ in range(2):
        ctx = context(root)
        profile_all(ctx, [target("a", "litert")])
        said += ctx.reporter.expected
    first, second = said
    assert re.match(r"profile a/litert fp32: \d+ blocks and 6 networks to measure: about \d+ (s|min), at most", first)
    assert "(1 are in the journal, 2 begun): about" in second
    assert "quiet" not in first + second
