"""Files timed on a busy device, where budgets are of its quiet state: brought over by networks of the table, or refused."""

from collections import deque
from dataclasses import replace
from pathlib import Path
from shutil import copytree

import pytest

from hwnas.core.errors import TooNoisy
from hwnas.export.manifest import check_manifest
from hwnas.latency.tablefile import read_table
from hwnas.pipeline.anchored import ANCHORS, anchored_error, anchors_of, brought_over
from hwnas.pipeline.context import Context
from hwnas.pipeline.recording import Recording
from hwnas.pipeline.run import run
from hwnas.workspace import Workspace


@pytest.fixture
def ready(copy):
    """A workspace whose tables have networks enough, and whose supernet is trained."""
    config = copy / "hwnas.toml"
    config.write_text(config.read_text().replace("networks = 6", "networks = 16"))
    return copy


def went(workspace, **options):
    return run(Context(Workspace.open(workspace), **options))


def by_budget(result):
    """Rows without the names of files, which a replay has elsewhere."""
    rows = result.document()["targets"]
    return {(row["runtime"], row["budget"]): {name: value for name, value in row.items() if name != "artifact"} for row in rows}


def test_files_keep_their_budgets_by_what_they_would_take_when_quiet(ready, noisy, pretend, monkeypatch, tmp_path):
    noisy.files = True
    noisy.slope = staticmethod(lambda key: 0.9)
    result = went(ready)
    busy = by_budget(result)
    for row in result.rows:
        manifest = check_manifest(result.folder / Path(row["artifact"]).relative_to(f"runs/{result.run}").parent / "manifest.json")
        assert manifest.latency.anchored_error == row["anchored_error"]
    assert any(any(told.values()) for told in noisy.told), "networks that are sampled only because it is busy"
    replayed = went(copytree(ready, tmp_path / "again"), replay=Recording.read(result.folder / "journal.jsonl"))
    assert by_budget(replayed) == busy
    monkeypatch.setattr(pretend.PretendLauncher, "launch", lambda self: pretend.PretendChannel())
    for folder in (ready / "runs" / "stages").glob("verify-*"):
        (folder / "journal.jsonl").unlink()
    quiet = by_budget(went(ready))
    assert busy.keys() == quiet.keys()
    for key, row in busy.items():
        assert row["anchored_error"] < 0.02
        assert quiet[key]["anchored_error"] is None
        if row["arch"] == quiet[key]["arch"]:
            assert row["measured_ms"] == pytest.approx(quiet[key]["measured_ms"], rel=0.01)
            low, high = row["measured_ci_ms"]
            assert low < quiet[key]["measured_ms"] < high
            assert row["measured_typical_ms"] > 1.3 * row["measured_ms"]


@pytest.mark.slow
def test_an_8_bit_file_that_could_not_be_timed_does_not_ship_and_holds_nothing_up(ready, noisy, tmp_path):
    """Networks of the table are floats: what being busy does to them says nothing of 8-bit files."""
    noisy.files = True
    result = went(ready)
    assert all(row["verdict"] == "ok" for row in result.rows)
    for row in result.document()["targets"]:
        companion = row["int8"]
        assert (companion["ships"], companion["measured_ms"], companion["measured_ci_ms"]) == (False, None, None)
        assert companion["reasons"][-1].startswith("not timed: ")
    replayed = went(copytree(ready, tmp_path / "again"), replay=Recording.read(result.folder / "journal.jsonl"))
    assert by_budget(replayed) == by_budget(result)


@pytest.mark.slow
def test_a_state_that_treats_each_network_differently_is_not_compared(ready, noisy):
    noisy.files = True
    noisy.slope = staticmethod(lambda key: 0.6 + 0.2 * (sum(map(ord, key)) % 3))
    with pytest.raises(TooNoisy, match=r"quiet for 0%.* not comparable"):
        went(ready)


def test_too_few_networks_bring_nothing_over(copy, noisy):
    noisy.files = True
    (copy / "hwnas.toml").write_text((copy / "hwnas.toml").read_text().replace("seed = 1", "seed = 1 "))
    for folder in (copy / "runs" / "stages").glob("verify-*"):
        (folder / "journal.jsonl").unlink()
    with pytest.raises(TooNoisy, match="10 models or more"):
        went(copy)


@pytest.mark.slow
def test_anchors_are_spread_over_a_tables_networks(ready):
    result = went(ready)
    table = read_table(next(result.folder.glob("tables/toy/onnxruntime-*-quiet.json")))
    space_id = Context(Workspace.open(ready)).space.id
    anchors = anchors_of(table, space_id)
    assert len(anchors) == len(set(anchors)) == ANCHORS
    assert anchors_of(table, "another space") == ()
    times = {key: network.measurement for key, network in table.networks.items()}
    slower = {key: replace(m, samples_ms=tuple(1.5 * ms for ms in m.samples_ms)) for key, m in times.items()}
    found, files = brought_over({**slower, "file:a": replace(next(iter(slower.values())), samples_ms=(3.0,) * 40)}, table)
    assert (found.slope, found.worst) == (pytest.approx(1.0), pytest.approx(0.0, abs=1e-9))
    assert files.keys() == {"file:a"}
    assert files["file:a"]["quiet"].quantile_ms("p50") == pytest.approx(2.0)
    assert files["file:a"]["typical"].quantile_ms("p50") == 3.0
    assert anchored_error(files["file:a"]["quiet"]) == pytest.approx(0.0, abs=1e-9)
    assert anchored_error(files["file:a"]["typical"]) is None


@pytest.mark.slow
def test_files_timed_at_a_slower_speed_than_the_table_are_refused_and_the_table_stays(ready, pretend, monkeypatch):
    """Slower than its table, a device is busy: measuring the table again would not help."""
    went(ready)
    for folder in (ready / "runs" / "stages").glob("verify-*"):
        (folder / "journal.jsonl").unlink()
    monkeypatch.setattr(pretend.PretendChannel, "levels_us", deque([1.1 * pretend.LEVEL_US] * 8))
    with pytest.raises(TooNoisy, match="runs slower than when its table was measured"):
        went(ready)
