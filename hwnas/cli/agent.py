"""``hwnas agent``: the program that runs on devices."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hwnas.cli.console import out, show_json
from hwnas.cli.options import Json
from hwnas.core.serial import sha256_file
from hwnas.profiler.zipapp import write_zipapp

app = typer.Typer(help="The device agent: write it as one file.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """One command alone would take the place of its group."""


@app.command("zipapp")
def zipapp(
    to: Annotated[Path, typer.Argument(metavar="OUT", help="The file to write, as agent.pyz; one that is there is replaced.")],
    json: Json = False,
) -> None:
    """Write the device agent as one file that any Python 3.8 or newer runs; the same version of hwnas gives the same bytes."""
    write_zipapp(to)
    if json:
        show_json({"path": str(to), "size_bytes": to.stat().st_size, "sha256": sha256_file(to)})
        return
    out.print(f"wrote {to} ({to.stat().st_size / 1000:.0f} kB); the device needs Python 3.8 or newer and a runtime", soft_wrap=True)
    out.print(
        f"copy it there: 'python3 {to.name} --version' shows that it runs, 'python3 {to.name}' serves one host over stdin and stdout",
        soft_wrap=True,
    )
