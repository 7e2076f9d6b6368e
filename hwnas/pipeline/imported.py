"""``hwnas train --from-ofa``: a published supernet takes the place of one that is trained here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pydantic import ConfigDict

import hwnas.supernet.mobilenet_v3  # noqa: F401  (registers its supernets)
from hwnas.core.errors import CheckpointError
from hwnas.core.serial import STRICT, canonical_json, parse, read_json, sha256_file, write_atomic
from hwnas.pipeline.context import Context
from hwnas.store.stages import Stage
from hwnas.supernet.checkpoint import write_weights
from hwnas.supernet.family import supernet_family
from hwnas.supernet.ofa import read_ofa

CODE = ("hwnas.supernet.ofa", "hwnas.supernet.mobilenet_v3", "hwnas.supernet.checkpoint")
WEIGHTS = "supernet.safetensors"


@dataclass(frozen=True, slots=True)
class Import:
    """Which file the supernet of a space was taken from: its name, and the SHA-256 of its bytes."""

    space: str
    file: str
    sha256: str

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    @property
    def identity(self) -> Mapping[str, object]:
        """What decides the weights."""
        return {"space": self.space, "ofa": self.sha256}


def import_ofa(ctx: Context, path: Path) -> None:
    """Make the official checkpoint at ``path`` the supernet of the workspace's space; `CheckpointError` where it cannot be."""
    supernet = supernet_family(ctx.space).build(ctx.space, seed=ctx.config.seed)
    with ctx.reporter.stage(f"import {path.name}", 1):
        read_ofa(path, supernet)
        source = Import(ctx.space.id, path.name, sha256_file(path))
        stage = _stage(ctx, source)
        if not stage.done:
            write_weights(stage.folder / WEIGHTS, supernet, source.identity)
            stage.finish(WEIGHTS)
        write_atomic(_note(ctx), canonical_json(source) + "\n")


def imported(ctx: Context) -> tuple[Stage, Import] | None:
    """The imported supernet of the workspace's space, where there is one; `CheckpointError` where its weights are gone."""
    note = _note(ctx)
    if not note.is_file():
        return None
    source = parse(Import, read_json(note, error=CheckpointError), where=str(note), error=CheckpointError)
    stage = _stage(ctx, source)
    again = f"run 'hwnas train --from-ofa {source.file}' again, or remove {note} to train a supernet here"
    if source.space != ctx.space.id or not stage.done:
        raise CheckpointError(f"{note}: the weights that were imported from {source.file} are not there, or of another version; {again}")
    ctx.reporter.expect(f"the supernet of {ctx.space.name} was imported from {source.file} ({note})")
    return stage, source


def _note(ctx: Context) -> Path:
    """Says that a supernet was imported: one for a space."""
    return ctx.store.root / "supernets" / f"{ctx.space.id}.json"


def _stage(ctx: Context, source: Import) -> Stage:
    return ctx.store.stage("import", source.identity, code=CODE, glue=__name__)
