"""``hwnas devices``: what can be measured."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hwnas.cli.console import show_json, show_table
from hwnas.cli.options import Folder, Json, open_workspace
from hwnas.cli.trust import trust
from hwnas.core.errors import DeviceError

app = typer.Typer(help="Devices: list them, check one, trust one's host key.", no_args_is_help=True)
app.command("trust")(trust)


@app.command("list")
def list_devices(folder: Folder = Path(), json: Json = False) -> None:
    """List the devices of the workspace."""
    devices = open_workspace(folder).devices.values()
    if json:
        show_json(list(devices))
        return
    show_table(
        ("device", "transport", "address", "runtimes"),
        [(d.id, d.transport, d.address or "-", ", ".join(d.runtimes) or "-") for d in devices],
    )


@app.command("check")
def check(
    names: Annotated[list[str] | None, typer.Argument(help="Devices; all of them unless named.")] = None,
    folder: Folder = Path(),
    json: Json = False,
) -> None:
    """Ask each device what it is: reachable, runtimes and versions, governor, what to fix. Exit code 3 if one cannot be used."""
    from hwnas.pipeline.checking import check_device

    workspace = open_workspace(folder)
    reports = [check_device(workspace.device(name)) for name in names or list(workspace.devices)]
    if json:
        show_json(reports)
    else:
        rows = [(r.device, "yes" if r.reachable else "no", r.summary, r.fix or "-") for r in reports]
        show_table(("device", "reachable", "what it says", "what to fix"), rows)
    unusable = [r for r in reports if not r.usable]
    if unusable:
        raise DeviceError(f"{unusable[0].device}: {unusable[0].fix}")
