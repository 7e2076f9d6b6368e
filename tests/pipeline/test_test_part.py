"""The test part is read once, at the end: nothing that decides about a file has seen it."""

import pytest

from hwnas.data import Dataset
from hwnas.pipeline import run as pipeline
from hwnas.pipeline.context import Context
from hwnas.workspace import Workspace


@pytest.mark.slow
def test_no_test_image_is_read_before_every_file_was_chosen_and_timed(workspace, pretend, monkeypatch):
    """A run from nothing: data, training, tables, search, files and timings all come before the first look at the test part."""
    events = []

    def watched(name):
        original = getattr(Dataset, name)

        def read(self, part, *more):
            events.append(f"{name} of {part}")
            return original(self, part, *more)

        return read

    for name in ("images", "labels"):
        monkeypatch.setattr(Dataset, name, watched(name))
    deployed, send = pipeline.deployed, pretend.PretendChannel.send

    def chosen(*arguments):
        outcomes = deployed(*arguments)
        events.append("chosen")
        return outcomes

    def told(self, message):
        if message["type"] == "job" and message["id"].startswith("file:"):
            events.append("timed")
        send(self, message)

    monkeypatch.setattr(pipeline, "deployed", chosen)
    monkeypatch.setattr(pretend.PretendChannel, "send", told)
    rows = pipeline.run(Context(Workspace.open(workspace))).rows
    assert events.count("chosen") == len({row["runtime"] for row in rows}) == 2
    assert events.count("timed") >= len(rows)
    assert {"images of train", "labels of train", "images of val", "labels of val"} <= set(events)
    last = max(position for position, event in enumerate(events) if event in ("chosen", "timed"))
    assert not [event for event in events[:last] if event.endswith("of test")]
    assert {"images of test", "labels of test"} <= set(events[last:])
