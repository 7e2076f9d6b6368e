"""The frame of every benchmark: ``--quick`` for under a minute, ``--check`` to fail where a target is missed.

A benchmark gives figures by name and targets for some of them. A table for people comes first; the last line is one JSON object:
``{"name", "figures", "targets", "met"}``. One that takes hours keeps each of its results in a folder, ``--state``, and goes on from there.
"""

from __future__ import annotations

import argparse
import json
import operator
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hwnas.cli.console import show_table
from hwnas.core.errors import HwnasError
from hwnas.core.serial import plain

STATE = Path(__file__).parents[1] / "runs" / "benchmarks"
"""Where results of long benchmarks are kept unless another folder is given."""
_RELATIONS = {"<=": operator.le, ">=": operator.ge}


@dataclass(frozen=True, slots=True)
class Target:
    """What a figure is held to: ``relation`` is ``<=`` or ``>=``."""

    relation: str
    value: float

    def met(self, figure: float) -> bool:
        """Whether the figure is on the right side."""
        return bool(_RELATIONS[self.relation](figure, self.value))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a benchmark found. ``rows`` and ``columns`` are for people."""

    columns: tuple[str, ...]
    rows: list[tuple[object, ...]]
    figures: Mapping[str, float]
    targets: Mapping[str, Target] = field(default_factory=dict)

    @property
    def met(self) -> bool:
        """Whether every target is met; a target without a figure is not."""
        return all(name in self.figures and target.met(self.figures[name]) for name, target in self.targets.items())


def main(name: str, measure: Callable[[bool], Outcome], arguments: list[str] | None = None) -> int:
    """Run the benchmark ``name``; ``measure(quick)`` does the work. Returns the exit code."""
    return _run(name, _parser(name), lambda options: measure(options.quick), arguments)


def resumable_main(name: str, measure: Callable[[bool, Path], Outcome], arguments: list[str] | None = None) -> int:
    """Run the benchmark ``name``; ``measure(quick, folder)`` does what ``folder`` holds no result of. Returns the exit code."""
    parser = _parser(name)
    parser.add_argument("--state", type=Path, default=STATE, metavar="FOLDER", help="where results are kept, and taken from when run again")
    return _run(name, parser, lambda options: measure(options.quick, options.state), arguments)


def _parser(name: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}")
    parser.add_argument("--quick", action="store_true", help="a smaller scale, in under a minute; its targets are not checked")
    parser.add_argument("--check", action="store_true", help="exit 1 when a target is missed")
    return parser


def _run(name: str, parser: argparse.ArgumentParser, measure: Callable[[argparse.Namespace], Outcome], arguments: list[str] | None) -> int:
    options = parser.parse_args(arguments)
    try:
        outcome = measure(options)
    except HwnasError as problem:
        print(f"benchmarks.{name}: {problem}", file=sys.stderr)
        return problem.exit_code
    show_table(outcome.columns, outcome.rows, title=name)
    targets = {key: f"{target.relation} {target.value:g}" for key, target in outcome.targets.items()}
    for key, target in outcome.targets.items():
        figure = outcome.figures.get(key)
        word = "not measured" if figure is None else "met" if target.met(figure) else "MISSED"
        shown = "-" if figure is None else f"{figure:.4g}"
        print(f"{key}: {shown} (target {targets[key]}): {word}")
    sys.stdout.flush()
    print(json.dumps({"name": name, "figures": plain(dict(outcome.figures)), "targets": targets, "met": outcome.met}, allow_nan=False))
    return 1 if options.check and not options.quick and not outcome.met else 0
