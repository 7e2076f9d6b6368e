"""The files of one goal, as a user takes them: models, labels, preprocessing, and a manifest that vouches for every byte."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwnas.core.result import Artifact
from hwnas.core.serial import canonical_json, sha256_file, write_atomic
from hwnas.export.exporter import exporter_for, file_name
from hwnas.export.manifest import Attempted, Int8Figures, LatencyFigures, Manifest, describe_files, write_manifest
from hwnas.export.safety import check_artifact
from hwnas.export.verify import Parity
from hwnas.pipeline.artifacts import Built
from hwnas.pipeline.context import Context
from hwnas.pipeline.deploy import Outcome
from hwnas.pipeline.rows import row_of
from hwnas.pipeline.verification import Bench, Timing

MANIFEST = "manifest.json"
STEPS = "preprocessing.json"


@dataclass(frozen=True, slots=True)
class Model:
    """A model file of a folder: its name there, and which file of which subnet it is (``main`` or ``int8``)."""

    name: str
    built: Built
    kind: str

    @property
    def artifact(self) -> Artifact:
        """The file in the store."""
        return self.built.main if self.kind == "main" or self.built.int8 is None else self.built.int8


def release(ctx: Context, outcome: Outcome, bench: Bench, run_folder: Path) -> dict[str, Any]:
    """Write ``artifacts/<recipe>/<budget>/`` of a run and give the goal's row. What misses its budget is written too, and says so."""
    folder = run_folder / "artifacts" / outcome.goal.folder
    models = _models(outcome)
    files = _copy_files(ctx, outcome, models, folder)
    relative = files[0].relative_to(ctx.workspace.root)
    row = row_of(ctx, outcome, relative.as_posix())
    write_manifest(_manifest(ctx, outcome, bench, row, folder, (files, models)), folder / MANIFEST)
    return row


def _models(outcome: Outcome) -> list[Model]:
    """The goal's model files, the main one first. What a file is called tells its precision unless it is the main one's."""
    own = outcome.chosen.built
    models = [Model(Path(own.main.path).name, own, "main")]
    if outcome.companion is not None and outcome.companion.ships:
        models.append(Model(Path(outcome.companion.artifact.path).name, own, "int8"))
    for made in outcome.others:
        form = exporter_for(made.main.runtime).format
        name = file_name(form, made.main.precision)
        models.append(Model(f"model.fp32.{form}" if name == models[0].name else name, made, "main"))
    return models


def _copy_files(ctx: Context, outcome: Outcome, models: Sequence[Model], folder: Path) -> list[Path]:
    """The goal's files, its main model first; a folder of an earlier run is replaced as a whole."""
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    files = []
    for model in models:
        path = folder / model.name
        shutil.copyfile(model.artifact.path, path)
        check_artifact(path, sha256=model.artifact.sha256)
        files.append(path)
    labels = folder / "labels.txt"
    write_atomic(labels, "".join(f"{name}\n" for name in ctx.dataset.class_names))
    steps = {folder / steps_name(made, outcome.chosen.built): made.preprocessing for made in (outcome.chosen.built, *outcome.others)}
    for path, preprocessing in steps.items():
        write_atomic(path, canonical_json(preprocessing) + "\n")
    return [*files, labels, *steps]


def steps_name(made: Built, main: Built) -> str:
    """Where the preprocessing of ``made`` stands: in a file of its format where its layout is not that of ``main``."""
    if made.preprocessing == main.preprocessing:
        return STEPS
    return f"preprocessing.{exporter_for(made.main.runtime).format}.json"


def _manifest(
    ctx: Context, outcome: Outcome, bench: Bench, row: Mapping[str, Any], folder: Path, written: tuple[Sequence[Path], Sequence[Model]]
) -> Manifest:
    goal, chosen = outcome.goal, outcome.chosen
    files, models = written
    table = bench.profile.paths["quiet" if goal.recipe.regime == "quiet" else "typical"]
    metrics = {name: row[name] for name in ("accuracy_val", "accuracy_test")}
    return Manifest(
        name=goal.folder,
        precision=goal.recipe.precision,
        verdict=row["verdict"],
        arch_id=chosen.pick.arch.id,
        architecture=ctx.space.values(chosen.pick.arch.indices),
        space=space_facts(ctx),
        dataset=data_facts(ctx),
        metrics={
            **metrics,
            "accuracy_supernet": chosen.pick.accuracy_val,
            "accuracy_predicted": chosen.pick.accuracy_predicted,
            "accuracy_expected": chosen.pick.accuracy_expected,
        },
        latency=_latency(row, chosen.timing),
        parity=Parity(**chosen.built.facts["parity"]),
        files=describe_files(folder, files),
        models=tuple(model.built.figures(model.kind, model.name) for model in models),
        table={"file": table.name, "sha256": sha256_file(table)},
        tools=chosen.built.tools,
        attempts=tuple(
            Attempted(a.pick.arch.id, a.pick.predicted_ms, a.timing.measured_ms, a.timing.interval_ms, a.ok)
            for a in outcome.attempts
            if a.timing is not None
        ),
        int8=None if row["int8"] is None else _int8(row["int8"]),
        device_drift=bench.drift(statistic=goal.recipe.statistic),
    )


def _int8(companion: Mapping[str, Any]) -> Int8Figures:
    """Where the file lies and its SHA-256 stand among the manifest's files."""
    figures = {name: value for name, value in companion.items() if name not in ("artifact", "sha256")}
    interval = figures["measured_ci_ms"]
    return Int8Figures(**{**figures, "measured_ci_ms": None if interval is None else tuple(interval)})


def space_facts(ctx: Context) -> dict[str, str]:
    """Which space, for a manifest."""
    return {"name": ctx.space.name, "family": ctx.space.family, "id": ctx.space.id}


def data_facts(ctx: Context) -> dict[str, str | int]:
    """Which data and how much of it, for a manifest."""
    counts = {f"{part}_images": ctx.dataset.part(part).n for part in ("train", "val", "test")}
    return {"name": ctx.dataset.name, "id": ctx.dataset.id, **counts}


def _latency(row: Mapping[str, Any], timing: Timing | None) -> LatencyFigures:
    names = (
        "device",
        "runtime",
        "statistic",
        "regime",
        "budget_ms",
        "predicted_ms",
        "predicted_hi_ms",
        "measured_ms",
        "measured_typical_ms",
        "anchored_error",
    )
    interval = None if timing is None else timing.interval_ms
    return LatencyFigures(**{name: row[name] for name in names}, threads=row["threads"], measured_ci_ms=interval)
