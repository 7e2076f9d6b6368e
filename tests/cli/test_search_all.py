"""``hwnas search --all``: all recipes in one run; one that fails holds up no other."""

import json

import pytest

from tests.cli.test_commands import hw, hw_json, snapshot


def test_every_recipe_and_budget_is_answered_as_alone(capsys, copy):
    answers = hw_json(capsys, "search", "--all", "-w", copy)
    assert [a["recipe"] for a in answers] == ["toy-litert", "toy-onnxruntime"]
    for found in answers:
        assert (found["error"], found["exit_code"]) == (None, 0)
        assert [row["budget"] for row in found["budgets"]] == ["50%", "90%"]
        words = ("--device", found["device"], "--runtime", found["runtime"], "--budget", "50%", "--budget", "90%")
        alone = hw_json(capsys, "search", *words, "-w", copy)
        assert [row["arch"] for row in alone["budgets"]] == [row["arch"] for row in found["budgets"]]
    code, out, _ = hw(capsys, "search", "--all", "-w", copy)
    assert code == 0
    assert out.count("toy/litert fp32") == 2


def test_a_recipes_own_limits_hold(capsys, copy):
    recipe = copy / "export" / "recipes" / "toy-litert.toml"
    recipe.write_text(recipe.read_text() + '\n[limits]\nsize = "60%"\n')
    found = {each["recipe"]: each for each in hw_json(capsys, "search", "--all", "--trials", "300", "-w", copy)}
    assert all(set(row["limited"]) == {"size"} for row in found["toy-litert"]["budgets"])
    assert all(row["limited"] == {} for row in found["toy-onnxruntime"]["budgets"])


def test_strategy_limits_and_seed_hold_for_all(capsys, copy):
    words = ("search", "--all", "--strategy", "linearised", "--trials", "400", "--seed", "7", "--limit", "params=85%", "-w", copy)
    for found in hw_json(capsys, *words):
        assert (found["strategy"], found["trials"], found["seed"], found["limits"]) == ("linearised", 400, 7, ["params=85%"])
        assert all("params" in row["limited"] for row in found["budgets"])


def test_one_that_fails_holds_up_no_other(capsys, copy):
    recipe = copy / "export" / "recipes" / "toy-litert.toml"
    recipe.write_text(recipe.read_text().replace('"50%"', '"1us"'))
    code, out, err = hw(capsys, "search", "--all", "-w", copy, "--json")
    assert code == 6
    failed, found = json.loads(out)
    assert (failed["recipe"], failed["device"], failed["exit_code"]) == ("toy-litert", "toy", 6)
    assert "the quickest needs" in failed["error"]
    assert failed["error"] in " ".join(err.split())
    assert found["budgets"]
    # two that fail are a line each, and the exit code is the highest
    for path in (copy / "runs" / "predictors" / "latency" / "toy").glob("onnxruntime-*"):
        path.unlink()
    code, out, err = hw(capsys, "search", "--all", "-w", copy)
    assert (code, out) == (6, "")
    lines = err.strip().split("\n")
    assert len(lines) == 2
    assert "toy-onnxruntime" in lines[1]


@pytest.mark.parametrize(
    "words", [("--device", "toy"), ("--runtime", "litert"), ("--budget", "60%"), ("--threads", "2"), ("--regime", "typical")]
)
def test_what_recipes_say_is_not_said_again(capsys, copy, words):
    before = snapshot(copy)
    code, out, err = hw(capsys, "search", "--all", *words, "-w", copy)
    assert (code, out) == (2, "")
    assert "--all takes devices, runtimes, precisions and budgets from the recipes" in err
    for path in (copy / "export" / "recipes").glob("*.toml"):
        path.unlink()
    code, _, err = hw(capsys, "search", "--all", "-w", copy)
    assert code == 2
    assert "no recipes" in err
    assert set(snapshot(copy)) <= set(before)
