"""Timing on a device as the user sees it: what is said before, and how the bar moves."""

import os
from contextlib import contextmanager

import pytest

from hwnas.core.device import Measurement, MeasurePlan
from hwnas.latency.table import LatencyTable
from hwnas.pipeline.context import Context
from hwnas.pipeline.device import Rig
from hwnas.pipeline.forecast import forecast
from hwnas.pipeline.goals import Target
from hwnas.pipeline.identity import Identity
from hwnas.pipeline.timings import TimedModel
from hwnas.space.family import blockwise, find_space
from hwnas.workspace import Workspace


class Watched:
    """A reporter that remembers."""

    def __init__(self):
        self.steps, self.notes = [], []

    @contextmanager
    def stage(self, title, total):
        yield lambda done, text: self.steps.append((done, text))

    def reused(self, title):
        pass

    def expect(self, text):
        self.notes.append(text)


@pytest.fixture
def rig(tmp_path):
    for name in ("probe", "reference"):
        (tmp_path / name).write_bytes(b"x")
    return Rig(Target("toy", "litert", "fp32", 1), tmp_path / "probe", tmp_path / "reference", MeasurePlan(min_repeats=10))


def models(folder, keys):
    out = [TimedModel(key, folder / f"{number}.tflite") for number, key in enumerate(keys)]
    for model in out:
        model.path.write_bytes(bytes(4000))
    return out


def progress(accepted, *, quiet_share=0.5):
    return {"type": "progress", "finished": 0, "accepted": accepted, "wanted": 40, "quiet_share": quiet_share}


def test_the_bar_moves_with_samples_and_never_back(workspace, pretend, rig, tmp_path, monkeypatch):
    class Talkative(pretend.PretendChannel):
        def send(self, message):
            super().send(message)
            if message["type"] == "start":
                ready, a, b, c, d, done = self.messages
                self.messages.clear()
                # b is measured a second time
                self.messages.extend([ready, progress(0, quiet_share=None), progress(5), a, progress(25), b, b, progress(15), c, d, done])

    monkeypatch.setattr(pretend.PretendLauncher, "launch", lambda self: Talkative())
    reporter, kept, met = Watched(), [], []
    rig.measure(Context(Workspace.open(workspace), reporter), "profile")(
        models(tmp_path, "abcd"), lambda key, _: kept.append(key), met.append
    )
    assert kept == ["a", "b", "b", "c", "d"]
    assert met == [Identity("litert", "0", None, "none", "none")]
    assert [done for done, _ in reporter.steps] == [0, 0.5, 1, 2.5, 2.5, 2.5, 2.5, 3, 4]
    assert reporter.steps[0][1] == ""
    assert reporter.steps[-1][1] == "quiet 50% of the time"


def test_more_and_larger_models_take_longer(tmp_path):
    space, plan = find_space("tiny-32"), MeasurePlan(max_seconds=1e6)
    keys = [block.key for block in blockwise(space).vocabulary(space)]

    def seconds(models):
        return forecast(space, models, plan, runtime="litert").seconds

    few, many = models(tmp_path, keys[:10]), models(tmp_path, keys)
    quick = seconds(few)
    assert quick < seconds(many)
    for model in few:
        os.truncate(model.path, 1 << 30)
    assert seconds(few) > 10 * quick


def test_what_is_ahead_is_counted_and_what_nobody_knows_of_a_page_is_said(tmp_path):
    space = find_space("tiny-32")
    keys = [block.key for block in blockwise(space).vocabulary(space)]
    ahead = models(tmp_path, [keys[0], "net:1", "net:2", "overhead"])
    said = str(forecast(space, ahead, MeasurePlan(max_seconds=300), runtime="litert", kept=7))
    assert said.startswith("1 block and 2 networks to measure (7 are in the journal): about ")
    assert said.endswith(" s where the device is quiet, at most 5 min")
    assert "in the journal" not in str(forecast(space, ahead, MeasurePlan(), runtime="litert"))
    page = forecast(space, ahead, MeasurePlan(), runtime="onnxruntime-web")
    assert page.at_least
    assert ": at least " in str(page)


def earlier_table(keys, ms=1.0, *, facts):
    return LatencyTable(
        device="phone",
        runtime="onnxruntime-web",
        precision="fp32",
        threads=1,
        batch=1,
        regime="quiet",
        plan=MeasurePlan(),
        facts=facts,
        overhead=None,
        entries={key: Measurement((ms,), 0) for key in keys},
    )


def test_an_earlier_table_says_more_than_sizes(tmp_path):
    space, plan = find_space("tiny-32"), MeasurePlan(max_seconds=1e6)
    keys = [block.key for block in blockwise(space).vocabulary(space)]
    ahead = models(tmp_path, keys)

    def seconds(ms, share):
        table = earlier_table(keys, ms, facts={"quiet_share": share})
        found = forecast(space, ahead, plan, runtime="onnxruntime-web", at_hand=table)
        assert not found.at_least
        return found.seconds

    assert seconds(1.0, 1.0) < seconds(10.0, 1.0) < seconds(10.0, 0.25)


def test_a_program_in_the_agents_place_has_a_forecast_of_its_own(tmp_path):
    space, plan = find_space("tiny-32"), MeasurePlan(min_repeats=10, max_seconds=1e6)
    keys = [block.key for block in blockwise(space).vocabulary(space)][:30]
    some = models(tmp_path, [*keys, "net:a"])
    fresh = forecast(space, some, plan, runtime="litert", bursts={})
    assert "quiet" not in str(fresh)
    assert str(fresh).startswith("30 blocks and 1 network to measure: about ")
    begun = forecast(space, some, plan, runtime="litert", kept=4, bursts={keys[0]: 11, keys[1]: 3})
    assert "(4 are in the journal, 2 begun)" in str(begun)
    assert begun.seconds < fresh.seconds
    short = forecast(space, some, MeasurePlan(min_repeats=10, max_seconds=5), runtime="litert", bursts={})
    assert (short.seconds, short.too_long) == (5, True)
    assert str(short).endswith("at most 5 s; that will not do: run it again to go on, or raise max_seconds of [profile]")
    slow = earlier_table(keys, facts={"seconds": 3000.0, "bursts": 1000})
    assert forecast(space, some, plan, runtime="litert", bursts={}, at_hand=slow).seconds == pytest.approx(3.0 * 31 * 11, rel=0.1)
