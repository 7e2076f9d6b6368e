"""``hwnas doctor``: is everything there that this machine and this workspace need?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hwnas.cli.console import Terminal, out, show_json, show_table
from hwnas.cli.options import Folder, Json, Quiet


def doctor(
    devices: Annotated[bool, typer.Option("--devices", help="Also connect to every device of the workspace and ask it.")] = False,
    folder: Folder = Path(),
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Say what is installed, missing or misconfigured, and how to fix it. Exit code 0, 2 (packages, files) or 3 (runtimes, devices)."""
    from hwnas.pipeline.doctor import examine, exit_code

    done = 0.0
    with Terminal(quiet=quiet).stage("look around", 3 if devices else 2) as advance:

        def step(name: str) -> None:
            nonlocal done
            advance(done, name)
            done += 1

        found = examine(folder, ask_devices=devices, step=step)
    code = exit_code(found)
    if json:
        show_json({"ok": code == 0, "exit_code": code, "findings": list(found)})
    else:
        show_table(
            ("topic", "what", "state", "found", "to do"),
            [(f.topic, f.name, f.state, f.text, f.fix if f.state != "ok" else "") for f in found],
        )
        wrong = sum(f.state == "wrong" for f in found)
        out.print(f"{wrong} to fix" if wrong else "nothing to fix")
    raise typer.Exit(code)
