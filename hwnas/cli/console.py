"""What the terminal shows: progress and remarks on stderr, results on stdout."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from hwnas.core.serial import plain
from hwnas.pipeline.reporter import Advance

WIDE = 150
"""Columns where output goes to a file or a pipe, which have no width of their own."""

err = Console(stderr=True, highlight=False)
out = Console(highlight=False, width=None if sys.stdout.isatty() else WIDE)


class Terminal:
    """A `Reporter` with one progress bar a stage; a plain line a stage where stderr is no terminal."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet

    @contextmanager
    def stage(self, title: str, total: float) -> Iterator[Advance]:
        """A progress bar that ends with the context."""
        if self._quiet or not err.is_terminal:
            begin = time.monotonic()
            yield lambda _done, _text: None
            if not self._quiet:
                err.print(f"{escape(title)}: {time.monotonic() - begin:.0f} s", soft_wrap=True)
            return
        columns = (
            TextColumn("{task.description:<34}"),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, TextColumn("{task.fields[text]}"), console=err) as bars:
            task = bars.add_task(escape(title), total=total, text="")

            def advance(done: float, text: str) -> None:
                bars.update(task, completed=done, text=escape(text[:60]))

            yield advance

    def reused(self, title: str) -> None:
        """A line that says so."""
        if not self._quiet:
            err.print(f"{escape(title)}: [dim]nothing changed, reused[/]", soft_wrap=True)

    def expect(self, text: str) -> None:
        """A line that says what is ahead."""
        if not self._quiet:
            err.print(escape(text), soft_wrap=True)

    def note(self, text: str) -> None:
        """A line that is shown even when quiet is asked for: it may be a warning."""
        err.print(f"[yellow]note:[/] {escape(text)}", soft_wrap=True)


def show_json(value: Any) -> None:
    """One JSON object on one line of stdout."""
    sys.stdout.write(json.dumps(plain(value), allow_nan=False, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def show_table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, title: str | None = None) -> None:
    """A table on stdout; numbers are right-aligned."""
    table = Table(title=title, title_justify="left", header_style="bold")
    for position, name in enumerate(columns):
        numeric = bool(rows) and all(isinstance(row[position], (int, float)) or str(row[position])[:1].isdigit() for row in rows)
        table.add_column(name, justify="right" if numeric else "left", no_wrap=position == 0)
    for row in rows:
        table.add_row(*(escape(str(cell)) for cell in row))
    out.print(table)


def show_facts(facts: Mapping[str, object]) -> None:
    """Name and value, a line each."""
    width = max(map(len, facts), default=0)
    for name, value in facts.items():
        out.print(f"[bold]{escape(name):<{width}}[/]  {escape(str(value))}", soft_wrap=True)
