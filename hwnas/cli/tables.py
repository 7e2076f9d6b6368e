"""``hwnas table``: look at measured tables, accept one."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from hwnas.cli.audits import check, diff
from hwnas.cli.console import out, show_facts, show_json, show_table
from hwnas.cli.imports import import_files, merge_files
from hwnas.cli.options import Folder, Json, open_workspace
from hwnas.config import CONFIG
from hwnas.core.errors import TableError
from hwnas.core.serial import plain, read_json
from hwnas.latency.table import LatencyTable
from hwnas.latency.tablefile import SCHEMA, read_table, write_table
from hwnas.pipeline.tables import audited_table, below, named_tables
from hwnas.workspace import Workspace

app = typer.Typer(help="Latency tables: show, accept, import, compare, audit and merge them.", no_args_is_help=True)
app.command("import")(import_files)
app.command("merge")(merge_files)
app.command("check")(check)
app.command("diff")(diff)


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(help="A device of the workspace, or the file of a table.")],
    runtime: Annotated[str | None, typer.Option(help="Only tables of this runtime.")] = None,
    top: Annotated[int, typer.Option(min=1, help="How many of the slowest blocks to list.")] = 20,
    folder: Folder = Path(),
    json: Json = False,
) -> None:
    """Show what a table holds: where it was measured, how quiet the device was, its slowest blocks."""
    workspace = open_workspace(folder) if (folder / CONFIG).is_file() or not name.endswith(".json") else None
    tables = [(path, read_table(path)) for path in named_tables(workspace, name, runtime)]
    if json:
        blocks = [{"blocks": {k: m.quantile_ms("p50") for k, m in table.blocks.items()}} for _, table in tables]
        show_json([_facts(path, table, workspace) | own for (path, table), own in zip(tables, blocks, strict=True)])
        return
    for path, table in tables:
        show_facts(_facts(path, table, workspace))
        slowest = sorted(table.blocks.items(), key=lambda item: -item[1].quantile_ms("p50"))[:top]
        rows = []
        for key, m in slowest:
            low, high = m.interval_ms("p50")
            memory = "-" if m.peak_memory_bytes is None else f"{m.peak_memory_bytes / 2**20:.1f}"
            energy = "-" if m.energy_mj is None else f"{m.energy_mj:.3f}"
            interval = f"{1e3 * low:.1f} to {1e3 * high:.1f}" if math.isfinite(high) else "unknown"
            rows.append((key, f"{1e3 * m.quantile_ms('p50'):.1f}", interval, m.count, "-" if m.published else m.rejected, memory, energy))
        columns = ("block", "p50 us", "95 % interval", "samples", "rejected", "peak MiB", "mJ")
        show_table(columns, rows, title=f"slowest {len(rows)} of {len(table.blocks)} blocks")


@app.command("schema")
def schema() -> None:
    """Print the JSON Schema of a table's file, of all versions."""
    show_json(read_json(SCHEMA))


@app.command("accept")
def accept(
    device: Annotated[str, typer.Argument(help="A device of the workspace.")],
    runtime: Annotated[str | None, typer.Option(help="Only tables of this runtime.")] = None,
    folder: Folder = Path(),
    json: Json = False,
) -> None:
    """Promote the latest measured tables of a device to latency_tables/, where git diff shows what changed."""
    workspace = open_workspace(folder)
    workspace.device(device)
    tables = [read_table(path) for path in below(workspace.store.tables, device, runtime)]
    if not tables:
        raise TableError(f"{workspace.store.tables / device}: nothing measured yet; run 'hwnas profile {device}'")
    accepted = []
    for table in tables:
        path = write_table(table, workspace.accepted_tables).relative_to(workspace.root)
        accepted.append({"file": str(path), **table.context, "blocks": len(table.entries), "networks": len(table.networks)})
    if json:
        show_json(accepted)
        return
    for entry in accepted:
        out.print(f"accepted {entry['file']}", soft_wrap=True)


def _facts(path: Path, table: LatencyTable, workspace: Workspace | None) -> dict[str, object]:
    context = dict(table.context.items())
    return {
        "file": str(path),
        **context,
        "blocks measured": len(table.blocks),
        "networks measured": len(table.networks),
        "additivity": audited_table(table, workspace),
        **plain(table.facts),
        **_fallen_back(table),
    }


def _fallen_back(table: LatencyTable) -> dict[str, object]:
    """What did not run on the runtime's own executor, where anything did not: of blocks and networks, the worst first."""
    models = {**table.entries, **{key: network.measurement for key, network in table.networks.items()}}
    fallen = {key: m for key, m in models.items() if m.facts.get("fallbacks")}
    if not fallen:
        return {}
    key, worst = max(fallen.items(), key=lambda item: (item[1].facts["fallbacks"], item[0]))
    words = f"{key}: {worst.facts['executed_by']} ({worst.facts['execution_note']})"
    return {"fell back": f"{len(fallen)} of {len(models)} models have nodes that ran elsewhere, most of all {words}"}
