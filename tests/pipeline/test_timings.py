"""Timings of two devices, or of one before and after an update, never stand side by side in a journal."""

import json

import pytest

from hwnas.core.device import Measurement
from hwnas.core.errors import DeviceChanged
from hwnas.pipeline.identity import Identity
from hwnas.pipeline.recording import Recording
from hwnas.pipeline.timings import (
    Conditions,
    TimedModel,
    identity_of,
    note_speed,
    noted_speeds_us,
    quiet_levels_us,
    session_facts,
    timed,
    timed_keys,
)
from hwnas.store.journal import Journal

CONDITIONS = Conditions("table", "pi4", "onnxruntime", "fp32", 1)
OLD, NEW = (Identity("onnxruntime", version, "A72", "aarch64", "linux 6.1") for version in ("1.22.0", "1.23.0"))


@pytest.fixture
def journal(tmp_path):
    return Journal(tmp_path / "journal.jsonl")


@pytest.fixture
def models(tmp_path):
    return [TimedModel(key, tmp_path / key) for key in "abc"]


def regimes(ms):
    return {"quiet": Measurement((ms,), 0, facts={"quiet_level_us": 100.0}), "typical": Measurement((ms,), 0)}


def device(*identities, ms=1.0, only=None):
    """Measures ``only`` so many models; is another identity in each session. ``asked`` tells what for."""
    left = list(identities)
    asked = []

    def measure(models, keep, meet):
        meet(left.pop(0) if len(left) > 1 else left[0])
        asked.append([m.key for m in models])
        for model in models[:only]:
            keep(model.key, regimes(ms))
        if only is not None:
            raise RuntimeError("lost")
        return {"ms": ms}

    measure.asked = asked
    return measure


def interrupted(journal, models, identity, n):
    with pytest.raises(RuntimeError):
        timed(CONDITIONS, models, journal, measure=device(identity, only=n))


def test_the_same_device_goes_on_where_it_was(journal, models):
    interrupted(journal, models, OLD, 2)
    goes_on = device(OLD)
    timed(CONDITIONS, models, Journal(journal.path), measure=goes_on)
    assert goes_on.asked == [["c"]]


def test_another_runtime_version_begins_anew_and_what_was_before_counts_no_more(journal, models):
    interrupted(journal, models, OLD, 2)
    note_speed(CONDITIONS, journal, 50.0)
    interrupted(journal, models, NEW, 1)
    assert timed_keys(CONDITIONS, journal) == {"a"}
    assert quiet_levels_us(CONDITIONS, journal) == {"a": 100.0}
    assert noted_speeds_us(CONDITIONS, journal) == []
    assert session_facts(CONDITIONS, journal) == {}
    assert identity_of(CONDITIONS, journal) == NEW
    goes_on = device(NEW, ms=2.0)
    found = timed(CONDITIONS, models, Journal(journal.path), measure=goes_on)
    assert goes_on.asked == [["b", "c"]]
    assert [found[key]["quiet"].samples_ms for key in "abc"] == [(1.0,), (2.0,), (2.0,)]


def test_an_update_and_back_does_not_bring_old_timings_back(journal, models):
    interrupted(journal, models, OLD, 2)
    interrupted(journal, models, NEW, 1)
    interrupted(journal, models, OLD, 0)
    assert timed_keys(CONDITIONS, journal) == frozenset()


def test_other_conditions_are_left_alone(journal, models):
    interrupted(journal, models, OLD, 2)
    other = Conditions("table", "pi4", "litert", "fp32", 1)
    timed(other, models, journal, measure=device(NEW))
    assert timed_keys(CONDITIONS, journal) == {"a", "b"}


def test_two_devices_behind_one_name_are_refused(journal, models):
    interrupted(journal, models, OLD, 1)

    def alternating(models, keep, meet):
        # another one times a model between two of this one's sessions
        meet(versions.pop(0))
        keep("a", regimes(1.0))
        pytest.fail("it was let in")

    versions = [NEW, OLD]
    journal_of_both = journal.append

    def append(record):
        journal_of_both(record)
        if record["kind"] == "device":
            journal_of_both({"kind": "timing", "conditions": CONDITIONS.id, "key": "a", "regimes": {"quiet": {"facts": {}}}})

    journal.append = append
    with pytest.raises(DeviceChanged, match=r"pi4/onnxruntime: it was another device in each of 2 sessions"):
        timed(CONDITIONS, models, journal, measure=alternating)


def test_timings_of_which_nobody_knows_the_device_do_not_count(journal, models):
    interrupted(journal, models, OLD, 2)
    lines = [line for line in journal.path.read_text().splitlines() if json.loads(line)["kind"] != "device"]
    journal.path.write_text("\n".join(lines) + "\n")
    again = device(OLD)
    timed(CONDITIONS, models, Journal(journal.path), measure=again)
    assert again.asked == [["a", "b", "c"]]


def test_a_recording_holds_the_last_device_alone(journal, models):
    timed(CONDITIONS, models, journal, measure=device(OLD))
    timed(CONDITIONS, models[:1], journal, measure=device(NEW, ms=3.0), again=["a"])
    recording = Recording.read(journal.path)
    assert {key for _, key in recording.timings} == {"a"}
    replayed = Journal(journal.path.with_name("replayed.jsonl"))
    found = timed(CONDITIONS, models[:1], replayed, measure=device(OLD), replay=recording)
    assert found["a"]["quiet"].samples_ms == (3.0,)
    assert identity_of(CONDITIONS, replayed) == NEW


def test_what_changed_is_said_and_what_is_unknown_is_no_change():
    assert OLD.changes(NEW) == ("onnxruntime 1.22.0, now 1.23.0",)
    assert OLD.changes(OLD) == ()
    assert Identity.read({}, runtime="onnxruntime").changes(NEW) == ()
    assert Identity.read(NEW.facts(), runtime="onnxruntime") == NEW
