"""``hwnas explain`` on a finished workspace."""

import json

import pytest

from tests.cli.test_commands import hw, hw_json, snapshot

WHERE = ("--device", "toy", "--runtime", "litert")


def test_the_best_of_a_search_beat_all_neighbours_that_fit(capsys, copy):
    found = hw_json(capsys, "search", *WHERE, "--budget", "60%", "--strategy", "linearised", "--trials", "4000", "-w", copy)["budgets"][0]
    why = hw_json(capsys, "explain", found["arch"], *WHERE, "--budget", "60%", "-w", copy)
    assert why["fits"]
    for name in ("budget_ms", "accuracy", "predicted_ms"):
        assert why[name] == pytest.approx(found[name], rel=1e-12)
    assert why["neighbours"]["better"] == 0
    assert why["neighbours"]["beaten"] + why["neighbours"]["over"] == len(why["effects"]) > 0
    assert {effect["choice"] for effect in why["effects"]} <= set(found["choices"])
    assert all(worth["latency_ms"] > 0 for worth in why["worths"])
    accuracies = [point["accuracy"] for point in why["front"]]
    assert len(accuracies) == 8
    assert accuracies == sorted(accuracies)
    assert all(point["predicted_hi_ms"] <= point["budget_ms"] * (1 + 1e-9) for point in why["front"])


def test_without_a_budget_neighbours_are_held_to_the_subnets_own_time(capsys, copy):
    why = hw_json(capsys, "explain", "smallest", *WHERE, "-w", copy)
    assert why["budget_ms"] == why["predicted_hi_ms"]
    code, out, _ = hw(capsys, "explain", "largest", *WHERE, "--neighbours", "--limit", "params=50%", "-w", copy)
    assert code == 0
    for words in ("what each choice is worth", "neighbours", "the front's choices by budget", "which it misses", "over"):
        assert words in out


def test_choices_as_json_are_explained_too(capsys, copy):
    why = hw_json(capsys, "explain", "largest", *WHERE, "-w", copy)
    assert hw_json(capsys, "explain", json.dumps(why["choices"]), *WHERE, "-w", copy)["arch"] == why["arch"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("ffff0000", *WHERE), "no subnet 'ffff0000'"),
        (("largest", "--device", "tyo", "--runtime", "litert"), "did you mean 'toy'?"),
        (("largest", *WHERE, "--budget", "3"), "a number above 0 with a unit"),
        (("largest", *WHERE, "--limit", "prams=3"), "did you mean 'params'?"),
    ],
)
def test_a_mistake_is_one_line(capsys, copy, words, message):
    before = snapshot(copy)
    code, out, err = hw(capsys, "explain", *words, "-w", copy)
    assert (code, out) == (2, "")
    assert message in " ".join(err.split())
    assert snapshot(copy) == before
