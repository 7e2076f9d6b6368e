"""``hwnas export``: one subnet as files for every runtime asked for, without budgets and devices."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hwnas.core.errors import ConfigError
from hwnas.core.serial import canonical_json, write_atomic
from hwnas.export.exporter import exporter_for
from hwnas.export.manifest import Manifest, describe_files, write_manifest
from hwnas.export.verify import Parity
from hwnas.pipeline.accuracy import Trained
from hwnas.pipeline.artifacts import Built, FileSpec, built
from hwnas.pipeline.context import Context
from hwnas.pipeline.release import MANIFEST, data_facts, space_facts
from hwnas.pipeline.subnets import find_architecture
from hwnas.recipe import Int8Limits


def export_subnet(ctx: Context, text: str, to: Path, *, runtimes: Sequence[str], int8: bool) -> dict[str, Any]:
    """Write the files of one subnet into ``to`` (which must be new or empty) and say what they are."""
    for runtime in runtimes:
        exporter_for(runtime)
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise ConfigError(f"{to}: is not an empty folder; give --out another one")
    arch = find_architecture(ctx.space, ctx.store.root, text)
    trained = Trained.load(ctx)
    made = {r: built(ctx, trained, arch, FileSpec(r, int8=Int8Limits() if int8 else None)) for r in runtimes}
    to.mkdir(parents=True, exist_ok=True)
    files = [entry for each in made.values() for entry in _copy(each, to)]
    first = next(iter(made.values()))
    write_atomic(to / "labels.txt", "".join(f"{name}\n" for name in ctx.dataset.class_names))
    for runtime, each in made.items():
        write_atomic(to / f"preprocessing.{exporter_for(runtime).format}.json", canonical_json(each.preprocessing) + "\n")
    manifest = Manifest(
        name=to.name,
        precision="fp32",
        verdict="not measured",
        arch_id=arch.id,
        architecture=ctx.space.values(arch.indices),
        space=space_facts(ctx),
        dataset=data_facts(ctx),
        metrics={"accuracy_val": first.accuracy_val},
        latency=None,
        parity=Parity(**first.facts["parity"]),
        files=describe_files(to, sorted(to.iterdir())),
        tools=first.tools,
    )
    write_manifest(manifest, to / MANIFEST)
    return {"arch": arch.id, "choices": ctx.space.values(arch.indices), "folder": str(to), "files": files}


def _copy(made: Built, to: Path) -> list[dict[str, Any]]:
    entries = []
    for kind, artifact in (("main", made.main), ("int8", made.int8)):
        if artifact is None:
            continue
        source = Path(artifact.path)
        shutil.copyfile(source, to / source.name)
        figures = made.facts if kind == "main" else made.facts["int8"]
        entries.append(
            {
                "path": source.name,
                "runtime": artifact.runtime,
                "precision": artifact.precision,
                "sha256": artifact.sha256,
                "size_bytes": source.stat().st_size,
                "accuracy_val": figures["accuracy_val"],
                "parity_max_abs": figures["parity"]["max_abs"],
                "top1_agreement": figures["parity"]["top1_agreement"],
            }
        )
    return entries
