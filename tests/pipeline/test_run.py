"""The whole run on a small scale: what it says, what it leaves behind, and that it gives the same again."""

import json
import math
from collections import deque
from pathlib import Path
from shutil import copytree, rmtree

import numpy as np
import pytest

from hwnas.core.errors import BudgetMissed, InfeasibleError, PredictorError, TooNoisy, UsageError
from hwnas.core.serial import sha256_file
from hwnas.export.manifest import check_manifest
from hwnas.latency.footprint import Footprint
from hwnas.pipeline.context import Context
from hwnas.pipeline.profiling import Profile
from hwnas.pipeline.recording import Recording
from hwnas.pipeline.run import run
from hwnas.space.family import family_of
from hwnas.workspace import Workspace

ROW = {
    "device", "runtime", "precision", "budget_ms", "arch", "accuracy_val", "accuracy_test", "predicted_ms", "predicted_hi_ms",
    "measured_ms", "measured_ci_ms", "measured_typical_ms", "size_bytes", "parity_max_abs", "artifact", "verdict",
}  # fmt: skip


def models(root: Path, document: dict) -> dict[str, str]:
    """SHA-256 of every model file that a run shipped, by its path."""
    folder = root / "runs" / document["run"] / "artifacts"
    return {p.relative_to(folder).as_posix(): sha256_file(p) for p in folder.rglob("*") if p.suffix in (".onnx", ".tflite")}


def test_the_document_is_as_promised(finished):
    root, document = finished
    assert set(document) == {"run", "seconds", "targets"}
    assert len(document["targets"]) == 4
    for row in document["targets"]:
        assert set(row) >= ROW
        assert row["verdict"] == "ok"
        assert row["predicted_ms"] <= row["predicted_hi_ms"] <= row["budget_ms"]
        low, high = row["measured_ci_ms"]
        assert low <= row["measured_ms"] <= high <= row["budget_ms"]
        assert row["measured_typical_ms"] == pytest.approx(1.1 * row["measured_ms"])
        artifact = root / row["artifact"]
        assert artifact.stat().st_size == row["size_bytes"]
        assert 0 <= row["accuracy_test"] <= 1
        assert all(math.isfinite(v) for v in row.values() if isinstance(v, float))


def test_an_8_bit_file_that_ships_is_named_and_one_that_does_not_is_not_there(finished):
    root, document = finished
    for row in document["targets"]:
        small = row["int8"]
        beside = list((root / row["artifact"]).parent.glob("*.int8.*"))
        if small["ships"]:
            path = root / small["artifact"]
            assert beside == [path]
            assert (sha256_file(path), path.stat().st_size) == (small["sha256"], small["size_bytes"])
        else:
            assert (small["artifact"], small["sha256"], beside) == (None, None, [])
    assert any(row["int8"]["ships"] for row in document["targets"])


def test_a_larger_budget_never_gives_a_worse_candidate(finished):
    _, document = finished
    for runtime in ("onnxruntime", "litert"):
        rows = sorted((r for r in document["targets"] if r["runtime"] == runtime), key=lambda r: r["budget_ms"])
        accuracies = [
            json.loads((finished[0] / r["artifact"]).with_name("manifest.json").read_text())["metrics"]["accuracy_expected"] for r in rows
        ]
        assert accuracies == sorted(accuracies)


def test_every_manifest_holds_and_names_what_was_used(finished):
    root, document = finished
    for row in document["targets"]:
        manifest = check_manifest((root / row["artifact"]).with_name("manifest.json"))
        assert manifest.arch_id == row["arch"]
        assert manifest.latency.measured_ms == row["measured_ms"]
        assert manifest.latency.measured_ci_ms == tuple(row["measured_ci_ms"])
        assert manifest.table["sha256"] == sha256_file(root / "runs" / document["run"] / "tables" / "toy" / manifest.table["file"])
        assert manifest.parity.within_limit
        assert manifest.attempts[-1].fits
        assert manifest.device_drift == pytest.approx(0, abs=1e-9)
        assert {entry.path for entry in manifest.files} >= {Path(row["artifact"]).name, "labels.txt", "preprocessing.json"}


