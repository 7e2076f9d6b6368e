"""Files are as new as the device reads, and stay what was timed: resumed, replayed, and from an accepted table."""

import onnx
import pytest

from hwnas.core.errors import DeviceError, UsageError
from hwnas.export.level import DEFAULT, OnnxLevel
from hwnas.pipeline.context import Context
from hwnas.pipeline.goals import Target
from hwnas.pipeline.levels import level_of
from hwnas.pipeline.profiling import JOURNAL, prepared, profiled, published, worked
from hwnas.pipeline.recording import Recording
from hwnas.pipeline.targets import conditions_of
from hwnas.pipeline.timings import note_level, noted_level
from hwnas.store.journal import Journal
from hwnas.workspace import Workspace

TARGET = Target("toy", "onnxruntime", "fp32")
TABLE = conditions_of(TARGET, "table")


def measured(ctx, target):
    """The profile of a target, measured now."""
    return published(ctx, worked(ctx, prepared(ctx, target)))


def written(folder):
    """The levels of the ONNX files below ``folder``."""
    models = [onnx.load(path, load_external_data=False) for path in folder.rglob("*.onnx")]
    return {(model.ir_version, model.opset_import[0].version) for model in models}


def test_a_run_writes_the_newest_that_the_device_reads(finished):
    root, _ = finished
    assert written(root / "runs" / "models") == written(root / "runs" / "stages") == {(10, 21)}
    (profile,) = root.glob("runs/stages/profile-*/toy/onnxruntime-*-quiet.json")
    assert '"onnx_ir": 10' in profile.read_text()


def test_an_old_device_gets_old_files_and_a_replay_the_same(workspace, pretend, monkeypatch):
    monkeypatch.setattr(pretend.PretendChannel, "reads", (7, 12))
    profile = measured(Context(Workspace.open(workspace)), TARGET)
    assert profile.level == OnnxLevel(7, 12)
    assert written(workspace / "runs" / "models") == {(7, 12)}
    # a replay asks no device, whatever that has become
    monkeypatch.setattr(pretend.PretendChannel, "reads", (10, 21))
    replay = Recording.read(profile.journal)
    assert profiled(Context(Workspace.open(workspace), replay=replay), TARGET).level == OnnxLevel(7, 12)


def test_a_device_that_reads_less_than_it_did_is_sent_nothing(workspace, pretend, monkeypatch):
    ctx = Context(Workspace.open(workspace))
    profile = measured(ctx, TARGET)
    lines = profile.journal.read_text().splitlines(keepends=True)
    assert '"kind":"level"' in lines[0]
    profile.journal.write_text("".join(lines[:5]))
    (profile.journal.parent / "done.json").unlink()
    sent = []
    send = pretend.PretendChannel.send
    monkeypatch.setattr(pretend.PretendChannel, "send", lambda self, message: (sent.append(message["type"]), send(self, message)))
    monkeypatch.setattr(pretend.PretendChannel, "reads", (8, 15))
    with pytest.raises(DeviceError, match=r"reads ONNX IR 8 and opset 15 at most, .* of IR 10 and opset 21: bring back"):
        measured(Context(Workspace.open(workspace)), TARGET)
    assert sent == ["hello"]


def test_what_was_timed_before_devices_were_asked_is_of_the_level_of_that_time(workspace, tmp_path):
    ctx = Context(Workspace.open(workspace))
    journal = Journal(tmp_path / JOURNAL)
    timing = {"kind": "timing", "conditions": TABLE.id, "key": "a", "regimes": {"quiet": {"facts": {}}}}
    journal.append(timing)
    assert level_of(ctx, TARGET, TABLE, journal) == DEFAULT
    replayed = Context(Workspace.open(workspace), replay=Recording({(TABLE.id, "a"): timing}, {}, {}, "r"))
    assert level_of(replayed, TARGET, TABLE, Journal(tmp_path / "other.jsonl")) == DEFAULT


def test_other_formats_have_no_level(workspace, tmp_path, pretend, monkeypatch):
    monkeypatch.setattr(pretend.PretendChannel, "send", lambda self, message: pytest.fail("asked"))
    target = Target("toy", "litert", "fp32")
    assert level_of(Context(Workspace.open(workspace)), target, conditions_of(target, "table"), Journal(tmp_path / "j")) == DEFAULT


def test_a_level_of_another_shape_is_refused(tmp_path):
    journal = Journal(tmp_path / JOURNAL)
    note_level(TABLE, journal, ("ten", 21))
    with pytest.raises(UsageError, match="ONNX level of another shape"):
        noted_level(TABLE, journal)
