"""Profiles of a device that is kept hot, and of one that is never quiet: tables of their own, never mixed with quiet ones."""

import json
from pathlib import Path

import numpy as np
import pytest

from hwnas.cli.main import call
from hwnas.core.errors import TooNoisy
from hwnas.latency.table import table_path
from hwnas.latency.tablefile import read_table
from hwnas.pipeline.context import Context
from hwnas.pipeline.fleet import profile_all, profiles_for_run
from hwnas.pipeline.goals import Target
from hwnas.workspace import Workspace
from tests.rig.pretend import BUSY

TARGET = Target("toy", "onnxruntime", "fp32")


def table_of(root: Path, regime: str):
    return read_table(table_path(root, device="toy", runtime="onnxruntime", precision="fp32", regime=regime))


@pytest.fixture
def hot(pretend, monkeypatch):
    """The plans that agents were given."""
    plans = []

    class Hot(pretend.PretendChannel):
        def send(self, message):
            if message["type"] == "begin":
                plans.append(message["plan"])
            super().send(message)

    monkeypatch.setattr(pretend.PretendLauncher, "launch", lambda self: Hot())
    return plans


def context(workspace):
    return Context(Workspace.open(workspace))


def test_a_device_that_is_kept_hot_has_tables_of_its_own(workspace, hot):
    ctx = context(workspace)
    (plain,) = profile_all(ctx, [TARGET])
    (sustained,) = profile_all(ctx, [TARGET], sustained=True)
    assert [plan["heat_s"] for plan in hot] == [0.0, 600.0]
    assert plain.result.tables.keys() == {"quiet", "typical"}
    assert sustained.result.tables.keys() == {"sustained"}
    assert plain.result.id != sustained.result.id
    table = table_of(ctx.store.tables, "sustained")
    assert (table.regime, table.plan.heat_s) == ("sustained", 600.0)
    assert {m.facts["regime"] for m in table.entries.values()} == {"sustained"}
    assert table_of(ctx.store.tables, "quiet").plan.heat_s == 0.0
    (again,) = profile_all(ctx, [TARGET], sustained=True)
    assert (again.status, len(hot)) == ("reused", 2)


def test_a_device_that_is_never_quiet_gives_its_busy_state_and_is_asked_again(workspace, noisy):
    ctx = context(workspace)
    (outcome,) = profile_all(ctx, [TARGET])
    assert outcome.result.tables.keys() == {"busy"}
    row = outcome.result.summary(ctx)
    assert (row["regime"], row["quiet_share"]) == ("busy", 0.0)
    assert row["table"].endswith("-busy.json")
    table = table_of(ctx.store.tables, "busy")
    assert all(m.facts["regime"] == "busy" and len(m.samples_ms) == 60 for m in table.entries.values())
    assert not table_path(ctx.store.tables, device="toy", runtime="onnxruntime", precision="fp32", regime="quiet").exists()
    (second,) = profile_all(ctx, [TARGET])
    assert (second.status, len(noisy.told)) == ("measured", 2)


def test_models_that_are_known_in_quiet_are_sampled_with_the_others_and_stay_known(workspace, noisy, pretend, monkeypatch):
    noisy.quiet = 5
    ctx = context(workspace)
    (first,) = profile_all(ctx, [TARGET])
    assert first.error is None
    assert not any(noisy.told[0].values())
    noisy.quiet = 0
    (second,) = profile_all(ctx, [TARGET])
    assert second.error is None
    assert sum(noisy.told[1].values()) == 5
    assert noisy.told[1].keys() == noisy.told[0].keys()
    assert first.result.tables["busy"].entries.keys() == second.result.tables["busy"].entries.keys()
    monkeypatch.setattr(pretend.PretendLauncher, "launch", lambda self: pretend.PretendChannel())
    (third,) = profile_all(ctx, [TARGET])
    quiet, busy = third.result.tables["quiet"].entries, second.result.tables["busy"].entries
    slower = np.array([busy[key].quantile_ms("p50") / quiet[key].quantile_ms("p50") for key in quiet])
    assert slower == pytest.approx(np.full(len(slower), np.median(slower)), rel=0.02)
    assert np.median(slower) == pytest.approx(1.05 * BUSY, rel=0.06)


def test_what_is_known_in_neither_state_is_refused_with_the_evidence(workspace, noisy, capsys):
    noisy.good = False
    assert call(["profile", "toy", "--runtime", "onnxruntime", "--workspace", str(workspace)]) == 3
    told = " ".join(capsys.readouterr().err.split())
    assert "the device was quiet for 0% of the time" in told
    assert "as a busy device it is not known either: the p50 of" in told
    assert not list((workspace / "runs" / "tables").glob("**/*.json"))


def test_a_run_needs_quiet_and_takes_no_other_state_for_it(workspace, noisy):
    with pytest.raises(TooNoisy, match="quiet for 0%"):
        profiles_for_run(context(workspace), [TARGET])


def test_the_command_line_shows_the_regime(workspace, hot, capsys):
    words = ["profile", "toy", "--runtime", "onnxruntime", "--sustained", "--workspace", str(workspace)]
    assert call([*words, "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["regime"], row["wide"], row["quiet_share"]) == ("sustained", 0, 1.0)
    assert row["table"] == "onnxruntime-fp32-t1-b1-sustained.json"
    assert call(words) == 0
    assert "onnxruntime-fp32-t1-b1-sustained.json" in "".join(capsys.readouterr().out.split())
    assert call([*words, "--refresh"]) == 2
