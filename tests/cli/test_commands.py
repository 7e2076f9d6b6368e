"""Every command on a small finished workspace, as a user types it: what it prints, what it exits with, what it leaves alone."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hwnas.cli.main import call
from hwnas.core.serial import sha256_file

REPOSITORY = Path(__file__).parents[2]


def hw(capsys, *arguments):
    """Exit code, stdout and stderr of one command."""
    code = call([str(a) for a in arguments])
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    return code, captured.out, captured.err


def hw_json(capsys, *arguments):
    code, out, err = hw(capsys, *arguments, "--json")
    assert code == 0, err
    return json.loads(out.strip().split("\n")[-1])


def snapshot(root):
    return {p.relative_to(root): p.stat().st_mtime_ns for p in root.rglob("*") if p.is_file()}


def test_spaces(capsys):
    listed = hw_json(capsys, "spaces", "list")
    assert {entry["name"] for entry in listed} >= {"ofa-w1.0", "ofa-w1.2", "tiny-32"}
    shown = hw_json(capsys, "spaces", "show", "ofa-w1.0")
    # Cai et al. 2020 count (9^2 + 9^3 + 9^4)^5 for the five stages; 25 resolutions here
    assert shown["architectures"] == 25 * (9**2 + 9**3 + 9**4) ** 5
    code, out, _ = hw(capsys, "spaces", "show", "tiny-32")
    assert code == 0
    assert "blocks to measure" in out
    assert "s0.depth is 3 or 4" in out


def test_a_misspelt_space_gets_a_suggestion(capsys):
    code, out, err = hw(capsys, "spaces", "show", "tiny32")
    assert (code, out) == (2, "")
    assert "did you mean 'tiny-32'?" in err


def test_run_ends_with_one_json_object(capsys, copy, finished):
    document = hw_json(capsys, "run", "--workspace", copy)
    assert document["targets"] == finished[1]["targets"]


def test_run_ends_with_a_table(capsys, copy):
    code, out, _ = hw(capsys, "run", "-w", copy, "--quiet")
    assert code == 0
    for word in ("budget ms", "subnet", "predicted ms", "measured ms", "kB", "verdict", "ok", "int8 file"):
        assert word in out


def test_profile_and_table(capsys, copy):
    rows = hw_json(capsys, "profile", "toy", "-w", copy, "-q")
    assert {row["target"] for row in rows} == {"toy/onnxruntime fp32", "toy/litert fp32"}
    code, out, _ = hw(capsys, "profile", "toy", "--runtime", "litert", "-w", copy, "-q")
    assert code == 0
    assert "hwnas table accept toy" in out
    tables = hw_json(capsys, "table", "show", "toy", "-w", copy, "--runtime", "litert")
    assert {table["regime"] for table in tables} == {"quiet", "typical"}
    code, out, _ = hw(capsys, "table", "show", "toy", "-w", copy)
    assert code == 0
    assert "slowest" in out


def test_profile_says_what_it_will_measure_unless_it_is_there(capsys, copy, pretend):
    shutil.rmtree(copy / "runs" / "stages")
    *_, err = hw(capsys, "profile", "toy", "--runtime", "litert", "-w", copy)
    assert "blocks and 6 networks to measure: about" in " ".join(err.split())
    assert "to measure" not in hw(capsys, "profile", "toy", "--runtime", "litert", "-w", copy)[2]


def test_accepting_promotes_and_an_accepted_table_is_used(capsys, copy, finished):
    assert not list((copy / "latency_tables").glob("**/*.json")) if (copy / "latency_tables").exists() else True
    code, out, _ = hw(capsys, "table", "accept", "toy", "-w", copy)
    assert code == 0
    assert out.count("accepted latency_tables/toy/") == 4
    document = hw_json(capsys, "run", "-w", copy)
    assert [row["arch"] for row in document["targets"]] == [row["arch"] for row in finished[1]["targets"]]
    assert "accepted table" in hw(capsys, "run", "-w", copy)[2]


def test_accepting_tells_machines_what_was_accepted(capsys, copy):
    entries = hw_json(capsys, "table", "accept", "toy", "--runtime", "litert", "-w", copy)
    assert [entry["regime"] for entry in entries] == ["quiet", "typical"]
    for entry in entries:
        assert (copy / entry["file"]).is_file()
        assert [entry[k] for k in ("device", "runtime", "precision", "threads", "batch")] == ["toy", "litert", "fp32", 1, 1]
        (shown,) = hw_json(capsys, "table", "show", copy / entry["file"])
        assert (entry["blocks"], entry["networks"]) == (shown["blocks measured"], shown["networks measured"])


def test_an_edited_accepted_table_stops_the_run(capsys, copy):
    hw(capsys, "table", "accept", "toy", "-w", copy)
    path = copy / "latency_tables" / "toy" / "litert-fp32-t1-b1-quiet.json"
    path.write_text(path.read_text().replace('"p50_ms": 0.', '"p50_ms": 1.', 1))
    code, out, err = hw(capsys, "run", "-w", copy)
    assert (code, out) == (2, "")
    assert "was changed after it was written" in err


def test_a_table_of_another_device_is_refused(capsys, copy):
    hw(capsys, "table", "accept", "toy", "-w", copy)
    folder = copy / "latency_tables" / "toy"
    for path in folder.glob("litert-*"):
        path.replace(folder / path.name.replace("litert", "onnxruntime"))
    code, _, err = hw(capsys, "run", "-w", copy)
    assert code == 2
    assert "the table is litert-fp32-t1-b1-quiet, not onnxruntime-fp32-t1-b1-quiet" in err


def test_a_measured_table_of_another_device_is_not_accepted(capsys, copy):
    measured = copy / "runs" / "tables"
    (measured / "toy").rename(measured / "board")
    (copy / "devices" / "board.toml").write_text((copy / "devices" / "toy.toml").read_text())
    before = snapshot(copy)
    for command in ("accept", "show"):
        code, _, err = hw(capsys, "table", command, "board", "-w", copy)
        assert code == 2
        assert "the table is of device toy, not board" in err
    assert snapshot(copy) == before


def test_search_answers_from_what_is_stored(capsys, copy):
    found = hw_json(capsys, "search", "--device", "toy", "--runtime", "litert", "--budget", "60%", "--budget", "90%", "-w", copy)
    small, large = found["budgets"]
    assert small["predicted_hi_ms"] <= small["budget_ms"] < large["budget_ms"]
    assert small["accuracy"] <= large["accuracy"]
    front = json.loads(Path(found["front_file"]).read_text())
    assert front["points"]
    code, out, _ = hw(capsys, "search", "--device", "toy", "--runtime", "litert", "--budget", "1ms", "-w", copy, "--strategy", "random")
    assert code == 0
    assert "architectures looked at" in out


def test_a_share_means_the_same_to_search_and_run(capsys, copy, finished):
    for row in finished[1]["targets"]:
        words = ("--device", row["device"], "--runtime", row["runtime"], "--budget", row["budget"])
        (found,) = hw_json(capsys, "search", *words, "-w", copy)["budgets"]
        assert found["budget_ms"] == row["budget_ms"]


def test_search_takes_the_regime_and_the_threads_that_are_asked_for(capsys, copy):
    from dataclasses import replace

    from hwnas.latency.trusted import TrustedLatency
    from hwnas.pipeline.searching import publish_latency, stored_space
    from hwnas.workspace import Workspace

    workspace = Workspace.open(copy)
    store = workspace.store
    quiet = TrustedLatency.load(store.predictors / "latency" / "toy" / "litert-fp32-t1-b1-quiet-p50.json", stored_space(workspace))
    slower = {**quiet.context, "regime": "typical", "threads": 2}
    publish_latency(store, replace(quiet, context=slower, measured_largest_ms=2 * quiet.largest_ms()))
    words = ("search", "--device", "toy", "--runtime", "litert", "--budget", "50%", "-w", copy)
    (usual,) = hw_json(capsys, *words)["budgets"]
    (asked,) = hw_json(capsys, *words, "--regime", "typical", "--threads", "2")["budgets"]
    assert asked["budget_ms"] == 2 * usual["budget_ms"]


def test_search_without_any_stored_predictor_says_what_to_run(capsys, copy):
    for path in (copy / "runs" / "predictors" / "latency" / "toy").glob("*"):
        path.unlink()
    code, out, err = hw(capsys, "search", "--device", "toy", "--runtime", "litert", "--budget", "90%", "-w", copy)
    assert (code, out) == (2, "")
    assert "no latency predictor of toy is stored yet; run 'hwnas profile toy'" in " ".join(err.split())


def test_search_needs_no_torch(copy):
    code = (
        "import sys\n"
        "for name in ('torch', 'onnx', 'onnxruntime', 'sklearn', 'PIL', 'safetensors', 'ai_edge_litert'): sys.modules[name] = None\n"
        "import tests.rig.pretend\n"
        "from hwnas.cli.main import call\n"
        "sys.exit(call(sys.argv[1:]))"
    )
    for arguments in (
        ["search", "--device", "toy", "--runtime", "litert", "--budget", "80%", "--json"],
        ["table", "show", "toy", "--json"],
        ["devices", "list", "--json"],
    ):
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments, "-w", str(copy)], capture_output=True, text=True, cwd=REPOSITORY, env=environment()
        )
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)


def environment():
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "devices" / "agent")])}


def test_export_writes_files_that_verify(capsys, copy, finished, tmp_path):
    arch = finished[1]["targets"][0]["arch"]
    written = hw_json(capsys, "export", arch[:10], "--out", tmp_path / "out", "-w", copy, "-q")
    assert written["arch"] == arch
    assert {f["path"] for f in written["files"]} == {"model.onnx", "model.int8.onnx", "model.tflite", "model.int8.tflite"}
    assert all(f["parity_max_abs"] < 1e-3 for f in written["files"] if f["precision"] == "fp32")
    checked = hw_json(capsys, "verify", tmp_path / "out", "-w", copy, "-q")
    assert checked["verdict"] == "not measured"
    code, _, err = hw(capsys, "export", arch, "--out", tmp_path / "out", "-w", copy)
    assert code == 2
    assert "not an empty folder" in err


def test_export_takes_choices_as_json(capsys, copy, tmp_path, finished):
    manifest = json.loads((finished[0] / finished[1]["targets"][0]["artifact"]).with_name("manifest.json").read_text())
    choices = json.dumps(manifest["architecture"])
    written = hw_json(capsys, "export", choices, "--runtime", "onnxruntime", "--no-int8", "--out", tmp_path / "o", "-w", copy, "-q")
    assert written["arch"] == manifest["arch_id"]
    assert sha256_file(tmp_path / "o" / "model.onnx") == written["files"][0]["sha256"]


@pytest.mark.parametrize(
    ("arch", "message"),
    [
        ("ffff0000ffff", "no subnet 'ffff0000ffff'"),
        ("abc", "no subnet 'abc'"),
        ("{", "not JSON of choices"),
        ('{"s0.dept": 2}', "did you mean 's0.depth'?"),
        ('{"s0.depth": 9}', "choice 's0.depth' has no option 9"),
        ("[1]", "no subnet '[1]'"),
    ],
)
def test_an_architecture_that_is_none_is_refused(capsys, copy, tmp_path, arch, message):
    code, _, err = hw(capsys, "export", arch, "--out", tmp_path / "o", "-w", copy, "-q")
    assert code == 2
    assert message in " ".join(err.split())
    assert not (tmp_path / "o").exists()


def test_verify_times_the_file_again(capsys, copy, finished):
    folder = (copy / finished[1]["targets"][0]["artifact"]).parent
    checked = hw_json(capsys, "verify", folder, "-w", copy, "-q")
    assert checked["verdict"] == "ok"
    assert checked["measured_ms"] == finished[1]["targets"][0]["measured_ms"]
    assert checked["accuracy_test"] == finished[1]["targets"][0]["accuracy_test"]
    assert hw(capsys, "verify", folder / "manifest.json", "-w", copy, "-q", "--no-timing")[0] == 0


def test_verify_of_a_slower_device_exits_4(capsys, copy, finished, pretend, monkeypatch):
    monkeypatch.setattr(pretend.PretendChannel, "slow_files", 5.0)
    folder = (copy / finished[1]["targets"][0]["artifact"]).parent
    code, _, err = hw(capsys, "verify", folder, "-w", copy, "-q")
    assert code == 4
    assert "over the budget" in err


@pytest.mark.parametrize("name", ["model.tflite", "labels.txt", "manifest.json", "preprocessing.json"])
def test_verify_finds_any_changed_byte(capsys, copy, finished, name):
    folder = (copy / next(r for r in finished[1]["targets"] if r["runtime"] == "litert")["artifact"]).parent
    raw = bytearray((folder / name).read_bytes())
    raw[len(raw) // 2] ^= 1
    (folder / name).write_bytes(bytes(raw))
    code, _, err = hw(capsys, "verify", folder, "-w", copy, "-q")
    assert code == 5, err


@pytest.mark.parametrize("lost", ["manifest.json", "model.tflite", "labels.txt"])
@pytest.mark.parametrize("named", ["", "manifest.json"])
def test_verify_of_a_folder_that_lost_a_file_exits_5(capsys, copy, finished, lost, named):
    folder = (copy / next(r for r in finished[1]["targets"] if r["runtime"] == "litert")["artifact"]).parent
    (folder / lost).unlink()
    code, _, err = hw(capsys, "verify", folder / named, "-w", copy, "-q")
    assert code == 5
    assert lost in err


def test_devices(capsys, copy, pretend, monkeypatch):
    (copy / "devices" / "gone.toml").write_text('transport = "local"\naddress = "no-such-interpreter"\nruntimes = ["litert"]\n')
    listed = hw_json(capsys, "devices", "list", "-w", copy)
    assert [d["id"] for d in listed] == ["gone", "toy"]
    assert hw(capsys, "devices", "list", "-w", copy)[0] == 0
    assert hw_json(capsys, "devices", "check", "toy", "-w", copy)[0]["usable"]
    code, out, err = hw(capsys, "devices", "check", "gone", "-w", copy)
    assert code == 3
    assert "make the device reachable" in " ".join((out + err).split())
    monkeypatch.setattr(pretend.PretendChannel, "lacks", ("litert", "onnxruntime"))
    code, out, err = hw(capsys, "devices", "check", "toy", "-w", copy)
    assert code == 3
    assert "install litert on the device" in " ".join((out + err).split())


FAULTS = [
    (["search", "--device", "toy", "--runtime", "litert", "--budget", "0ms"], "must be above 0"),
    (["search", "--device", "toy", "--runtime", "litert", "--budget", "-3ms"], "a number above 0 with a unit"),
    (["search", "--device", "toy", "--runtime", "litert", "--budget", "3"], "a number above 0 with a unit"),
    (["search", "--device", "toyy", "--runtime", "litert", "--budget", "3ms"], "did you mean 'toy'?"),
    (["search", "--device", "toy", "--runtime", "litert", "--budget", "90%", "--strategy", "evolutoin"], "did you mean 'evolution'?"),
    (
        ["search", "--device", "toy", "--runtime", "lite", "--budget", "90%"],
        "no predictor of runtime 'lite' is stored for toy; did you mean 'litert'?",
    ),
    (
        ["search", "--device", "toy", "--runtime", "litert", "--budget", "90%", "--precision", "int8"],
        "no predictor of precision 'int8' is stored for toy; known: fp32",
    ),
    (
        ["search", "--device", "toy", "--runtime", "litert", "--budget", "90%", "--statistic", "p51"],
        "no predictor of statistic 'p51' is stored for toy; did you mean 'p50'?",
    ),
    (
        ["search", "--device", "toy", "--runtime", "litert", "--budget", "90%", "--regime", "quite"],
        "no predictor of regime 'quite' is stored for toy; did you mean 'quiet'?",
    ),
    (
        ["search", "--device", "toy", "--runtime", "litert", "--budget", "90%", "--threads", "3"],
        "no predictor of threads '3' is stored for toy; known: 1",
    ),
    (["search", "--device", "toy", "--runtime", "litert", "--budget", "90%", "--threads", "0"], "--threads"),
    (["search", "--device", "toy", "--runtime", "litert"], "Missing option"),
    (["profile", "tyo"], "did you mean 'toy'?"),
    (["profile", "toy", "--runtime", "onnxruntme"], "did you mean 'onnxruntime'?"),
    (["profile", "toy", "--precision", "int9"], "unknown precision 'int9'; did you mean 'int8'?"),
    (["profile", "toy", "--precision", "fp64"], "unknown precision 'fp64'"),
    (["profile", "toy", "--runtime", "litert", "--precision", "bf16"], "format 'tflite' is not written in bf16; it is in fp32, fp16, int8"),
    (["table", "show", "nothing"], "no table of device 'nothing'"),
    (["table", "accept", "nothing"], "unknown device 'nothing'"),
    (["table", "show", "none.json"], "none.json"),
    (["run", "--replay", "none.jsonl"], "none.jsonl: not readable"),
    (["verify", "nowhere"], "nowhere: no such file or folder"),
    (["verify", "nowhere/manifest.json"], "nowhere/manifest.json: no such file or folder"),
    (["no-such-command"], "No such command"),
    (["run", "--no-such-option"], "No such option"),
]


@pytest.mark.parametrize(("arguments", "message"), FAULTS)
def test_a_mistake_is_one_line_exit_2_and_nothing_written(capsys, copy, arguments, message):
    before = snapshot(copy)
    place = [] if arguments[0].startswith("no-such") else ["-w", copy]
    code, out, err = hw(capsys, *arguments, *place)
    assert code == 2
    assert out == ""
    assert message in err
    assert len(err.strip().split("\n")) == 1
    changed = {path for path, time in snapshot(copy).items() if before.get(path) != time}
    assert changed <= {Path("runs/.lock")}


CONFIG, DEVICE, RECIPE = "hwnas.toml", "devices/toy.toml", "export/recipes/toy-litert.toml"
WRONG = [
    (CONFIG, "trials = 600", 'strategy = "evolutoin"', "unknown strategy 'evolutoin'; did you mean 'evolution'?"),
    (CONFIG, '"tiny-32"', '"tiny-33"', "unknown space 'tiny-33'; did you mean 'tiny-32'?"),
    (CONFIG, "resolutions = [", "resolutions = [17, ", "space 'tiny-32' has no resolution 17; it has 16, 20"),
    (DEVICE, '"pretend"', '"pretended"', "unknown transport 'pretended'; did you mean 'pretend'?"),
    (DEVICE, '"pretend"', '""', "unknown transport ''; known: adb, browser, local, pretend, ssh"),
    (DEVICE, '"litert"', '"litrt"', "unknown runtime 'litrt'; did you mean 'litert'?"),
    (RECIPE, '"litert"', '"tflite"', "unknown runtime 'tflite'; did you mean 'litert'?"),
    (RECIPE, 'device = "toy"', 'device = "toy"\nregime = "busy"', "unknown regime 'busy'; known: quiet, typical"),
    (RECIPE, 'device = "toy"', 'device = "toy"\nprecision = "bf16"', "format 'tflite' is not written in bf16; it is in fp32, fp16, int8"),
    (RECIPE, 'device = "toy"', 'device = "toy"\nstatistic = "p10"', "unknown statistic 'p10'; did you mean 'p90'?"),
    (RECIPE, "max_accuracy_drop = 0.2", "max_accuracy_drop = 2.0", "max_accuracy_drop must be a share from 0 to 1, not 2"),
    (RECIPE, "min_top1_agreement = 0.3", "min_top1_agreement = -0.1", "min_top1_agreement must be a share from 0 to 1, not -0.1"),
]


@pytest.mark.parametrize("command", ["run", "profile"])
@pytest.mark.parametrize(("file", "old", "new", "message"), WRONG)
def test_a_wrong_word_in_a_file_exits_2_before_anything_is_read_or_written(
    capsys, workspace, pretend, monkeypatch, command, file, old, new, message
):
    monkeypatch.setattr("hwnas.pipeline.context.load_dataset", lambda *_, **__: pytest.fail("the data was read"))
    text = (workspace / file).read_text()
    assert old in text
    (workspace / file).write_text(text.replace(old, new))
    before = snapshot(workspace)
    code, out, err = hw(capsys, command, *(["toy"] if command == "profile" else []), "-w", workspace)
    assert (code, out) == (2, "")
    assert f"{workspace / file}: " in err
    assert message in err
    assert len(err.strip().split("\n")) == 1
    assert {path for path, time in snapshot(workspace).items() if before.get(path) != time} <= {Path("runs/.lock")}


@pytest.mark.parametrize(("preset", "resolutions"), [("ofa-w1.0", "[128]"), ("tiny-32", "[16, 20]"), ("tiny-32", "[]")])
def test_predictors_of_a_space_that_is_no_longer_asked_for_do_not_answer(capsys, copy, preset, resolutions):
    config = copy / "hwnas.toml"
    before, _, after = config.read_text().partition("[space]")
    config.write_text(f'{before}[space]\npreset = "{preset}"\nresolutions = {resolutions}\n[train]{after.partition("[train]")[2]}')
    code, out, err = hw(capsys, "search", "--device", "toy", "--runtime", "litert", "--budget", "60%", "-w", copy)
    assert (code, out) == (2, "")
    assert "the stored predictors are of another space (tiny-32 at 16, 32)" in err


def test_a_predictor_of_another_space_is_refused(capsys, copy):
    stored = copy / "runs" / "predictors" / "space.json"
    values = json.loads(stored.read_text())
    stored.write_text(json.dumps({**values, "classes": 7}))
    code, _, err = hw(capsys, "search", "--device", "toy", "--runtime", "litert", "--budget", "90%", "-w", copy)
    assert code == 2
    assert "another space" in err


def test_init_writes_a_workspace_that_is_valid_and_never_overwrites(capsys, tmp_path):
    from hwnas.workspace import Workspace

    code, out, _ = hw(capsys, "init", tmp_path / "new")
    assert code == 0
    assert "next: hwnas run" in out
    workspace = Workspace.open(tmp_path / "new")
    assert set(workspace.recipes) == {"local-onnxruntime", "local-litert"}
    before = snapshot(tmp_path / "new")
    code, _, err = hw(capsys, "init", tmp_path / "new")
    assert code == 2
    assert "exists" in err
    assert snapshot(tmp_path / "new") == before
    assert hw(capsys, "init", tmp_path / "other", "--space", "tiny-33")[0] == 2
    assert hw(capsys, "init", tmp_path / "other", "--data", 'a"b')[0] == 2
    assert not (tmp_path / "other").exists()


def test_help_and_version(capsys):
    assert hw(capsys, "--version")[1].startswith("hwnas ")
    code, out, _ = hw(capsys, "--help")
    assert code == 0
    groups = ("spaces", "devices", "agent", "table", "accuracy", "runs")
    for command in (*groups, "init", "run", "profile", "train", "search", "explain", "export", "verify"):
        assert command in out


def test_train_says_where_the_supernet_is(capsys, copy):
    figures = hw_json(capsys, "train", "-w", copy, "-q")
    assert Path(figures["supernet"]).is_file()
    assert 0 <= figures["smallest_accuracy_val"] <= 1
    assert "largest subnet" in hw(capsys, "train", "-w", copy, "-q")[1]


def test_a_second_command_in_the_same_workspace_waits_its_turn(capsys, copy):
    from hwnas.workspace import Workspace

    with Workspace.open(copy).store.lock():
        code, _, err = hw(capsys, "run", "-w", copy)
    assert code == 2
    assert "another hwnas" in err