def test_a_file_runs_by_its_own_word_alone(finished):
    """Only what lies beside the file is used: labels and preprocessing as written there."""
    onnxruntime = pytest.importorskip("onnxruntime")
    root, document = finished
    row = next(r for r in document["targets"] if r["runtime"] == "onnxruntime")
    path = root / row["artifact"]
    steps = json.loads((path.parent / "preprocessing.json").read_text())
    labels = (path.parent / "labels.txt").read_text().splitlines()
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    properties = session.get_modelmeta().custom_metadata_map
    assert json.loads(properties["hwnas.labels"]) == labels
    assert json.loads(properties["hwnas.preprocessing"]) == steps
    image = np.zeros((1, len(steps["mean"]), steps["size"], steps["size"]), dtype=np.float32)
    image = (image / steps["scale"] - np.array(steps["mean"], dtype=np.float32).reshape(1, -1, 1, 1)) / np.array(steps["std"]).reshape(
        1, -1, 1, 1
    )
    (logits,) = session.run(None, {session.get_inputs()[0].name: image.astype(np.float32)})
    assert logits.shape == (1, len(labels))


class Watching:
    """A reporter that remembers the stages that were worked on, and what was said."""

    def __init__(self):
        self.worked = []
        self.notes = []

    def stage(self, title, total):
        from contextlib import nullcontext

        self.worked.append(title)
        return nullcontext(lambda done, text: None)

    def reused(self, title):
        pass

    def expect(self, text):
        pass

    def note(self, text):
        self.notes.append(text)


def test_a_second_run_reuses_everything(copy, finished):
    _, document = finished
    watching = Watching()
    again = run(Context(Workspace.open(copy), watching)).document()
    assert again["targets"] == document["targets"]
    assert again["run"] == document["run"]
    assert not [title for title in watching.worked if title.startswith(("train", "profile", "evaluate subnets", "time"))]


@pytest.mark.slow
def test_the_same_seed_and_journal_give_the_same_files_elsewhere(tmp_path, finished):
    from shutil import copytree, ignore_patterns

    root, document = finished
    elsewhere = copytree(root, tmp_path / "elsewhere", ignore=ignore_patterns("runs"))
    gone = 'transport = "local"\naddress = "no-such-interpreter"\nruntimes = ["onnxruntime", "litert"]\n'
    (elsewhere / "devices" / "toy.toml").write_text(gone)
    journal = root / "runs" / document["run"] / "journal.jsonl"
    again = run(Context(Workspace.open(elsewhere), replay=Recording.read(journal))).document()
    assert [row["arch"] for row in again["targets"]] == [row["arch"] for row in document["targets"]]
    assert [row["measured_ms"] for row in again["targets"]] == [row["measured_ms"] for row in document["targets"]]
    assert models(elsewhere, again) == models(root, document)


def test_a_replay_that_lacks_a_timing_is_refused(copy, finished, tmp_path):
    root, document = finished
    lines = (root / "runs" / document["run"] / "journal.jsonl").read_text().split("\n")
    kept = [line for line in lines if line and '"key":"overhead"' not in line]
    (tmp_path / "short.jsonl").write_text("\n".join(kept) + "\n")
    with pytest.raises(UsageError, match=r"toy/\w+: the replayed journal has no table timing of overhead"):
        run(Context(Workspace.open(copy), replay=Recording.read(tmp_path / "short.jsonl")))


def forget_timings(workspace: Path) -> None:
    """As if the device had never been measured; what was trained stays."""
    for pattern in ("profile-*", "verify-*"):
        for folder in (workspace / "runs" / "stages").glob(pattern):
            rmtree(folder)


SLOW, FAST = 140.0, 100.0


