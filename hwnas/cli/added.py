"""``hwnas devices add``: a new device, described by itself."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Annotated

import typer

from hwnas.cli.console import err, out, show_json
from hwnas.cli.options import Folder, Json, open_workspace
from hwnas.core.access import TABLES, OptionValue, is_path
from hwnas.core.errors import UsageError

_SETTINGS = "Any option of a table of the file, once or more: " + ", ".join(
    f"{table}.{field.name}" for table, options in TABLES.items() for field in fields(options)
)


def add(
    name: Annotated[str, typer.Argument(metavar="ID", help="What to call the device; its file becomes devices/ID.toml.")],
    transport: Annotated[str, typer.Option(help="How it is reached: local, ssh, adb, browser.")],
    address: Annotated[str, typer.Option(help="Where: user@host:port for ssh, the serial number for adb, the page's address.")] = "",
    threads: Annotated[int, typer.Option(min=1, help="Threads of a model.")] = 1,
    key: Annotated[Path | None, typer.Option(help="ssh: file of the private key that logs in.")] = None,
    ssh_agent: Annotated[bool, typer.Option("--ssh-agent", help="ssh: ask your ssh agent for keys.")] = False,
    jump: Annotated[str | None, typer.Option(help="ssh: hosts to go through, user@host:port, several with commas.")] = None,
    python: Annotated[str | None, typer.Option(help="ssh, adb: the interpreter on the device.")] = None,
    work_folder: Annotated[str | None, typer.Option(help="ssh, adb: where work folders are made on the device.")] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", metavar="TABLE.NAME=VALUE", help=_SETTINGS)] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Write the file without asking the device.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    wait_s: Annotated[float, typer.Option(min=1, help="How long to wait for a device's page, in seconds.")] = 300.0,
    folder: Folder = Path(),
    json: Json = False,
) -> None:
    """Ask a device what it is and write devices/ID.toml. Exit code 3 if it does not answer; nothing is written then."""
    from hwnas.pipeline.adding import add_device
    from hwnas.pipeline.descriptor import Asked, option_in

    workspace = open_workspace(folder)
    flags: dict[str, OptionValue | None] = {"key": str(key) if key else None, "agent": ssh_agent or None}
    flags |= {"jump": jump, "python": python, "folder": work_folder}
    given = [(transport, option, value) for option, value in flags.items() if value is not None]
    options = _by_table([*given, *map(option_in, settings or ())], workspace.root / "devices")
    asked = Asked(name, transport, address, threads, options)
    added = add_device(workspace, asked, offline=offline, force=force, wait_s=wait_s)
    if json:
        show_json({"path": str(added.path), "device": added.device, "report": added.report})
        return
    out.print(added.path.read_text(encoding="utf-8"), markup=False, soft_wrap=True, end="")
    following = f"hwnas devices trust {name}" if offline and transport == "ssh" else f"hwnas profile {name}"
    err.print(f"wrote {added.path}; next: {following}", markup=False, soft_wrap=True)


def _by_table(given: Sequence[tuple[str, str, OptionValue]], folder: Path) -> dict[str, dict[str, OptionValue]]:
    """Options of a file in ``folder``, by table and name; lists grow, and anything else is given once."""
    options: dict[str, dict[str, OptionValue]] = {}
    for table, name, value in given:
        own = options.setdefault(table, {})
        before = own.get(name)
        if isinstance(value, tuple) and isinstance(before, tuple):
            own[name] = before + value
        elif before is not None:
            raise UsageError(f"{table}.{name} is given twice")
        else:
            own[name] = _beside(Path(value), folder) if isinstance(value, str) and is_path(table, name) else value
    return options


def _beside(path: Path, folder: Path) -> str:
    """A path as typed, as it has to be written in a file in ``folder``."""
    if path.is_absolute() or str(path).startswith("~"):
        return str(path)
    return Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()
