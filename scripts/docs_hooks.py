"""Pages of the documentation that are written from the code when it is built: commands, configuration, stored fields, exit codes.

mkdocs calls `on_files`; nothing is written to the source tree.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import typing
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import typer.main
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from hwnas import workspace
from hwnas.cli.main import EPILOG, app
from hwnas.config import SELECTIONS, AccuracyConfig, Config, DataConfig, ProfileConfig, SearchConfig, SpaceConfig
from hwnas.core import errors
from hwnas.core.access import WHAT, AdbOptions, NativeOptions, SshOptions
from hwnas.core.device import PRECISIONS
from hwnas.data import Limits
from hwnas.export import manifest
from hwnas.export.exporter import RUNTIME_FORMATS
from hwnas.latency import tableformat, tableline
from hwnas.latency.footprint import UNITS
from hwnas.profiler.channel import LAUNCHERS
from hwnas.recipe import BUDGET_REGIMES, BUDGET_STATISTICS, BaselineLimits, Int8Limits, Recipe
from hwnas.search.solver import SOLVERS
from hwnas.search.strategy import STRATEGIES
from hwnas.space.family import FAMILIES
from hwnas.supernet.predictor import FITTED
from hwnas.supernet.recipe import RECIPES, TrainConfig

NAMES: tuple[tuple[str, Iterable[str]], ...] = (
    ("transport", LAUNCHERS),
    ("runtime", RUNTIME_FORMATS),
    ("precision", PRECISIONS),
    ("statistic of a budget", BUDGET_STATISTICS),
    ("regime of a budget", BUDGET_REGIMES),
    ("space", [preset.name for name in FAMILIES for preset in FAMILIES.get(name).presets()]),
    ("training recipe", RECIPES),
    ("accuracy predictor", FITTED),
    ("selection of subnets", SELECTIONS),
    ("search strategy", STRATEGIES),
    ("solver, in a strategy's place", SOLVERS),
    ("limit beside latency", UNITS),
)
"""Registries, as files and options name what is in them."""


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the pages that come from the code."""
    pages = {"cli": commands(), "configuration": configuration(), "exit-codes": exit_codes(), "fields": fields()}
    for name, text in pages.items():
        files.append(File.generated(config, f"reference/{name}.md", content=text))
    return files


def commands() -> str:
    """Every command with its arguments and options."""
    parts = ["# Commands", "Written from the code. `hwnas --install-completion` sets up completion for your shell.", EPILOG]
    for words, command in _commands(typer.main.get_command(app), ("hwnas",)):
        parts += [f"## {' '.join(words)}", inspect.cleandoc(command.help or "")]
        rows = [_parameter(each) for each in command.params if each.name != "help"]
        if rows:
            parts.append(_table(("argument or option", "takes", "unless given", "what it is"), rows))
    return "\n\n".join(parts) + "\n"


