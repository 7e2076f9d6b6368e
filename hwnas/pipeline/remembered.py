"""What came of a recipe, kept until something that it was made of changes: `hwnas ci` then has nothing to build, and loads no torch.

What decides a result names its file: the recipe, all that a run is asked, the source of hwnas and the versions of its tools. The tables and
timings that it was made from, and the files that it made, are listed in it by SHA-256.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from hwnas import __version__
from hwnas.core.serial import canonical_json, content_id, plain, sha256_file, write_atomic
from hwnas.export.manifest import tool_versions
from hwnas.latency.table import table_path
from hwnas.pipeline.context import Context
from hwnas.recipe import Recipe
from hwnas.store.sources import package_digest

Rows = Sequence[Mapping[str, Any]]


def recalled(ctx: Context, name: str, recipe: Recipe) -> Rows | None:
    """The rows that `remember` kept; None where there are none, or where a file that they speak of is not as it was."""
    try:
        record = json.loads(_path(ctx, name, recipe).read_text())
        files, rows = record["files"].items(), record["rows"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    root = ctx.workspace.root
    if not all((root / path).is_file() and sha256_file(root / path) == digest for path, digest in files):
        return None
    ctx.reporter.reused(f"recipe {name}")
    found: Rows = rows
    return found


def remember(ctx: Context, name: str, recipe: Recipe, rows: Rows, files: Iterable[Path]) -> None:
    """Keep ``rows``, which hold as long as ``files`` are as they are now. What a device that is away left open is not kept."""
    if any(row["unmeasured"] for row in rows):
        return
    root = ctx.workspace.root
    digests = {path.relative_to(root).as_posix(): sha256_file(path) for path in sorted(files)}
    write_atomic(_path(ctx, name, recipe), canonical_json({"rows": rows, "files": digests}) + "\n")


def _path(ctx: Context, name: str, recipe: Recipe) -> Path:
    device = ctx.workspace.device(recipe.device)
    program = None if device.native is None else Path(device.native.path)
    weights = ctx.store.root / "supernets" / f"{ctx.space.id}.json"
    asked = [
        name,
        ctx.config,
        recipe,
        device,
        [_digest(path) for path in (weights, program)],
        [_digest(path) for path in _accepted(ctx, recipe)],
        ctx.dataset.id,
        ctx.space.id,
        [__version__, package_digest(), tool_versions()],
    ]
    return ctx.store.root / "recipes" / f"{name}-{content_id(plain(asked))}.json"


def _accepted(ctx: Context, recipe: Recipe) -> list[Path]:
    """Where the recipe's accepted tables lie, or would."""
    root = ctx.workspace.accepted_tables
    asked = partial(table_path, root, device=recipe.device, runtime=recipe.runtime, precision=recipe.precision, threads=recipe.threads)
    return [asked(regime=regime) for regime in ctx.workspace.device(recipe.device).regimes]


def _digest(path: Path | None) -> str | None:
    return sha256_file(path) if path is not None and path.is_file() else None
