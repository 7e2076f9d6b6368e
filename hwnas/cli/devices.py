"""``hwnas devices``: what can be measured."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hwnas.cli.added import add
from hwnas.cli.console import show_json, show_table, working
from hwnas.cli.options import Folder, Json, open_workspace
from hwnas.cli.trust import trust
from hwnas.core.errors import DeviceError
from hwnas.core.serial import plain

if TYPE_CHECKING:
    from hwnas.pipeline.checking import Checked

app = typer.Typer(help="Devices: add one, list them, check them, trust one's host key.", no_args_is_help=True)
app.command("add")(add)
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
    wait_s: Annotated[
        float | None,
        typer.Option(min=1, help="How long to wait for a device's page, in seconds; 300 for named devices, 10 for others."),
    ] = None,
    folder: Folder = Path(),
    json: Json = False,
) -> None:
    """Ask all devices at once what they are: reachable, agent, runtimes, clock, heat, what to fix. Exit code 3 if one cannot be used."""
    from hwnas.pipeline.checking import PAGE_WAIT_S, check_devices, first_unusable

    workspace = open_workspace(folder)
    devices = [workspace.device(name) for name in names or list(workspace.devices)]
    # a page's link is shown while it is awaited
    with working(f"ask {', '.join(device.id for device in devices)}", quiet=json or any(device.is_page for device in devices)):
        checked = check_devices(devices, wait_s=wait_s if wait_s or names else PAGE_WAIT_S)
    if json:
        show_json([{**plain(one), "fix": "; ".join(one.fixes)} for one in checked])
    else:
        show_table(
            ("device", "reachable", "what it says", "runtimes", "clock", "heat", "idle", "what to fix"), [_row(one) for one in checked]
        )
    unusable = first_unusable(checked)
    if unusable is not None:
        raise DeviceError(f"{unusable.device}: {'; '.join(unusable.fixes)}")


def _row(checked: Checked) -> tuple[str, ...]:
    fixes = "\n".join(checked.fixes) or "-"
    report = checked.report
    if report is None:
        return (checked.device, "no", checked.summary, "-", "-", "-", "-", fixes)
    facts = report.facts
    python = f"Python {report.python}" if report.python else ""
    agent = f"agent {report.agent}" if report.agent else "no agent"
    says = ", ".join(word for word in (agent, python, report.system, report.arch) if word)
    model = f"\n{facts['model']}" if facts.get("model") else ""
    runtimes = "\n".join(f"{name} {found.version}" for name, found in report.runtimes.items() if found.version is not None) or "none"
    clock = "\n".join(str(facts[name]) for name in ("governors", "clusters") if facts.get(name)) or str(facts.get("governor") or "unknown")
    hottest, slowed = facts.get("temperature_c"), facts.get("throttled") or facts.get("thermal_status")
    heat = "unknown" if not isinstance(hottest, (int, float)) else f"{hottest:.0f} °C"
    idle = facts.get("idle_share")
    return (
        checked.device,
        "yes",
        f"{says}, {len(report.cores)} cores{model}",
        runtimes,
        clock,
        heat + (f"\nslowed: {slowed}" if slowed and slowed not in ("no", "none") else ""),
        "unknown" if not isinstance(idle, (int, float)) else f"{idle:.0%}",
        fixes,
    )