def _commands(command: Any, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    if hasattr(command, "commands"):
        for name, each in sorted(command.commands.items()):
            yield from _commands(each, (*words, name))
    else:
        yield words, command


_WORDS: dict[Any, str] = {bool: "-", int: "number", float: "number", Path: "path", str: "text"}


def _parameter(each: Any) -> tuple[str, ...]:
    names = [*each.opts, *each.secondary_opts] if each.opts[0].startswith("-") else [each.name.upper()]
    hint = each.type_descriptor.annotation
    word = _WORDS.get(hint) or next((_WORDS[inner] for inner in typing.get_args(hint) if inner in _WORDS), "text")
    takes = f"{word}, repeatable" if typing.get_origin(hint) is list else word
    unsaid = each.default is None or each.default is False or hint is bool
    default = "required" if each.required else "" if unsaid else f"`{each.default}`"
    return ", ".join(f"`{name}`" for name in names), takes, default, getattr(each, "help", None) or ""


def configuration() -> str:
    """Every key of every file that a person writes."""
    parts = ["# Configuration", "Written from the code. Unknown keys, wrong types and impossible values are refused in one line."]
    parts += ["## hwnas.toml", "At the top: `seed`, and the tables below."]
    for name, cls in (
        ("data", DataConfig),
        ("data.limits", Limits),
        ("space", SpaceConfig),
        ("train", TrainConfig),
        ("profile", ProfileConfig),
        ("accuracy", AccuracyConfig),
        ("search", SearchConfig),
    ):
        parts += [f"### [{name}]", _described(cls)]
    parts += ["## devices/ID.toml", _fields(workspace._Descriptor)]
    for name, options in (("ssh", SshOptions), ("adb", AdbOptions), ("native", NativeOptions)):
        parts += [f"### [{name}]", _described(options)]
    budgets = "Budgets are times (`4ms`, `900us`, `0.1s`) or shares of the largest subnet's (`60%`)."
    parts += ["## export/recipes/NAME.toml", budgets, _fields(Recipe)]
    for name, limits in (("int8", Int8Limits), ("baseline", BaselineLimits)):
        parts += [f"### [{name}] of a recipe", _described(limits)]
    rows = [(kind, ", ".join(f"`{name}`" for name in names)) for kind, names in NAMES]
    parts += ["## Names", "What there is to choose from:", _table(("kind", "names"), rows)]
    assert {field.name for field in dataclasses.fields(Config)} == {"data", "space", "seed", "train", "profile", "accuracy", "search"}
    return "\n\n".join(parts) + "\n"


def fields() -> str:
    """The fields of stored files."""
    parts = ["# Fields of stored files", "Written from the code; [formats](formats.md) says how the files hang together."]
    for title, cls in (
        ("Latency table", tableformat.TableDocument),
        ("One line of a latency table", tableline.Line),
        ("Raw samples of a latency table", tableformat.SamplesDocument),
        ("Manifest", manifest.Manifest),
        ("Latency in a manifest", manifest.LatencyFigures),
        ("8-bit file in a manifest", manifest.Int8Figures),
        ("Attempted candidate in a manifest", manifest.Attempted),
        ("File in a manifest", manifest.FileEntry),
    ):
        parts += [f"## {title}", _described(cls)]
    return "\n\n".join(parts) + "\n"


def exit_codes() -> str:
    """Exit codes and the errors behind them."""
    kinds = [cls for _, cls in inspect.getmembers(errors, inspect.isclass) if issubclass(cls, errors.HwnasError)]
    roots = [cls for cls in kinds if cls.__base__ is errors.HwnasError]
    rows = [("0", "", "Done.")]
    for cls in sorted(roots, key=lambda cls: cls.exit_code):
        rows.append((str(cls.exit_code), f"`{cls.__name__}`", (inspect.getdoc(cls) or "").split("\n")[0]))
    tree = inspect.cleandoc(errors.__doc__ or "").split("::\n", 1)[1].split("\n\nA message", 1)[0]
    return "\n\n".join(
        (
            "# Exit codes",
            "Written from the code. A command over several devices or recipes ends with the highest of theirs. `hwnas doctor` ends with "
            "2 for packages and files, 3 for runtimes and devices.",
            _table(("code", "error", "when"), rows),
            "## Errors in Python",
            f"```text\n{tree.strip(chr(10))}\n```",
        )
    )


def _described(cls: type) -> str:
    return f"{_prose(inspect.getdoc(cls) or '')}\n\n{_fields(cls)}"


def _prose(text: str) -> str:
    """A docstring without the names of modules that only contributors know."""
    return re.sub(r" \(`hwnas\.[^)]*\)", "", text.replace("``", "`"))


def _fields(cls: type) -> str:
    hints = typing.get_type_hints(cls)
    rows = []
    for field in dataclasses.fields(cls):
        rows.append((f"`{field.name}`", f"`{_type(hints[field.name])}`", _default(field), str(field.metadata.get(WHAT, ""))))
    heads = ("key", "type", "unless given", "what it is")
    return _table(heads, rows) if any(row[3] for row in rows) else _table(heads[:3], [row[:3] for row in rows])


def _type(hint: Any) -> str:
    name = hint.__name__ if isinstance(hint, type) and not typing.get_args(hint) else str(hint)
    return re.sub(r"[a-z_.]+\.(?=[A-Z])", "", name).replace(" | None", ", or nothing").replace(" | ", " or ")


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default is None:
        return "nothing"
    if field.default is not dataclasses.MISSING:
        return f"`{field.default!r}`" if not dataclasses.is_dataclass(field.default) else "its defaults"
    return "" if field.default_factory is dataclasses.MISSING else "its defaults"


def _table(heads: tuple[str, ...], rows: list[Any]) -> str:
    lines = [heads, tuple("---" for _ in heads), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in line) + " |" for line in lines)
