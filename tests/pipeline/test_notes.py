"""What a training or a search leaves for those who follow it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from hwnas.pipeline import notes as module
from hwnas.pipeline.notes import Notes, Watch
from hwnas.search.archive import Scored


def told(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_notes_are_kept_apart(tmp_path):
    path = tmp_path / "new" / "progress.jsonl"
    rare = Notes(path, apart_s=3600)
    for number in range(3):
        rare({"n": number})
    assert told(path) == [{"n": 0}]
    often = Notes(path, apart_s=0)
    for number in (7, 8):
        often({"n": number})
    assert told(path) == [{"n": 0}, {"n": 7}, {"n": 8}]


class Archive:
    evaluated = 4

    def all(self):
        ms = np.array([1.0, 2.0, 3.0, 4.0])
        return Scored(np.zeros((4, 1), dtype=np.int16), ms, ms, np.array([0.5, 0.7, 0.6, 0.8]), ms, np.array([0, 0, 0, 2.0]))


@pytest.fixture
def at_once(monkeypatch):
    monkeypatch.setattr(module, "APART_S", 0.0)
    monkeypatch.setattr(Notes.__init__, "__kwdefaults__", {"apart_s": 0.0})


@pytest.mark.usefixtures("at_once")
def test_a_search_notes_the_best_that_keeps_each_budget_and_leaves_nothing_in_the_end(tmp_path):
    path = tmp_path / "watch.jsonl"
    watch = Watch(path, {"small": 0.5, "middle": 2.5, "all": 9.0})
    watch(Archive())
    assert told(path) == [{"evaluated": 4, "best": {"middle": 0.7, "all": 0.7}}]
    watch.end()
    watch.end()
    assert not path.exists()


def test_a_quick_search_leaves_nothing(tmp_path):
    watch = Watch(tmp_path / "watch.jsonl", {"all": 9.0})
    watch(Archive())
    assert not (tmp_path / "watch.jsonl").exists()
