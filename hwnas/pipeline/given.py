"""``[weights]`` of a recipe: a supernet from a file or from the web, known by its SHA-256, in place of one that is trained here.

The file is one that hwnas wrote (``supernet.safetensors`` of a training) or an official checkpoint of Once-for-All.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import hwnas.supernet.mobilenet_v3  # noqa: F401  (registers its supernets)
from hwnas.core.errors import CheckpointError
from hwnas.core.serial import sha256_file
from hwnas.pipeline.context import Context
from hwnas.pipeline.imported import CODE, WEIGHTS
from hwnas.recipe import Weights
from hwnas.store.download import downloaded
from hwnas.store.stages import Stage
from hwnas.supernet.checkpoint import read_weights_of, write_weights
from hwnas.supernet.family import supernet_family
from hwnas.supernet.ofa import read_ofa


def given(ctx: Context, weights: Weights) -> tuple[Stage, Mapping[str, object]]:
    """The stage with the weights, and what they are of; a file of another hash or space raises `CheckpointError`."""
    identity = {"space": ctx.space.id, "file": weights.sha256}
    stage = ctx.store.stage("import", identity, code=CODE, glue=__name__)
    if stage.done:
        ctx.reporter.reused(f"weights {weights.source}")
        return stage, identity
    supernet = supernet_family(ctx.space).build(ctx.space, seed=ctx.config.seed)
    with ctx.reporter.stage(f"weights {weights.source}", 1):
        path = _file(ctx, weights)
        begin = _beginning(path)
        if begin[8:] == b"{":  # safetensors: eight bytes of length, then JSON
            read_weights_of(path, supernet, space=ctx.space.id)
        elif begin.startswith((b"PK", b"\x80")):  # torch: an archive, or a pickle of before 1.6
            read_ofa(path, supernet)
        else:
            raise CheckpointError(f"{weights.source}: neither weights that hwnas wrote (safetensors) nor a checkpoint of torch")
        write_weights(stage.folder / WEIGHTS, supernet, identity)
        stage.finish(WEIGHTS)
    return stage, identity


def _file(ctx: Context, weights: Weights) -> Path:
    if weights.url:
        return downloaded(weights.url, ctx.store.root / "downloads" / weights.sha256, sha256=weights.sha256)
    path = ctx.workspace.root / weights.path
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file; it is named under [weights] of a recipe")
    found = sha256_file(path)
    if found != weights.sha256:
        raise CheckpointError(f"{path}: has the SHA-256 {found}, not {weights.sha256} as the recipe says")
    return path


def _beginning(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(9)
