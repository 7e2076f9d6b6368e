"""``hwnas init``: a new workspace, asked for in three questions on a terminal."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from hwnas.cli.console import out, show_json
from hwnas.cli.options import Json
from hwnas.core.errors import ConfigError, HwnasError
from hwnas.core.registry import suggest
from hwnas.core.result import LatencyLimit
from hwnas.core.serial import write_atomic
from hwnas.data import BUILT_IN

DATA, SPACE, BUDGETS = "fashion-mnist", "tiny-32", ("40%", "60%", "80%")

CONFIG = """\
# A hwnas workspace: 'hwnas run' trains, profiles, searches, exports and verifies what is written here.
# Lines that begin with '# ' and a name show what is taken unless they say otherwise.
seed = 0

[data]
source = "{data}"        # built in: "fashion-mnist"; or a folder of class folders of JPEG/PNG, or an .npz

[space]
preset = "{space}"       # 'hwnas spaces list' shows the others
# resolutions = []         # some of its input sizes, as [16, 24]; fewer are quicker to measure and to train

[train]
# recipe = "sandwich"      # or "shrinking", "single-path"
# epochs = 10
# batch = 96
# lr = 0.1                 # its peak
# flip = true              # mirror half of the images; false where left and right mean something
# threads = 2              # processes, each with its share of every batch

[profile]
# networks = 40            # whole networks measured beside the blocks; fewer than 19 bound less surely
# max_seconds = 240.0      # the longest session: what is too noisy by then is refused

[accuracy]
# subnets = 160            # evaluated on the validation part to fit the accuracy predictor

[search]
# strategy = "evolution"
# trials = 20000           # architectures looked at through the predictors, a budget
# candidates = 8           # the best of them are evaluated for real
"""
DEVICE = """\
# This machine, measured by the agent in a process of its own. 'hwnas devices add' writes others.
transport = "local"
runtimes = ["onnxruntime", "litert"]
"""
RECIPE = """\
device = "local"
runtime = "{runtime}"
budgets = {budgets}   # shares of the largest subnet's latency, or times: "4ms"
statistic = "p50"                 # what a budget is about; p90 and p99 work too
regime = "quiet"                  # or "typical": the first attempt of each visit, disturbed or not
"""


def init(
    folder: Annotated[Path, typer.Argument(help="Where; it is made if it is not there.")] = Path(),
    data: Annotated[str | None, typer.Option(help=f"Images: built in ({DATA}), a folder of class folders, or an .npz.")] = None,
    space: Annotated[str | None, typer.Option(help=f"Search space, see 'hwnas spaces list'; {SPACE} unless given.")] = None,
    budget: Annotated[list[str] | None, typer.Option(help="A latency budget, as 4ms or 60%; may be given several times.")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing: take what is not given as it is by default.")] = False,
    json_: Json = False,
) -> None:
    """Write a new workspace: hwnas.toml, this machine as a device, and a recipe a runtime. Asks on a terminal what is not given."""
    ask = not yes and not json_ and sys.stdin.isatty() and sys.stdout.isatty()
    _require_new(folder)
    data = _answer("Images (built-in name, folder of class folders, or .npz)", data, DATA, lambda text: _source(text, folder), ask=ask)
    space = _answer("Search space ('hwnas spaces list' shows all)", space, SPACE, _space, ask=ask)
    given = " ".join(budget) if budget else None
    budgets = _answer("Latency budgets (as 4ms, or 60% of the largest subnet)", given, " ".join(BUDGETS), _budgets, ask=ask)
    for path, text in _files(folder, data=data, space=space, budgets=budgets).items():
        write_atomic(path, text)
    for name in ("latency_tables", "export/baselines"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    if json_:
        show_json({"folder": str(folder), "files": [path.relative_to(folder) for path in _files(folder)]})
        return
    out.print(
        f"wrote {', '.join(str(p.relative_to(folder)) for p in _files(folder))}; next: hwnas run"
        + (f" --workspace {folder}" if folder != Path() else ""),
        soft_wrap=True,
    )


def _files(folder: Path, *, data: str = "", space: str = "", budgets: str = "") -> dict[Path, str]:
    recipes = folder / "export" / "recipes"
    return {
        folder / "hwnas.toml": CONFIG.format(data=data, space=space),
        folder / "devices" / "local.toml": DEVICE,
        recipes / "local-onnxruntime.toml": RECIPE.format(runtime="onnxruntime", budgets=budgets),
        recipes / "local-litert.toml": RECIPE.format(runtime="litert", budgets=budgets),
        folder / ".gitignore": "runs/\ndist/\n",
    }


def _require_new(folder: Path) -> None:
    there = [path for path in _files(folder) if path.exists()]
    if there:
        raise ConfigError(f"{there[0]} exists; 'hwnas init' writes only into a folder without a workspace")


def _answer(question: str, given: str | None, default: str, check: Callable[[str], str], *, ask: bool) -> str:
    """What was given, what is typed, or the default, as ``check`` writes it; what it refuses is asked again on a terminal."""
    if given is not None or not ask:
        return check(default if given is None else given)

    def typed(text: str) -> str:
        try:
            return check(text.strip())
        except HwnasError as problem:
            raise typer.BadParameter(str(problem)) from None

    return str(typer.prompt(question, default=default, value_proc=typed))


def _space(name: str) -> str:
    from hwnas.space.family import find_space

    return find_space(name).name


def _budgets(text: str) -> str:
    """Budgets with blanks or commas between them, as a TOML array."""
    words = text.replace(",", " ").split()
    if not words:
        raise ConfigError("give at least one budget, as 4ms or 60%")
    for word in words:
        LatencyLimit.parse(word)
    return json.dumps(list(dict.fromkeys(words)))


def _source(data: str, folder: Path) -> str:
    """``data`` as it has to be written in the workspace: a path as typed is relative to where it was typed."""
    if '"' in data or "\\" in data or not data.isprintable():
        raise ConfigError(f"--data {data!r}: quotes, backslashes and control characters cannot be written to a TOML string")
    if data in BUILT_IN:
        return data
    path = Path(data)
    if not path.exists():
        raise ConfigError(f"--data {data}: no such folder or file; {suggest(data, BUILT_IN)}")
    if path.is_absolute():
        return data
    return Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()
