"""`hwnas ci` on a pretended device: what ships, what does not and why, and that files run without us."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from hwnas.cli.main import call
from hwnas.core.errors import Unreachable
from hwnas.core.result import Artifact
from hwnas.core.serial import parse, sha256_file
from hwnas.data.preprocessing import Preprocessing
from hwnas.export.exporter import exporter_for
from hwnas.export.manifest import check_manifest
from hwnas.pipeline.context import Context
from hwnas.workspace import Workspace

RECIPES = [("toy-onnxruntime", "onnxruntime", "run_onnx.py"), ("toy-litert", "litert", "run_tflite.py")]


def hw(workspace, *words, capsys=None):
    code = call(["ci", "-w", str(workspace), "-q", *words])
    return code if capsys is None else (code, capsys.readouterr())


def sums_hold(folder):
    lines = (folder / "SHA256SUMS").read_text().splitlines()
    listed = {name: digest for digest, name in (line.split("  ", 1) for line in lines)}
    there = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()} - {"SHA256SUMS"}
    return listed.keys() == there and all(sha256_file(folder / name) == digest for name, digest in listed.items())


@pytest.fixture(scope="module")
def released(finished, tmp_path_factory):
    """A workspace with everything shipped; tests that change it take `shipped`."""
    root = shutil.copytree(finished[0], tmp_path_factory.mktemp("released") / "ws")
    assert hw(root) == 0
    return root


@pytest.fixture
def shipped(released, tmp_path):
    return shutil.copytree(released, tmp_path / "shipped")


def test_what_ships_is_whole_and_verifies(shipped, capsys):
    dist = shipped / "dist"
    assert sums_hold(dist)
    manifests = sorted(dist.glob("*/*/manifest.json"))
    assert len(manifests) == 4
    for path in manifests:
        assert check_manifest(path).verdict == "ok"
        assert "MODEL_CARD.md" in {p.name for p in path.parent.iterdir()}
    assert ElementTree.parse(dist / "junit.xml").getroot().get("failures") == "0"
    assert (dist / "summary.md").read_text().startswith("# hwnas: 4 ok")
    assert "no baseline" in (dist / "summary.md").read_text()
    assert call(["verify", str(manifests[0].parent), "-w", str(shipped), "--no-timing"]) == 0
    with (manifests[0].parent / "labels.txt").open("a") as file:
        file.write("x")
    assert call(["verify", str(manifests[0].parent), "-w", str(shipped), "--no-timing"]) == 5


def test_accepted_figures_are_held_to(shipped, capsys, monkeypatch, tmp_path):
    assert hw(shipped, "--accept") == 0
    baselines = sorted((shipped / "export" / "baselines").glob("*.json"))
    assert [path.stem for path in baselines] == ["toy-litert", "toy-onnxruntime"]
    assert hw(shipped) == 0
    assert "no baseline" not in (shipped / "dist" / "summary.md").read_text()
    document = json.loads(baselines[0].read_text())
    first = min(document["targets"])
    document["targets"][first] |= {"measured_ms": 0.01, "measured_ci_ms": [0.009, 0.011], "size_bytes": 10}
    baselines[0].write_text(json.dumps(document))
    page = tmp_path / "step.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(page))
    capsys.readouterr()
    code, said = hw(shipped, "--json", capsys=capsys)
    assert code == 7
    bad = [case for case in json.loads(said.out) if case["verdict"] != "ok"]
    assert [(case["recipe"], case["budget"], case["verdict"]) for case in bad] == [("toy-litert", first, "regression")]
    assert "latency" in bad[0]["message"]
    assert "size" in bad[0]["message"]
    assert page.read_text().startswith("# hwnas: 1 of 4 not ok")
    assert len(list((shipped / "dist").glob("*/*/manifest.json"))) == 3, "what got worse does not ship"


def test_one_recipe_that_fails_hides_no_other_and_baselines_stay(copy, pretend, monkeypatch):
    recipe = copy / "export" / "recipes" / "toy-onnxruntime.toml"
    recipe.write_text(recipe.read_text().replace('["50%", "90%"]', '["0.000001ms"]'))
    assert hw(copy, "--accept") == 6
    assert [path.stem for path in (copy / "export" / "baselines").glob("*.json")] == ["toy-litert"]
    root = ElementTree.parse(copy / "dist" / "junit.xml").getroot()
    assert (root.get("tests"), root.get("errors")) == ("3", "1")
    assert len(list((copy / "dist").glob("toy-litert/*/manifest.json"))) == 2
    assert sums_hold(copy / "dist")


def test_a_missed_budget_is_exit_code_4_and_ships_nothing(copy, pretend, monkeypatch):
    monkeypatch.setattr(pretend.PretendChannel, "slow_files", 30.0)
    for folder in (copy / "runs" / "stages").glob("verify-*"):
        shutil.rmtree(folder)
    assert hw(copy) == 4
    assert not list((copy / "dist").glob("*/*/manifest.json"))
    assert "over-budget" in (copy / "dist" / "findings.sarif").read_text()


def test_a_folder_with_other_things_is_not_replaced(copy, capsys):
    (copy / "mine").mkdir()
    (copy / "mine" / "thesis.txt").write_text("years of work")
    code, said = hw(copy, "--out", str(copy / "mine"), capsys=capsys)
    assert (code, said.out) == (2, "")
    assert "no folder of an earlier" in said.err
    assert (copy / "mine" / "thesis.txt").read_text() == "years of work"
    assert not (copy / "mine.part").exists()


def test_a_torn_baseline_stops_before_any_work(copy, capsys):
    path = copy / "export" / "baselines" / "toy-litert.json"
    path.parent.mkdir()
    path.write_text("{")
    code, said = hw(copy, capsys=capsys)
    assert code == 2
    assert "toy-litert.json: is not JSON" in said.err
    assert not (copy / "dist").exists()


@pytest.mark.parametrize("pillow", [True, False])
@pytest.mark.parametrize(("recipe", "runtime", "script"), RECIPES)
def test_a_file_classifies_an_image_without_us(released, tmp_path, pillow, recipe, runtime, script):
    """With Pillow, or with numpy alone where it is missing."""
    ctx = Context(Workspace.open(released))
    (folder, *_) = sorted((released / "dist" / recipe).iterdir())
    for number, pixels in enumerate(np.asarray(ctx.dataset.images("test", 28))[:3, 0]):
        path = tmp_path / f"{number}.png"
        Image.fromarray(pixels).save(path)
        command = [sys.executable, str(folder / script), str(path)]
        if not pillow:
            start = f"import runpy, sys; sys.modules['PIL'] = None; sys.path[0] = {str(folder)!r}; sys.argv = sys.argv[1:]; "
            command[1:1] = ["-c", start + "runpy.run_path(sys.argv[0], run_name='__main__')"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[0].split("%  ")[1] == expected(ctx, folder, runtime, pixels)


def expected(ctx, folder, runtime, pixels):
    """The class that the product itself finds with the same file."""
    (model,) = [p for p in folder.iterdir() if p.name in ("model.onnx", "model.tflite")]
    steps = parse(Preprocessing, json.loads((folder / "preprocessing.json").read_text()), where="steps")
    small = np.asarray(Image.fromarray(pixels).resize((steps.size, steps.size), Image.Resampling.BILINEAR))[None, None]
    x = replace(steps, layout="NCHW").normalise(small)
    (logits,) = exporter_for(runtime).run(Artifact(str(model), sha256_file(model), runtime, "fp32", ""), x)
    return ctx.dataset.class_names[int(np.argmax(logits[0]))]


def test_a_wrong_image_is_one_line(released, tmp_path):
    (folder, *_) = sorted((released / "dist" / "toy-onnxruntime").iterdir())
    (tmp_path / "x.png").write_bytes(b"no image")
    done = subprocess.run(
        [sys.executable, str(folder / "run_onnx.py"), str(tmp_path / "x.png")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


@pytest.fixture
def away(pretend, monkeypatch):
    """The device is switched off; the list has a word for each time that it was looked for."""
    looked: list[str] = []

    def launch(self):
        looked.append(self.device.id)
        raise Unreachable("toy: no answer; is it switched on?")

    monkeypatch.setattr(pretend.PretendLauncher, "launch", launch)
    return looked


def forget_timings(root):
    for folder in (root / "runs" / "stages").glob("verify-*"):
        shutil.rmtree(folder)


def accept_tables(root, runtime):
    assert call(["table", "accept", "toy", "--runtime", runtime, "-w", str(root)]) == 0


def test_a_device_that_is_away_leaves_files_unmeasured(copy, away, capsys):
    """By its accepted table the subnets are found; nothing ships, and the verdict says why."""
    accept_tables(copy, "onnxruntime")
    forget_timings(copy)
    capsys.readouterr()
    code, said = hw(copy, "--json", capsys=capsys)
    cases = json.loads(said.out)
    assert code == 3
    assert {case["verdict"] for case in cases} == {"unmeasured"}
    assert all("is it switched on" in case["message"] and "table toy" in case["message"] for case in cases)
    assert "accepted table" in next(case["message"] for case in cases if case["recipe"] == "toy-onnxruntime")
    assert said.err.count("NOT MEASURED") == 2, "loud, and once a recipe"
    assert len(away) == 2, "one look a recipe: who is away is not waited for again"
    assert all(case["row"]["measured_ms"] is None and case["row"]["predicted_ms"] > 0 for case in cases)
    assert not list((copy / "dist").glob("*/*/manifest.json"))
    assert sums_hold(copy / "dist")
    assert hw(copy, "--accept") == 3
    assert not list((copy / "export" / "baselines").glob("*.json")), "what was not measured is not accepted"


def test_a_recipe_may_allow_what_is_not_measured(copy, away, monkeypatch):
    for path in (copy / "export" / "recipes").glob("*.toml"):
        path.write_text(f"allow_unmeasured = true\n{path.read_text()}")
    forget_timings(copy)
    assert hw(copy) == 0
    manifests = sorted((copy / "dist").glob("*/*/manifest.json"))
    assert len(manifests) == 4
    for path in manifests:
        manifest = check_manifest(path)
        assert manifest.latency is not None
        assert (manifest.verdict, manifest.latency.measured_ms, manifest.attempts) == ("unmeasured", None, ())
        assert "**not measured**" in (path.parent / "MODEL_CARD.md").read_text()
        assert not list(path.parent.glob("*.int8.*")), "a file beside that was not timed does not ship"
    assert (copy / "dist" / "summary.md").read_text().startswith("# hwnas: 4 ok, 4 **unmeasured**")
    assert "NOT MEASURED, as the recipe allows" in (copy / "dist" / "summary.md").read_text()
    monkeypatch.undo()
    assert hw(copy) == 0
    assert {check_manifest(path).verdict for path in manifests} == {"ok"}, "measured as soon as the device is back"


def test_a_device_without_tables_that_is_away_is_an_error_of_its_recipes(copy, away, capsys):
    for folder in (copy / "runs" / "stages").glob("profile-*"):
        shutil.rmtree(folder)
    code, said = hw(copy, "--json", capsys=capsys)
    assert code == 3
    assert [(c["recipe"], c["verdict"], c["row"]) for c in json.loads(said.out)] == [
        ("toy-litert", "Unreachable", None),
        ("toy-onnxruntime", "Unreachable", None),
    ]


HEAVY = ["torch", "onnx", "onnxruntime", "ai_edge_litert", "sklearn", "scipy"]


def test_where_nothing_changed_nothing_is_built_or_loaded(shipped, pretend):
    """In a process of its own: what it imported is asked at its end. Every byte that ships is the same."""
    before = {p.name: sha256_file(p) for p in (shipped / "dist").glob("*/*/*")}
    code = (
        "import sys\nfrom tests.rig import pretend\nfrom hwnas.cli.main import call\n"
        f"code = call(['ci', '-w', {str(shipped)!r}])\nprint(sorted(set({HEAVY!r}) & set(sys.modules)), code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[] 0"
    assert done.stderr.count("nothing changed, reused") == 2
    assert {p.name: sha256_file(p) for p in (shipped / "dist").glob("*/*/*")} == before


def change(root, what):
    recipe = root / "export" / "recipes" / "toy-litert.toml"
    if what == "recipe":
        recipe.write_text(recipe.read_text().replace('"90%"', '"80%"'))
    elif what == "artifact":
        for path in root.glob("runs/*/artifacts/toy-litert/50pct/labels.txt"):
            path.write_text("other\n")
    elif what == "table":
        accept_tables(root, "litert")
    elif what == "memory":
        for path in (root / "runs" / "recipes").glob("toy-litert*"):
            path.write_text("{")
    else:
        forget_timings(root)


@pytest.mark.parametrize("changed", ["recipe", "artifact", "table", "memory", "timings"])
def test_what_changed_is_gone_through_again(shipped, pretend, capsys, changed):
    change(shipped, changed)
    capsys.readouterr()
    assert call(["ci", "-w", str(shipped)]) == 0
    said = capsys.readouterr().err
    assert "recipe toy-litert: nothing changed" not in said
    assert ("recipe toy-onnxruntime: nothing changed" in said) == (changed != "timings")
    assert sums_hold(shipped / "dist")


def test_timings_of_other_files_change_nothing(shipped, pretend, capsys):
    """Recipes of one device share a journal, which only grows."""
    for path in (shipped / "runs" / "stages").glob("verify-*/journal.jsonl"):
        with path.open("a") as file:
            file.write('{"kind":"timing","conditions":"another","key":"file:0"}\n')
    capsys.readouterr()
    assert call(["ci", "-w", str(shipped)]) == 0
    assert capsys.readouterr().err.count("nothing changed, reused") == 2


def test_data_that_cannot_be_read_is_an_error_of_every_recipe(copy, capsys):
    config = copy / "hwnas.toml"
    config.write_text(config.read_text().replace('"fashion-mnist"', '"gone.npz"'))
    code, said = hw(copy, "--json", capsys=capsys)
    assert code == 2
    assert {(case["verdict"], case["exit_code"]) for case in json.loads(said.out)} == {("DataError", 2)}
    assert (copy / "dist" / "junit.xml").is_file()
