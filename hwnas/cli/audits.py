"""``hwnas table check`` and ``diff``: what is wrong with a table, and what became slower."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from hwnas.cli.console import err, out, show_json, show_table
from hwnas.cli.options import Folder, Json, open_workspace
from hwnas.config import CONFIG
from hwnas.core.errors import RegressionError
from hwnas.core.serial import plain
from hwnas.latency.compare import Ratio
from hwnas.latency.tablediff import TableDiff
from hwnas.latency.tablediff import diff as compare_tables
from hwnas.latency.tablefile import read_table


def check(
    name: Annotated[str, typer.Argument(help="A device of the workspace, or the file of a table.")],
    runtime: Annotated[str | None, typer.Option(help="Only tables of this runtime.")] = None,
    space: Annotated[str | None, typer.Option(help="Look for missing blocks of this space, not of the table's own.")] = None,
    resolution: Annotated[list[int] | None, typer.Option(help="Only at this input size; may be given several times.")] = None,
    against: Annotated[Path | None, typer.Option(help="An older table of the same context: has the device drifted since?")] = None,
    folder: Folder = Path(),
    json: Json = False,
) -> None:
    """Audit tables: missing blocks, outliers, impossible orderings, wrong units, drift. A line each; exit code 7 if there is any."""
    from hwnas.latency.audit import audit
    from hwnas.pipeline.tables import named_tables, spaces_of

    workspace = open_workspace(folder) if (folder / CONFIG).is_file() or not name.endswith(".json") else None
    before = None if against is None else read_table(against)
    listed = []
    for path in named_tables(workspace, name, runtime):
        table = read_table(path)
        spaces = spaces_of(table, workspace, space, resolution or ())
        found = audit(table, spaces, before=before)
        listed += [{"table": str(path), **plain(finding)} for finding in found]
        if not json:
            for finding in found:
                out.print(f"{path}: {finding.line}", soft_wrap=True, markup=False)
            if not spaces:
                err.print(f"{path}: missing blocks were not looked for; name the space with --space", soft_wrap=True)
            if not found:
                out.print(f"{path}: {len(table.blocks)} blocks and {len(table.networks)} networks, nothing wrong", soft_wrap=True)
    if json:
        show_json(listed)
    if listed:
        raise RegressionError(f"{name}: {len(listed)} findings" if len(listed) > 1 else f"{name}: a finding")


def diff(
    old: Annotated[str, typer.Argument(help="The older table's file; or a device, whose accepted tables are compared with measured ones.")],
    new: Annotated[Path | None, typer.Argument(help="The newer table's file.")] = None,
    limit: Annotated[float | None, typer.Option(min=0, help="Exit with 7 where something is surely slower by more, in percent.")] = None,
    runtime: Annotated[str | None, typer.Option(help="Only tables of this runtime.")] = None,
    top: Annotated[int, typer.Option(min=1, help="How many of the changes to list.")] = 20,
    folder: Folder = Path(),
    json: Json = False,
) -> None:
    """Show what became slower from one table to another of the same context, with intervals."""
    from hwnas.pipeline.tables import pairs_of

    pairs = [(Path(old), new)] if new is not None else pairs_of(open_workspace(folder), old, runtime)
    found = [(before, now, compare_tables(read_table(before), read_table(now))) for before, now in pairs]
    if json:
        show_json([_document(*one) for one in found])
    else:
        for one in found:
            _show(*one, top=top)
    if limit is not None:
        for _, _, each in found:
            each.require_within(limit / 100)


def _show(before: Path, now: Path, found: TableDiff, *, top: int) -> None:
    changed = (*found.slower, *found.faster)
    rows = [(r.key, f"{r.before_ms:.4f}", f"{r.now_ms:.4f}", f"{r.ratio:.3f}", f"{r.low:.3f} to {r.high:.3f}") for r in changed[:top]]
    show_table(("surely slower, then surely faster", "old ms", "new ms", "ratio", "95 % interval"), rows, title=f"{before} to {now}")
    unsure, scale = len(found.ratios) - len(changed), f"{found.scale:.3f} ({found.scale_low:.3f} to {found.scale_high:.3f})"
    out.print(
        f"{len(found.slower)} slower, {len(found.faster)} faster, {unsure} within what is sure, {len(found.added)} added, "
        f"{len(found.removed)} removed; in common {scale}",
        soft_wrap=True,
    )


def _document(before: Path, now: Path, found: TableDiff) -> dict[str, object]:
    return {"old": str(before), "new": str(now), **plain(found), "ratios": [_plain(ratio) for ratio in found.ratios]}


def _plain(ratio: Ratio) -> dict[str, object]:
    """Where an interval is not known, its ends are null."""
    known = math.isfinite(ratio.high)
    return {**plain(ratio), "ratio": ratio.ratio, "low": ratio.low if known else None, "high": ratio.high if known else None}
