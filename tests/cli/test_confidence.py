"""Which latency model `search`, `predict`, `table show` and `profile` go by, how sure it is, and where it is not to be trusted."""

from dataclasses import replace

import numpy as np
import pytest

from hwnas.latency.chosen import chosen_latency
from hwnas.latency.table import LatencyTable
from hwnas.latency.tablefile import stored_at, write_table
from hwnas.latency.trusted import TrustedLatency
from hwnas.pipeline.searching import publish_latency, stored_space
from hwnas.space.family import family_of
from hwnas.workspace import Workspace
from tests.cli.test_commands import hw, hw_json
from tests.latency.tables import make_table

WORDS = ("search", "--device", "toy", "--runtime", "litert", "-w")


def known(root, *, networks=40, quick=1.0, **changed) -> LatencyTable:
    """A table of the workspace's own space as if it were the device's; ``quick`` keeps that share of its networks, the quickest."""
    table = make_table(stored_space(Workspace.open(root)), networks=networks, device="toy", noise=0.03)
    kept = sorted(table.networks.values(), key=lambda network: network.measurement.quantile_ms("p50"))[: round(quick * networks)]
    return replace(table, runtime="litert", networks={network.key: network for network in kept}, **changed)


def published(root, **options) -> LatencyTable:
    table = known(root, **options)
    workspace = Workspace.open(root)
    publish_latency(workspace.store, chosen_latency(table, stored_space(workspace)))
    return table


def test_search_goes_by_the_calibrated_model_and_its_confidence(copy, capsys):
    published(copy)
    usual = hw_json(capsys, *WORDS, copy, "--budget", "60%")
    assert (usual["model"], usual["confidence"], usual["networks"]) == ("calibrated", 0.95, 40)
    assert hw_json(capsys, *WORDS, copy, "--budget", "60%", "--confidence", "0.95")["budgets"] == usual["budgets"]
    (bold,) = hw_json(capsys, *WORDS, copy, "--budget", "60%", "--confidence", "0.5")["budgets"]
    (row,) = usual["budgets"]
    assert bold["predicted_hi_ms"] / bold["predicted_ms"] < row["predicted_hi_ms"] / row["predicted_ms"]
    assert row["trusted"]
    code, out, _ = hw(capsys, *WORDS, copy, "--budget", "60%")
    assert code == 0
    assert "latency by the calibrated model: block times corrected by 40 whole networks; at most: with a confidence of 95%" in out
    assert "outside of what was measured" not in out


def test_search_says_where_networks_were_too_few(copy, capsys):
    found = hw_json(capsys, *WORDS, copy, "--budget", "60%")
    assert (found["model"], found["networks"]) == ("additive", 6)
    assert found["confidence"] == pytest.approx(6 / 7)
    assert "only 6 whole networks are measured, the calibrated one needs 19" in hw(capsys, *WORDS, copy, "--budget", "60%")[1]
    code, out, err = hw(capsys, *WORDS, copy, "--budget", "60%", "--confidence", "0.95")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "toy/litert: 6 held-out networks cannot bound a share of 0.95; measure 13 more" in err


@pytest.mark.parametrize("wrong", ["0", "1", "95", "-0.5", "nan", "inf", "high", ""])
def test_a_confidence_that_is_none_is_one_line_whatever_else_is_wrong(copy, capsys, wrong):
    for path in (copy / "runs" / "predictors" / "latency" / "toy").glob("*"):
        path.unlink()
    code, out, err = hw(capsys, *WORDS, copy, "--budget", "60%", f"--confidence={wrong}")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "confidence" in err


def test_a_subnet_outside_of_what_was_measured_is_flagged_with_what_to_do(copy, capsys):
    """Only the quickest networks were measured; a large budget leads beyond them."""
    published(copy, networks=160, quick=0.125)
    asked = (*WORDS, copy, "--budget", "100ms", "--strategy", "linearised")
    found = hw_json(capsys, *asked)
    assert [row["trusted"] for row in found["budgets"]] == [False]
    code, out, _ = hw(capsys, *asked)
    assert code == 0
    assert "100ms: this subnet lies outside of what was measured on the device, where no bound holds; export it and have it timed" in out


