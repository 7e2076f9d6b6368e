"""Constraints beside latency, as a user gives them to ``hwnas search``."""

import json
from pathlib import Path

import pytest

from tests.cli.test_commands import hw, hw_json, snapshot

WORDS = ("search", "--device", "toy", "--runtime", "litert", "--budget", "90%")


@pytest.mark.parametrize("strategy", ["evolution", "linearised"])
def test_limits_are_kept_and_told(capsys, copy, strategy):
    limits = ("--limit", "params=80%", "--limit", "peak_memory=90%", "--limit", "toy/onnxruntime=95%")
    found = hw_json(capsys, *WORDS, *limits, "-w", copy, "--strategy", strategy)
    rows = {row["name"]: row for row in found["preflight"]["rows"]}
    assert set(rows) == {"toy/litert", "params", "peak_memory", "toy/onnxruntime"}
    (best,) = found["budgets"]
    assert set(best["limited"]) == {"params", "peak_memory", "toy/onnxruntime"}
    for name, used in best["limited"].items():
        assert rows[name]["minimum"] <= used <= rows[name]["at_most"]
    assert 0 < found["preflight"]["together"][0] <= min(row["share"] for row in rows.values())
    points = json.loads(Path(found["front_file"]).read_text())["points"]
    assert best["arch"] in {point["arch"] for point in points}
    code, out, _ = hw(capsys, *WORDS, *limits, "-w", copy, "--strategy", strategy)
    assert code == 0
    assert "feasible" in out
    assert "all together, by budget: 90%: " in out
    assert "90%: params " in out


def test_the_worst_of_two_runtimes_keeps_the_budget_on_both(capsys, copy):
    both = hw_json(capsys, *WORDS, "--limit", "toy/onnxruntime", "-w", copy)["budgets"][0]
    for runtime in ("litert", "onnxruntime"):
        predicted = hw_json(capsys, "predict", both["arch"], "--device", "toy", "--runtime", runtime, "-w", copy)
        largest = hw_json(capsys, "search", "--device", "toy", "--runtime", runtime, "--budget", "90%", "-w", copy)
        assert predicted["at_most_ms"] <= largest["budgets"][0]["budget_ms"]


@pytest.mark.parametrize(
    ("limit", "code", "message"),
    [
        ("params=1k", 6, "params: no architecture of space 'tiny-32' needs at most 1 k; the smallest needs "),
        ("toy/litert=1us", 6, "toy/litert: no architecture of space 'tiny-32' needs at most 0.0010 ms; the smallest needs "),
        ("parms=1k", 2, "unknown limit 'parms'; did you mean 'params'?"),
        ("toyy/litert=1ms", 2, "did you mean 'toy'?"),
        ("toy/lite=1ms", 2, "did you mean 'litert'?"),
        ("params=0", 2, "must be a finite number above 0"),
    ],
)
def test_limits_that_cannot_be_are_one_line_and_nothing_is_written(capsys, copy, limit, code, message):
    before = snapshot(copy)
    found, out, err = hw(capsys, *WORDS, "--limit", limit, "-w", copy)
    assert (found, out) == (code, "")
    assert message in " ".join(err.split())
    assert len(err.strip().split("\n")) == 1
    assert snapshot(copy) == before
