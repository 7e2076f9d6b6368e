"""``hwnas report``: runs as one HTML file, or live in a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hwnas.cli.console import out, show_json
from hwnas.cli.options import Folder, Json, open_workspace
from hwnas.core.errors import UsageError
from hwnas.core.serial import write_atomic


def report(
    runs: Annotated[
        list[str] | None, typer.Argument(help="Ids of runs, searches or stages, or their beginnings; the latest unless given.")
    ] = None,
    to: Annotated[Path, typer.Option("--out", help="The HTML file.")] = Path("report.html"),
    figures: Annotated[Path | None, typer.Option(help="A folder for every figure as PNG, SVG and CSV; it is made.")] = None,
    serve: Annotated[
        bool, typer.Option("--serve", help="Show it in a browser of this machine, and follow what goes on, until Ctrl-C.")
    ] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Where to serve; any free port unless given.")] = 0,
    folder: Folder = Path(),
    json: Json = False,
) -> None:
    """Write the report of a run as one HTML file that needs no network; of several runs, their comparison."""
    from hwnas.pipeline.reported.assembled import report_of
    from hwnas.pipeline.reported.sources import find_sources
    from hwnas.report.page.document import document
    from hwnas.report.page.folder import write_figures

    workspace = open_workspace(folder)
    if serve:
        from hwnas.cli.served import serve_until_stopped

        serve_until_stopped(workspace, runs or [], port)
        return
    if to.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"{to}: a report is an HTML file; name one that ends in .html")
    if to.is_dir():
        raise UsageError(f"{to}: is a folder; name the HTML file in it")
    found = report_of(find_sources(workspace, runs or []))
    write_atomic(to, document(found))
    written = [to, *(write_figures(found, figures) if figures is not None else ())]
    if json:
        show_json([str(path) for path in written])
        return
    out.print(f"{to}: {found.title}, {to.stat().st_size / 1e6:.1f} MB", soft_wrap=True, markup=False)
    if figures is not None:
        out.print(f"{figures}: {len(written) - 1} files", soft_wrap=True, markup=False)