@pytest.mark.parametrize("slow_sessions", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_a_table_of_a_busy_device_is_measured_again_once_it_is_quiet(copy, finished, pretend, monkeypatch, tmp_path, slow_sessions):
    """Measured while slow, verified while fast: budgets, choices and timings have to be those of the fast device, also in a replay.

    Two tables are measured while it is slow, and perhaps a first round of files, whose timings are then of the wrong speed.
    """
    root, document = finished
    forget_timings(copy)
    monkeypatch.setattr(pretend.PretendChannel, "levels_us", deque([SLOW] * slow_sessions))
    watching = Watching()
    again = run(Context(Workspace.open(copy), watching)).document()
    assert [note.partition(":")[0] for note in watching.notes if "measuring it again" in note] == [
        "toy/litert fp32",
        "toy/onnxruntime fp32",
    ]
    assert again["targets"] == document["targets"]
    assert models(copy, again) == models(root, document)

    recording = Recording.read(copy / "runs" / again["run"] / "journal.jsonl")
    elsewhere = copytree(copy, tmp_path / "elsewhere")
    forget_timings(elsewhere)
    replayed = run(Context(Workspace.open(elsewhere), replay=recording)).document()
    assert [row["measured_ms"] for row in replayed["targets"]] == [row["measured_ms"] for row in document["targets"]]
    assert models(elsewhere, replayed) == models(root, document)


def levels_shipped(result) -> set[float]:
    """At which levels of the probe the tables of a run, and the files that it ships, were timed."""
    tables = {json.loads(p.read_text())["facts"]["quiet_level_us"] for p in result.folder.glob("tables/toy/*quiet.json")}
    digests = {sha256_file(p) for p in result.folder.rglob("model.*") if p.suffix in (".onnx", ".tflite")}
    timings = {}
    for line in (result.folder / "journal.jsonl").read_text().splitlines():
        record = json.loads(line)
        if record["kind"] == "timing" and record["key"].removeprefix("file:") in digests:
            timings[record["key"]] = record["regimes"]["quiet"]["facts"]["quiet_level_us"]
    assert len(timings) == len(digests)
    return tables | set(timings.values())


@pytest.mark.slow
def test_a_faster_speed_that_does_not_last_leaves_the_table_as_it_was(copy, pretend, monkeypatch, tmp_path):
    """Table, budgets and the timings that count are all of the slower speed, also in a replay."""
    forget_timings(copy)
    monkeypatch.setattr(pretend.PretendChannel, "levels_us", deque([SLOW, SLOW, FAST, *[SLOW] * 100]))
    watching = Watching()
    result = run(Context(Workspace.open(copy), watching))
    assert [note for note in watching.notes if "did not last" in note]
    assert levels_shipped(result) == {SLOW}
    next_time = Watching()
    assert run(Context(Workspace.open(copy), next_time)).rows == result.rows
    assert not [title for title in next_time.worked if title.startswith(("profile", "time"))]

    elsewhere = copytree(copy, tmp_path / "elsewhere")
    forget_timings(elsewhere)
    recording = Recording.read(result.folder / "journal.jsonl")
    replayed = run(Context(Workspace.open(elsewhere), replay=recording))
    for name in ("arch", "budget_ms", "measured_ms"):
        assert [row[name] for row in replayed.rows] == [row[name] for row in result.rows]


@pytest.mark.slow
def test_a_device_that_never_keeps_its_speed_is_too_noisy(copy, pretend, monkeypatch):
    forget_timings(copy)
    unsteady = [SLOW, SLOW, *([FAST, SLOW, SLOW, SLOW] * 20)]
    monkeypatch.setattr(pretend.PretendChannel, "levels_us", deque(unsteady))
    with pytest.raises(TooNoisy, match=r"faster than when its table was measured .* run again when less else runs there") as caught:
        run(Context(Workspace.open(copy)))
    assert caught.value.exit_code == 3


def test_a_budget_of_a_high_quantile_is_judged_by_enough_samples(copy, pretend, monkeypatch):
    """The 95 % interval of p99 has an upper end from 368 samples on, and they have to be of single calls."""
    wanted = []
    send = pretend.PretendChannel.send

    def watch(channel, message):
        if message["type"] == "begin":
            wanted.append((message["plan"]["least_repeats"], message["plan"]["min_sample_us"]))
        send(channel, message)

    monkeypatch.setattr(pretend.PretendChannel, "send", watch)
    monkeypatch.setattr(pretend, "SAMPLES", 400)
    for path in (copy / "export" / "recipes").glob("*.toml"):
        path.write_text('statistic = "p99"\n' + path.read_text().partition("[int8]")[0])
    run(Context(Workspace.open(copy)))
    assert set(wanted) == {(368, 0.0)}


def test_a_regime_too_disturbed_for_a_predictor_stops_no_run_that_needs_another(copy, monkeypatch):
    """Of a table whose typical blocks took no longer than an empty call, the quiet predictors are stored all the same."""
    forget_timings(copy)
    rmtree(copy / "runs" / "predictors" / "latency")
    predictor = Profile.predictor

    def disturbed(profile, ctx, *, regime, statistic):
        if regime == "typical":
            raise PredictorError("too disturbed")
        return predictor(profile, ctx, regime=regime, statistic=statistic)

    monkeypatch.setattr(Profile, "predictor", disturbed)
    assert {row["verdict"] for row in run(Context(Workspace.open(copy))).rows} == {"ok"}
    stored = {path.stem for path in (copy / "runs" / "predictors" / "latency" / "toy").glob("litert*.json")}
    assert stored == {f"litert-fp32-t1-b1-quiet-{statistic}" for statistic in ("p50", "p90", "p99")}


def test_a_replay_leaves_the_devices_own_tables_alone(copy, finished):
    root, document = finished
    forget_timings(copy)
    rmtree(copy / "runs" / "tables")
    run(Context(Workspace.open(copy), replay=Recording.read(root / "runs" / document["run"] / "journal.jsonl")))
    assert not (copy / "runs" / "tables").exists()


@pytest.mark.parametrize("text", ["", '{"kind":"session","conditions":"x"}\n'])
def test_a_journal_without_timings_is_no_recording(tmp_path, text):
    (tmp_path / "j.jsonl").write_text(text)
    with pytest.raises(UsageError, match="holds no timings"):
        Recording.read(tmp_path / "j.jsonl")


def test_a_missed_budget_is_shown_after_the_next_best_were_tried(copy, pretend, monkeypatch):
    monkeypatch.setattr(pretend.PretendChannel, "slow_files", 30.0)
    for path in (copy / "runs" / "stages").glob("verify-*/journal.jsonl"):
        path.unlink()
    for path in (copy / "export" / "recipes").glob("*.toml"):
        path.write_text(path.read_text().partition("[int8]")[0])
    result = run(Context(Workspace.open(copy)))
    assert {row["verdict"] for row in result.rows} == {"over budget"}
    assert max(row["tried"] for row in result.rows) > 1
    for row in result.rows:
        manifest = check_manifest((copy / row["artifact"]).with_name("manifest.json"))
        assert manifest.verdict == "over budget"
        assert len(manifest.attempts) == row["tried"]
    with pytest.raises(BudgetMissed, match=r"4 of 4 budgets missed; first 50% = .* predicted .* measured .* to .* candidates") as caught:
        result.require_ok()
    assert caught.value.exit_code == 4


def test_a_budget_that_nothing_fits_is_refused_before_anything_is_trained(workspace, pretend):
    recipe = workspace / "export" / "recipes" / "toy-litert.toml"
    recipe.write_text(recipe.read_text().replace('"50%", "90%"', '"0.001ms"'))
    with pytest.raises(InfeasibleError, match=r"fits 0\.001 ms; the quickest needs") as caught:
        run(Context(Workspace.open(workspace)))
    assert caught.value.exit_code == 6
    assert not list((workspace / "runs" / "stages").glob("train-*"))


def limited(root, limits):
    for path in (root / "export" / "recipes").glob("*.toml"):
        path.write_text(path.read_text().partition("[int8]")[0] + f"\n[limits]\n{limits}\n")
    return Context(Workspace.open(root))


def test_the_limits_of_a_recipe_are_kept_and_shown(copy, finished):
    free = {(row["runtime"], row["budget"]): row for row in finished[1]["targets"]}
    ctx = limited(copy, 'params = "70%"\npeak_memory = "80%"')
    largest = family_of(ctx.space).extremes(ctx.space)[1].codes
    most = {name: share * float(Footprint(ctx.space).cost(name, largest)[0]) for name, share in (("params", 0.7), ("peak_memory", 0.8))}
    rows = run(ctx).rows
    assert len(rows) == len(free)
    for row in rows:
        assert set(row["limited"]) == set(most)
        assert all(row["limited"][name] <= most[name] for name in most)
    assert {row["arch"] for row in rows} != {row["arch"] for row in free.values()}
    assert all(row["limited"] == {} for row in free.values())


def test_limits_that_nothing_keeps_are_refused_before_anything_is_trained(workspace, pretend):
    with pytest.raises(InfeasibleError, match=r"params: no architecture of space .* needs at most 10; the smallest needs") as caught:
        run(limited(workspace, 'params = "10"'))
    assert caught.value.exit_code == 6
    assert not list((workspace / "runs" / "stages").glob("train-*"))


def test_a_workspace_without_recipes_says_so(workspace):
    for path in (workspace / "export" / "recipes").glob("*.toml"):
        path.unlink()
    with pytest.raises(UsageError, match="no recipes; write one"):
        run(Context(Workspace.open(workspace)))


@pytest.mark.parametrize(
    ("pattern", "old", "new"),
    [
        ("verify-*/journal.jsonl", '"key":', '"kex":'),
        ("verify-*/journal.jsonl", '"quiet":', '"quite":'),
        ("evaluate-*/evaluations.jsonl", '"arch":', '"brch":'),
    ],
)
def test_an_edited_journal_is_one_line(copy, pattern, old, new):
    for path in (copy / "runs" / "stages").glob(pattern):
        path.write_text(path.read_text().replace(old, new))
    with pytest.raises(UsageError, match=r"jsonl: holds an? \w+ of another shape; it was edited: delete the file"):
        run(Context(Workspace.open(copy)))


def test_too_few_images_for_a_batch_are_refused_before_anything_is_measured(workspace, pretend):
    config = workspace / "hwnas.toml"
    config.write_text(config.read_text().replace("batch = 40", "batch = 400"))
    with pytest.raises(UsageError, match="240 training images, fewer than one batch of 400"):
        run(Context(Workspace.open(workspace)))
    assert not list((workspace / "runs").glob("stages/*"))
