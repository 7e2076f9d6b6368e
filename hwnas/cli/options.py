"""Options that several commands share, and how a command opens its workspace."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hwnas.workspace import Workspace

Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")]
Folder = Annotated[Path, typer.Option("--workspace", "-w", help="The folder with hwnas.toml.")]


def open_workspace(folder: Path) -> Workspace:
    """The workspace at ``folder``; a missing or wrong one raises `ConfigError`."""
    return Workspace.open(folder)