def test_predict_names_the_same_model_and_its_bound(copy, capsys):
    table = published(copy)
    write_table(table, copy / "latency_tables")
    space = stored_space(Workspace.open(copy))
    model = chosen_latency(table, space)
    _, largest = family_of(space).extremes(space)
    found = hw_json(capsys, "predict", "largest", "--device", "toy", "-w", copy)
    assert (found["model"], found["confidence"], found["networks"]) == ("calibrated", 0.95, 40)
    assert found["predicted_ms"] == model.predict(largest.codes).mean[0]
    assert found["at_most_ms"] == model.upper(largest.codes)[0]
    assert found["trusted"] == (not model.outside(largest.codes)[0])
    out = hw(capsys, "predict", "largest", "--device", "toy", "-w", copy)[1]
    assert "calibrated model: block times corrected by 40 whole networks" in out
    assert "with a confidence of 95%" in out
    bold = hw_json(capsys, "predict", "largest", "--device", "toy", "--confidence", "0.5", "-w", copy)
    assert bold["confidence"] == 0.5
    assert bold["at_most_ms"] == model.at(0.5).upper(largest.codes)[0] < found["at_most_ms"]


@pytest.mark.parametrize(
    ("networks", "confidence", "words"),
    [
        (40, "1.5", "the confidence of an interval must be between 0 and 1, not 1.5"),
        (40, "0.99", "toy/litert: 40 held-out networks cannot bound a share of 0.99; measure 59 more"),
        (0, "0.9", "nothing bounds a sum of blocks without measured whole networks"),
    ],
)
def test_predict_refuses_a_confidence_that_it_cannot_give(copy, capsys, networks, confidence, words):
    table = known(copy)
    kept = dict(list(table.networks.items())[:networks])
    write_table(replace(table, networks=kept), copy / "latency_tables")
    code, out, err = hw(capsys, "predict", "largest", "--device", "toy", "--confidence", confidence, "-w", copy)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert words in err


def test_predict_flags_what_lies_outside(copy, capsys):
    write_table(known(copy, networks=160, quick=0.125), copy / "latency_tables")
    assert hw_json(capsys, "predict", "largest", "--device", "toy", "-w", copy)["trusted"] is False
    assert "time it before you rely on this" in hw(capsys, "predict", "largest", "--device", "toy", "-w", copy)[1]


def test_a_table_is_shown_with_its_audit(copy, capsys):
    table = known(copy)
    path = write_table(table, copy / "latency_tables")
    (shown,) = hw_json(capsys, "table", "show", path, "-w", copy)
    assert shown["additivity"].startswith("the table adds up: 100% of 40 networks are within 10 % of the scaled sum of their blocks")
    times = {key: network.measurement.samples_ms for key, network in table.networks.items()}
    odd = {key: tuple(0.6 * ms for ms in own) if place % 2 else own for place, (key, own) in enumerate(times.items())}
    fused = {key: replace(each, measurement=replace(each.measurement, samples_ms=odd[key])) for key, each in table.networks.items()}
    path = write_table(replace(table, networks=fused), copy / "latency_tables")
    said = hw(capsys, "table", "show", path, "-w", copy)[1]
    assert "the table does not add up" in said
    assert "the backend may fuse across blocks, the calibrated model takes over" in said
    write_table(replace(table, networks={}), copy / "elsewhere")
    bare = stored_at(table, copy / "elsewhere")
    assert hw_json(capsys, "table", "show", bare, "-w", copy)[0]["additivity"] == "not known: no whole network was measured"
    (homeless,) = hw_json(capsys, "table", "show", path, "-w", copy / "elsewhere")
    assert homeless["additivity"].startswith("not known: what its whole networks are")


def test_a_profile_is_summed_up_with_model_and_audit(copy, capsys):
    for row in hw_json(capsys, "profile", "toy", "-w", copy, "-q"):
        assert row["model"] == "additive model: only 6 whole networks are measured, the calibrated one needs 19"
        assert "6 networks are within 10 % of the scaled sum of their blocks" in row["additivity"]
    out = hw(capsys, "profile", "toy", "--runtime", "litert", "-w", copy, "-q")[1]
    assert "toy/litert fp32: the table adds up" in out
    assert "only 6 whole networks are measured" in out


def test_a_run_flags_what_lies_outside_and_lets_the_measured_time_count(copy, capsys, monkeypatch):
    monkeypatch.setattr(TrustedLatency, "outside", lambda self, codes: np.ones(len(codes), dtype=bool))
    assert {row["trusted"] for row in hw_json(capsys, "run", "-w", copy, "-q")["targets"]} == {False}
    out = hw(capsys, "run", "-w", copy, "-q")[1]
    assert out.count("this subnet lies outside of what was measured on the device, where no bound holds; the measured time counts") == 4
