"""What came of a recipe, kept until something that it was made of changes: `hwnas ci` then has nothing to build, and loads no torch.

What decides a result names its file: the recipe, all that a run is asked, the source of hwnas and the versions of its tools. The tables and
timings that it was made from, and the files that it made, are listed in it by SHA-256. A journal may have grown since: timings of other
files are added to it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from hwnas import __version__
from hwnas.core.errors import HwnasError
from hwnas.core.serial import canonical_json, content_id, plain, sha256_file, write_atomic
from hwnas.export.manifest import tool_versions
from hwnas.latency.table import table_path
from hwnas.pipeline.context import Context
from hwnas.recipe import Recipe
from hwnas.store.sources import package_digest

Rows = Sequence[Mapping[str, Any]]
JOURNAL = ".jsonl"


def recalled(ctx: Context, name: str, recipe: Recipe) -> Rows | None:
    """The rows that `remember` kept; None where there are none, or where a file that they speak of is not as it was."""
    try:
        record = json.loads(_path(ctx, name, recipe).read_text())
        files, rows = dict(record["files"]), record["rows"]
        root = ctx.workspace.root
        if not all(_beginning(root / path, size) == digest for path, (size, digest) in files.items()):
            return None
    except (OSError, ValueError, KeyError, TypeError, HwnasError):  # data that cannot be read: who runs the recipe says so
        return None
    ctx.reporter.reused(f"recipe {name}")
    found: Rows = rows
    return found


def remember(ctx: Context, name: str, recipe: Recipe, rows: Rows, files: Iterable[Path]) -> None:
    """Keep ``rows``, which hold as long as ``files`` are as they are now. What a device that is away left open is not kept."""
    if any(row["unmeasured"] for row in rows):
        return
    root = ctx.workspace.root
    digests = {path.relative_to(root).as_posix(): (size := path.stat().st_size, _beginning(path, size)) for path in sorted(files)}
    write_atomic(_path(ctx, name, recipe), canonical_json({"rows": rows, "files": digests}) + "\n")


def _beginning(path: Path, size: int) -> str | None:
    """The SHA-256 of a file of ``size`` bytes, or of as many of a journal; None for one of another size."""
    data = path.read_bytes()
    if len(data) < size or (len(data) > size and path.suffix != JOURNAL):
        return None
    return hashlib.sha256(data[:size]).hexdigest()


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
