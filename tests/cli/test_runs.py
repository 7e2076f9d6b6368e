"""What searches leave: records that tables read, lists, comparisons, and searches that begin from earlier ones."""

import gzip
import json
from pathlib import Path

import pyarrow.json
import pytest

from tests.cli.test_commands import hw, hw_json, snapshot

LITERT = ("search", "--device", "toy", "--runtime", "litert", "--budget", "60%", "--budget", "90%")
ONNX = ("search", "--device", "toy", "--runtime", "onnxruntime", "--budget", "60%", "--budget", "90%")


def test_everything_that_was_evaluated_is_kept_and_read_as_a_table(capsys, copy):
    found = hw_json(capsys, *LITERT, "--strategy", "random", "--trials", "300", "-w", copy)
    path = Path(found["evaluated_file"])
    with gzip.open(path) as file:
        table = pyarrow.json.read_json(file)
    lines = table.to_pylist()
    assert [line["number"] for line in lines] == list(range(len(lines)))
    assert {line["run"] for line in lines} == {found["run"]}
    assert {(line["device"], line["runtime"], line["seed"], line["strategy"]) for line in lines} == {("toy", "litert", 1, "random")}
    assert len({line["arch"] for line in lines}) == len(lines)
    for row in found["budgets"]:
        fits = [line for line in lines if line["predicted_hi_ms"] <= row["budget_ms"] and line["kept"]]
        best = max(fits, key=lambda line: line["accuracy"])
        assert (best["accuracy"], best["predicted_ms"]) == (row["accuracy"], row["predicted_ms"])
    assert table.num_rows <= found["evaluated"]


def test_the_same_search_leaves_the_same_files(capsys, copy):
    first = hw_json(capsys, *LITERT, "-w", copy)
    files = [Path(first[name]) for name in ("evaluated_file", "front_file")]
    before = [path.read_bytes() for path in files]
    again = hw_json(capsys, *LITERT, "-w", copy)
    assert again["run"] == first["run"]
    assert [path.read_bytes() for path in files] == before
    assert hw_json(capsys, *LITERT, "--seed", "2", "-w", copy)["run"] != first["run"]
    # another predictor is another search, whatever is asked
    path = copy / "runs" / "predictors" / "accuracy.json"
    path.write_text(path.read_text().rstrip() + " \n")
    code, out, _ = hw(capsys, *LITERT, "-w", copy, "--json")
    assert code != 0 or json.loads(out)["run"] != first["run"]


def test_runs_are_listed_shown_and_compared(capsys, copy, finished):
    first = hw_json(capsys, *LITERT, "--strategy", "random", "--trials", "50", "-w", copy)
    second = hw_json(capsys, *LITERT, "--strategy", "linearised", "-w", copy)
    other = hw_json(capsys, *ONNX, "-w", copy)
    listed = hw_json(capsys, "runs", "list", "-w", copy)
    assert [r["kind"] for r in listed] == ["run", "search", "search", "search"]
    assert {r["run"] for r in listed} == {finished[1]["run"], first["run"], second["run"], other["run"]}
    shown = hw_json(capsys, "runs", "show", first["run"][:8], "-w", copy)
    assert (shown["seed"], shown["strategy"], shown["trials"]) == (1, "random", 50)
    assert set(shown["predictors"]) == {"toy/litert", "accuracy"}
    assert shown["budgets"] == first["budgets"]
    compared = hw_json(capsys, "runs", "compare", first["run"], second["run"], "-w", copy)
    assert compared["same_target"]
    for budget, then, now in zip(compared["budgets"], first["budgets"], second["budgets"], strict=True):
        own, better = budget["runs"]
        assert (own["accuracy_gained"], own["differs"]) == (0, {})
        assert better["accuracy_gained"] == now["accuracy"] - then["accuracy"] >= 0
        assert set(better["differs"]) == {
            n for n in {**then["choices"], **now["choices"]} if then["choices"].get(n) != now["choices"].get(n)
        }
    assert not hw_json(capsys, "runs", "compare", first["run"], other["run"], "-w", copy)["same_target"]
    for words, text in (
        (("list",), "linearised"),
        (("show", finished[1]["run"]), "verdict"),
        (("show", second["run"]), "predictors: accuracy"),
        (("compare", first["run"], other["run"]), "their times are not comparable"),
    ):
        code, out, _ = hw(capsys, "runs", *words, "-w", copy)
        assert code == 0
        assert text in out


def test_a_search_begins_from_an_earlier_one_of_another_runtime(capsys, copy):
    earlier = hw_json(capsys, *ONNX, "--strategy", "linearised", "-w", copy)
    points = json.loads(Path(earlier["front_file"]).read_text())["points"]
    warm = hw_json(capsys, *LITERT, "--strategy", "random", "--trials", "1", "--begin-from", earlier["run"][:6], "-w", copy)
    assert warm["begin"] == earlier["run"]
    with gzip.open(warm["evaluated_file"], "rt") as file:
        seen = {json.loads(line)["arch"] for line in file}
    assert {point["arch"] for point in points} <= seen


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("show", "nothing"), "no search 'nothing' is kept"),
        (("show", "abc"), "no search 'abc' is kept"),
        (("compare", "abcd"), "at least two searches"),
        (("compare", "abcd", "ef01"), "no search 'abcd' is kept"),
    ],
)
def test_a_run_that_is_none_is_one_line(capsys, copy, words, message):
    before = snapshot(copy)
    code, out, err = hw(capsys, "runs", *words, "-w", copy)
    assert (code, out) == (2, "")
    assert message in err
    assert len(err.strip().split("\n")) == 1
    code, _, err = hw(capsys, *LITERT, "--begin-from", "none", "-w", copy)
    assert code == 2
    assert "no search 'none'" in err
    assert snapshot(copy) == before


def test_files_that_are_torn_or_of_another_space_are_refused(capsys, copy):
    found = hw_json(capsys, *LITERT, "-w", copy)
    record = copy / "runs" / "search" / f"run-{found['run']}.json"
    values = json.loads(record.read_text())
    record.write_text(json.dumps({**values, "space_id": "0" * 16}))
    code, _, err = hw(capsys, *LITERT, "--begin-from", found["run"], "-w", copy)
    assert code == 2
    assert "is of another space" in err
    record.write_text(record.read_text()[:-40])
    code, _, err = hw(capsys, "runs", "list", "-w", copy)
    assert code == 2
    assert record.name in err
