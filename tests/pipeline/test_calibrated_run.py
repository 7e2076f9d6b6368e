"""A run whose tables have whole networks enough for the calibrated model: it keeps its budgets, and a replay gives the same bytes."""

from pathlib import Path
from shutil import copytree

import pytest

from hwnas.core.serial import sha256_file
from hwnas.latency.trusted import TrustedLatency
from hwnas.pipeline.context import Context
from hwnas.pipeline.recording import Recording
from hwnas.pipeline.run import run
from hwnas.pipeline.searching import stored_space
from hwnas.workspace import Workspace


@pytest.fixture
def wide(copy: Path, pretend) -> Path:
    """The small workspace, trained already, whose profile is to have twenty networks."""
    config = copy / "hwnas.toml"
    config.write_text(config.read_text().replace("networks = 6", "networks = 20"))
    for path in (copy / "export" / "recipes").glob("*onnxruntime.toml"):
        path.unlink()
    return copy


def files(folder: Path) -> dict[str, str]:
    return {p.relative_to(folder).as_posix(): sha256_file(p) for p in folder.rglob("*") if p.suffix in (".onnx", ".tflite")}


def test_a_calibrated_run_keeps_its_budgets_and_replays_to_the_same_bytes(wide, tmp_path):
    elsewhere = copytree(wide, tmp_path / "elsewhere")
    first = run(Context(Workspace.open(wide)))
    assert {row["verdict"] for row in first.rows} == {"ok"}
    assert all(row["trusted"] is True for row in first.rows)
    workspace = Workspace.open(wide)
    stored = wide / "runs" / "predictors" / "latency" / "toy" / "litert-fp32-t1-b1-quiet-p50.json"
    model = TrustedLatency.load(stored, stored_space(workspace))
    assert (model.kind, model.networks, model.confidence) == ("calibrated", 20, 0.95)

    again = run(Context(Workspace.open(elsewhere), replay=Recording.read(first.folder / "journal.jsonl")))
    for name in ("arch", "budget_ms", "predicted_ms", "predicted_hi_ms", "measured_ms"):
        assert [row[name] for row in again.rows] == [row[name] for row in first.rows]
    assert files(again.folder) == files(first.folder)
