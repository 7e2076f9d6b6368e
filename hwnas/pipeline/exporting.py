"""``hwnas export``: one subnet as files of every format asked for, without budgets and devices."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hwnas.core.arch import Architecture
from hwnas.core.errors import ConfigError
from hwnas.core.serial import canonical_json, write_atomic
from hwnas.export.exporter import EXPORTERS, file_name, precisions_of
from hwnas.export.manifest import Manifest, describe_files, write_manifest
from hwnas.pipeline.accuracy import Trained
from hwnas.pipeline.artifacts import built
from hwnas.pipeline.context import Context
from hwnas.pipeline.filespec import FileSpec
from hwnas.pipeline.release import MANIFEST, Model, data_facts, space_facts
from hwnas.pipeline.subnets import find_architecture
from hwnas.recipe import Int8Limits


def export_subnet(
    ctx: Context, text: str, to: Path, *, formats: Sequence[tuple[str, str]], int8: bool, dynamic_batch: bool = False
) -> dict[str, Any]:
    """Write the files of one subnet into ``to`` (which must be new or empty) and say what they are.

    ``formats`` are pairs of format and precision. With ``int8`` those in float32 get an 8-bit file beside them where their format has any,
    which is held to no limit: nobody said one.
    """
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise ConfigError(f"{to}: is not an empty folder; give --out another one")
    arch = find_architecture(ctx.space, ctx.store.root, text)
    models = _models(ctx, arch, formats, int8=int8, dynamic_batch=dynamic_batch)
    to.mkdir(parents=True, exist_ok=True)
    for model in models:
        shutil.copyfile(model.artifact.path, to / model.name)
        form = EXPORTERS.get(Path(model.name).suffix[1:]).format
        write_atomic(to / f"preprocessing.{form}.json", canonical_json(model.built.preprocessing) + "\n")
    write_atomic(to / "labels.txt", "".join(f"{name}\n" for name in ctx.dataset.class_names))
    figures = tuple(model.built.figures(model.kind, model.name) for model in models)
    manifest = Manifest(
        name=to.name,
        precision=figures[0].precision,
        verdict="not measured",
        arch_id=arch.id,
        architecture=ctx.space.values(arch.indices),
        space=space_facts(ctx),
        dataset=data_facts(ctx),
        metrics={"accuracy_val": figures[0].accuracy_val},
        latency=None,
        parity=figures[0].parity,
        files=describe_files(to, sorted(to.iterdir())),
        models=figures,
        tools=models[0].built.tools,
    )
    write_manifest(manifest, to / MANIFEST)
    files = [_entry(model, to / model.name) for model in models]
    return {"arch": arch.id, "choices": ctx.space.values(arch.indices), "folder": str(to), "files": files}


def _models(ctx: Context, arch: Architecture, formats: Sequence[tuple[str, str]], *, int8: bool, dynamic_batch: bool) -> list[Model]:
    trained = Trained.load(ctx)
    models = []
    for form, precision in dict.fromkeys(formats):
        exporter = EXPORTERS.get(form)
        beside = int8 and precision == "fp32" and "int8" in precisions_of(form)
        spec = FileSpec(exporter.runtime, precision, Int8Limits() if beside else None, dynamic_batch=dynamic_batch)
        made = built(ctx, trained, arch, spec)
        models.append(Model(file_name(form, precision), made, "main"))
        if beside:
            models.append(Model(file_name(form, "int8"), made, "int8"))
    return models


def _entry(model: Model, path: Path) -> dict[str, Any]:
    figures = model.built.figures(model.kind, model.name)
    return {
        "path": model.name,
        "runtime": figures.runtime,
        "precision": figures.precision,
        "sha256": model.artifact.sha256,
        "size_bytes": path.stat().st_size,
        "nodes": figures.nodes,
        "transposes": figures.transposes,
        "accuracy_val": figures.accuracy_val,
        "parity_max_abs": figures.parity.max_abs,
        "parity_limit": figures.parity.limit,
        "top1_agreement": figures.parity.top1_agreement,
    }
