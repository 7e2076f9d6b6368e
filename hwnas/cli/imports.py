"""``hwnas table import`` and ``merge``: tables that come from elsewhere, and several tables of one context as one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hwnas.cli.console import err, out, show_json
from hwnas.cli.options import Folder, Json, open_workspace
from hwnas.core.serial import plain

Replace = Annotated[bool, typer.Option("--replace", help="Overwrite a table of the same context that says something else.")]


def import_files(
    files: Annotated[list[Path], typer.Argument(help="CSV, or YAML of OFA or ProxylessNAS; several are one table.")],
    device: Annotated[str, typer.Option(help="The name that the device gets here.")],
    runtime: Annotated[str, typer.Option(help="What ran the blocks.")] = "tflite",
    precision: Annotated[str, typer.Option(help="Of the blocks.")] = "fp32",
    threads: Annotated[int, typer.Option(min=1, help="That the runtime had.")] = 1,
    batch: Annotated[int, typer.Option(min=1, help="Images a call.")] = 1,
    regime: Annotated[str, typer.Option(help="The device's state; a plain mean of all runs is typical.")] = "typical",
    unit: Annotated[str, typer.Option(help="Of times in YAML: ms, us or s. Columns of CSV say their own.")] = "ms",
    space: Annotated[str | None, typer.Option(help="The search space; the one that shares most blocks unless given.")] = None,
    resolution: Annotated[list[int] | None, typer.Option(help="Take only rows of this input size; may be given several times.")] = None,
    replace: Replace = False,
    folder: Folder = Path(),
    json: Json = False,
) -> None:
    """Import a published block table into latency_tables/, so that 'hwnas predict' works with it."""
    from hwnas.latency.importing import Origin, import_table
    from hwnas.pipeline.tables import keep

    workspace = open_workspace(folder)
    origin = Origin(device, runtime, precision, threads, batch, regime)
    found = import_table(files, origin, unit=unit, space=space, resolutions=resolution or ())
    path = keep(found.table, workspace, replace=replace)
    table = found.table
    if json:
        blocks = len(table.blocks)
        show_json({"file": str(path), **table.context, "blocks": blocks, "facts": plain(table.facts), "unused": list(found.unused)})
        return
    for line in found.unused:
        err.print(f"[yellow]note:[/] {line}", soft_wrap=True)
    context = f"{runtime} {precision}, threads {threads}, batch {batch}, {regime}"
    sizes = table.facts["resolutions"]
    out.print(f"imported {len(table.blocks)} blocks of {table.facts['space']} at {sizes} px as {context}: {path}", soft_wrap=True)


def merge_files(
    files: Annotated[list[Path], typer.Argument(help="Tables of one context.")],
    replace: Replace = False,
    folder: Folder = Path(),
    json: Json = False,
) -> None:
    """Merge tables of one context into latency_tables/. What they say differently is an error; contexts are never mixed."""
    from hwnas.latency.merging import merge
    from hwnas.latency.tablefile import read_table
    from hwnas.pipeline.tables import keep

    workspace = open_workspace(folder)
    merged = merge([read_table(path) for path in files])
    path = keep(merged.table, workspace, replace=replace)
    blocks, networks = len(merged.table.blocks), len(merged.table.networks)
    if json:
        found = {"file": str(path), **merged.table.context, "blocks": blocks, "networks": networks, "left_out": list(merged.left_out)}
        show_json(found)
        return
    if merged.left_out:
        err.print(f"[yellow]note:[/] facts that differ were left out: {', '.join(merged.left_out)}", soft_wrap=True)
    out.print(f"merged {blocks} blocks and {networks} networks: {path}", soft_wrap=True)
