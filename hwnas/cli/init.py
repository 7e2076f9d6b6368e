"""``hwnas init``: a new workspace."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from hwnas.cli.console import out
from hwnas.core.errors import ConfigError
from hwnas.core.registry import suggest
from hwnas.core.serial import write_atomic
from hwnas.data import BUILT_IN

CONFIG = """\
# A hwnas workspace: 'hwnas run' trains, profiles, searches, exports and verifies what is written here.
seed = 0

[data]
source = "{data}"        # built in: "fashion-mnist"; or a folder of class folders of JPEG/PNG, or an .npz

[space]
preset = "{space}"       # 'hwnas spaces list' shows the others
# resolutions = [16, 24]   # some of its input sizes; fewer are quicker to measure and to train
"""
DEVICE = """\
# This machine, measured by the agent in a process of its own.
transport = "local"
runtimes = ["onnxruntime", "litert"]
"""
RECIPE = """\
device = "local"
runtime = "{runtime}"
budgets = ["40%", "60%", "80%"]   # of the largest subnet's latency; "4ms" works too
statistic = "p50"                 # what the budget is about; p90 and p99 work too
"""


def init(
    folder: Annotated[Path, typer.Argument(help="Where; it is made if it is not there.")] = Path(),
    data: Annotated[str, typer.Option(help="Images: a built-in name, a folder of class folders, or an .npz.")] = "fashion-mnist",
    space: Annotated[str, typer.Option(help="Search space, see 'hwnas spaces list'.")] = "tiny-32",
) -> None:
    """Write a new workspace: hwnas.toml, this machine as a device, and a recipe a runtime."""
    from hwnas.space.family import find_space

    find_space(space)
    if '"' in data or "\\" in data or not data.isprintable():
        raise ConfigError(f"--data {data!r}: quotes, backslashes and control characters cannot be written to a TOML string")
    source = _source(data, folder)
    files = {
        folder / "hwnas.toml": CONFIG.format(data=source, space=space),
        folder / "devices" / "local.toml": DEVICE,
        folder / "export" / "recipes" / "local-onnxruntime.toml": RECIPE.format(runtime="onnxruntime"),
        folder / "export" / "recipes" / "local-litert.toml": RECIPE.format(runtime="litert"),
        folder / ".gitignore": "runs/\ndist/\n",
    }
    there = [path for path in files if path.exists()]
    if there:
        raise ConfigError(f"{there[0]} exists; 'hwnas init' writes only into a folder without a workspace")
    for path, text in files.items():
        write_atomic(path, text)
    for name in ("latency_tables", "export/baselines"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    out.print(
        f"wrote {', '.join(str(p.relative_to(folder)) for p in files)}; next: hwnas run"
        + (f" --workspace {folder}" if folder != Path() else ""),
        soft_wrap=True,
    )


def _source(data: str, folder: Path) -> str:
    """``data`` as it has to be written in the workspace: a path as typed is relative to where it was typed."""
    if data in BUILT_IN:
        return data
    path = Path(data)
    if not path.exists():
        raise ConfigError(f"--data {data}: no such folder or file; {suggest(data, BUILT_IN)}")
    if path.is_absolute():
        return data
    return Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()
