"""``hwnas report`` on a finished workspace, on what an interruption leaves, and on files that are not as they should be."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
from functools import partial
from pathlib import Path

import pytest

from hwnas.core.errors import UnknownNameError
from hwnas.pipeline.kept import kept_searches
from hwnas.pipeline.reported.assembled import report_of
from hwnas.pipeline.reported.sources import find_sources
from hwnas.report.baseline import Baseline, accepted, path_of, write_baseline
from hwnas.report.page import document as module
from hwnas.report.page.items import Advice, Chart, Drawing, Grid, Missing
from hwnas.workspace import Workspace
from tests.cli.test_commands import REPOSITORY, environment, hw, hw_json, snapshot

LITERT = ("search", "--device", "toy", "--runtime", "litert", "--budget", "60%", "--budget", "90%", "--trials", "300")


@pytest.fixture(autouse=True)
def _no_library(monkeypatch):
    """Putting the library together takes seconds, and is the browser's test's."""
    monkeypatch.setattr(module, "javascript", lambda: "/* the library */")


@pytest.fixture
def light(finished, tmp_path):
    """A copy of the finished workspace with the run alone."""
    root, document = finished
    kept = ("hwnas.toml", "devices", "export", "runs/predictors", f"runs/{document['run']}")
    for name in kept:
        source, to = root / name, tmp_path / "light" / name
        to.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if source.is_dir() else shutil.copy)(source, to)
    return tmp_path / "light"


def items(root: Path, *names: str) -> dict[str, object]:
    """What a report of these is made of, by title."""
    report = report_of(find_sources(Workspace.open(root), names))
    return {item.title: item for section in report.sections for item in section.items}


def missing(found: dict[str, object]) -> dict[str, str]:
    return {title: item.reason for title, item in found.items() if isinstance(item, Missing)}


def test_a_finished_run_lacks_nothing(capsys, finished, tmp_path):
    root, document = finished
    before = snapshot(root)
    to = tmp_path / "out" / "r.html"
    written = hw_json(capsys, "report", document["run"][:6], "--out", to, "-w", root)
    assert written == [str(to)]
    assert snapshot(root) == before
    found = items(root)
    assert missing(found) == {}
    kinds = [type(item) for item in found.values()]
    assert kinds.count(Chart) >= 14
    assert kinds.count(Drawing) >= 2
    for title, item in found.items():
        assert title.split(":")[0] in to.read_text(), title
        if isinstance(item, (Chart, Grid)):
            assert item.rows
    for target in ("toy/litert fp32", "toy/onnxruntime fp32"):
        chart = found[f"Accuracy against latency: {target}"]
        assert {"evaluated", "front", "chosen, predicted", "chosen, measured", "budget"} == {row[0] for row in chart.data}
        measured = {row[2]: row[3] for row in chart.rows if row[0] == "chosen, measured"}
        rows = [row for row in document["targets"] if row["runtime"] == target.split("/")[1].split()[0]]
        assert measured == {row["measured_ms"]: 100 * row["accuracy_test"] for row in rows}
    assert len(found["Parity and 8-bit files"].rows) == len(document["targets"])
    assert isinstance(found["What to run next"], Advice)


def test_what_a_run_keeps_of_its_searches_is_what_it_chose_from(finished):
    root, document = finished
    searches = kept_searches(root / "runs" / document["run"])
    assert [search.asked["recipe"] for search in searches] == ["toy-litert", "toy-onnxruntime"]
    for search in searches:
        upper, accuracy = search.arrays["upper_ms"][search.front], search.arrays["accuracy"][search.front]
        assert (upper[1:] > upper[:-1]).all()
        assert (accuracy[1:] > accuracy[:-1]).all()
        assert len({tuple(code) for code in search.arrays["codes"].tolist()}) == len(search.arrays["codes"])


def test_a_run_of_an_older_version_says_what_it_lacks(light, finished):
    run = finished[1]["run"]
    shutil.rmtree(light / "runs" / run / "searches")
    said = missing(items(light, run))
    fronts = {f"The front and all that was evaluated: toy/{runtime} fp32" for runtime in ("litert", "onnxruntime")}
    assert set(said) == {*fronts, "Search"}
    assert all("kept no record of its search" in reason for reason in said.values())


def test_accepted_figures_stand_beside_and_a_broken_recipe_takes_only_them_away(light, finished):
    targets = {row["budget"]: accepted(row) for row in finished[1]["targets"] if row["runtime"] == "litert"}
    write_baseline(Baseline("toy-litert", "data", 100, targets), path_of(light, "toy-litert"))
    title = "Accuracy against latency: toy/litert fp32"
    drawn = [row for row in items(light)[title].rows if row[0] == "accepted before"]
    assert [row[1] for row in drawn] == [f"toy-litert {budget}" for budget in targets]
    (light / "export" / "recipes" / "toy-litert.toml").write_text("device = 3\n")
    found = items(light)
    assert "toy-litert.toml" in missing(found)["What was accepted before"]
    assert {row[0] for row in found[title].rows} >= {"evaluated", "front", "chosen, measured"}


def test_a_run_that_was_interrupted_shows_what_it_wrote(light, finished):
    run = finished[1]["run"]
    (light / "runs" / run / "result.json").unlink()
    (light / "runs" / run / "journal.jsonl").unlink()
    shutil.rmtree(light / "runs" / run / "tables")
    found = items(light, run)
    assert set(missing(found)) == {"Latency tables", "Noise", "Rejected samples", "Speed states", "Sessions on the device",
                                   "Heat of the latency tables"}  # fmt: skip
    assert len(found["Chosen for each budget"].rows) == 4
    shutil.rmtree(light / "runs" / run / "artifacts")
    said = missing(items(light, run))
    assert "was interrupted before it wrote a file" in said["Chosen for each budget"]


def test_a_stage_on_its_own_shows_its_timings(copy):
    stages = sorted((copy / "runs" / "stages").glob("profile-*"))
    journal = stages[0] / "journal.jsonl"
    (stages[0] / "done.json").unlink()
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:40]) + lines[40][:50])  # it is being written
    with pytest.raises(UnknownNameError, match="begins the ids of"):
        items(copy, "profile-")
    found = items(copy, stages[0].name)
    assert len(found["Timed so far, the newest first"].rows) == sum(json.loads(line)["kind"] == "timing" for line in lines[:40])
    assert "Noise: how sure each median is" in found
    train = next((copy / "runs" / "stages").glob("train-*"))
    assert re.search(r"of 2 epochs are done; the loss was \d", items(copy, train.name)["Loss on the labels"].text)


def test_searches_measure_nothing_and_say_so(capsys, copy):
    first = hw_json(capsys, *LITERT, "--strategy", "random", "-w", copy)["run"]
    second = hw_json(capsys, *LITERT, "--strategy", "linearised", "-w", copy)["run"]
    found = items(copy, first)
    said = missing(found)
    assert set(said) == {"Predicted against measured latency", "Parity and 8-bit files", "Quality of the profile"}
    assert "Search progress: toy/litert fp32 by random, seed 1" in found
    assert items(copy).keys() == items(copy, second).keys()  # the latest
    beside = items(copy, first, second)
    assert {row[0] for row in beside["Runs side by side: toy/litert fp32"].rows} == {first, second}
    assert len(beside["Gained and lost"].rows) == 2


def test_a_search_that_is_under_way_shows_its_best_so_far(light):
    path = light / "runs" / "search" / "watch-0123456789abcdef.jsonl"
    path.parent.mkdir()
    path.write_text('{"evaluated": 256, "best": {"60%": 0.5}}\n{"evaluated": 512, "best": {"60%": 0.6}}\n{"evalu')
    found = items(light, "01234567")
    assert found["Progress of the search"].rows == [("60%", 256, 50.0), ("60%", 512, 60.0)]
    path.write_text('{"evaluated": "many"}\n')
    assert "another shape" in missing(items(light, "01234567"))["Progress of the search"]


@pytest.mark.slow
def test_figures_beside_the_report(capsys, copy, finished, tmp_path):
    code, out, _ = hw(capsys, "report", finished[1]["run"], "--out", tmp_path / "r.html", "--figures", tmp_path / "f", "-w", copy)
    assert code == 0
    assert "MB" in out
    suffixes = {path.suffix for path in (tmp_path / "f").iterdir()}
    assert suffixes == {".csv", ".png", ".svg"}


HOSTILE = '<script>alert("x")</script>' + "n" * 10_000


def test_hostile_names_and_edited_files_are_shown_as_text_and_never_crash(capsys, light, finished, tmp_path):
    run = light / "runs" / finished[1]["run"]
    result = json.loads((run / "result.json").read_text())
    for row in result["targets"]:
        row["device"] = HOSTILE
    (run / "result.json").write_text(json.dumps(result))
    to = tmp_path / "r.html"
    assert hw(capsys, "report", run.name, "--out", to, "-w", light)[0] == 0
    text = to.read_text()
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(&#34;x&#34;)&lt;/script&gt;" in text


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("result.json", "{"),
        ("result.json", "[]"),
        ("result.json", '{"run": 1, "seconds": "x", "targets": [{}]}'),
        ("result.json", '{"run": "a", "seconds": 1, "targets": 3}'),
        ("journal.jsonl", "not a record\n"),
        ("journal.jsonl", '{"kind": "timing", "regimes": 3}\n{"kind": "session"}\n'),
        ("searches/toy-litert.json", "[]"),
        ("searches/toy-litert.npz", "torn"),
    ],
)
def test_files_that_are_torn_or_of_another_shape_are_told_in_their_place(capsys, light, finished, tmp_path, name, content):
    run = light / "runs" / finished[1]["run"]
    (run / name).write_text(content)
    to = tmp_path / "r.html"
    code, _, err = hw(capsys, "report", run, "--out", to, "-w", light)
    assert code == 0, err
    assert "Not shown: " in to.read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("nothing",), "no run, search or stage 'nothing' is kept"),
        (("abc",), "no run, search or stage 'abc' is kept"),
        (("x" * 10_000,), "no run, search or stage 'xxx"),
        (("--out", "report.pdf"), "a report is an HTML file"),
        (("--serve", "nothing"), "no run, search or stage 'nothing' is kept"),
    ],
)
def test_what_cannot_be_reported_is_one_line(capsys, light, words, message):
    before = snapshot(light)
    code, out, err = hw(capsys, "report", *words, "-w", light)
    assert (code, out) == (2, "")
    assert message in err
    assert len(err.strip().split("\n")) == 1
    assert snapshot(light) == before


def test_an_empty_workspace_has_nothing_to_report(capsys, workspace):
    code, _, err = hw(capsys, "report", "-w", workspace)
    assert code == 2
    assert "'hwnas run' makes one" in err


@pytest.mark.slow
def test_a_live_report_follows_what_is_written_and_ends_with_ctrl_c_by_one_line(copy):
    command = [sys.executable, "-m", "hwnas", "report", "--serve", "-w", str(copy)]
    heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # a test that runs in the background may have inherited deafness to it
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(command, cwd=REPOSITORY, env=environment(), text=True, preexec_fn=heard, **pipes)
    try:
        assert process.stdout is not None
        link = process.stdout.readline().strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/[\w-]{32}/", link)

        def news() -> dict:
            with urllib.request.urlopen(f"{link}state?version=", timeout=30) as answer:
                return json.load(answer)

        folder = copy / "runs" / "stages" / "train-0123456789abcdef"
        folder.mkdir()
        for step in (1, 2):
            with (folder / "progress.jsonl").open("a") as file:
                file.write(json.dumps({"epoch": step / 2, "epochs": 3, "loss": 2.0 / step}) + "\n")
            found = news()
            assert folder.name in found["body"]
            assert len(found["charts"]["chart-01"]["rows"]) == step
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
        assert (process.returncode, out) == (0, "")
        assert err.strip().split("\n")[-1] == "stopped; the report is served no more"
        assert len(err.strip().split("\n")) == 2
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
