"""What the terminal shows: progress and remarks on stderr, results on stdout."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from hwnas.core.serial import plain
from hwnas.pipeline.reporter import Advance

WIDE = 150
"""Columns where output goes to a file or a pipe, which have no width of their own."""

err = Console(stderr=True, highlight=False)
out = Console(highlight=False, width=None if sys.stdout.isatty() else WIDE)


OUTSIDE = "this subnet lies outside of what was measured on the device, where no bound holds"
"""What is said of a prediction that is not trusted."""

LOG_S = 30.0
"""How often a stage says how far it is where stderr is no terminal."""


class Terminal:
    """A `Reporter` with one progress bar a stage, several of them at once; plain lines where stderr is no terminal. For all threads."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._lock = threading.Lock()
        self._bars: Progress | None = None

    @contextmanager
    def stage(self, title: str, total: float) -> Iterator[Advance]:
        """A progress bar that ends with the context."""
        if self._quiet:
            yield lambda _done, _text: None
        elif not err.is_terminal:
            begin = time.monotonic()
            yield _log(title, total, begin)
            err.print(f"{escape(title)}: {time.monotonic() - begin:.0f} s", soft_wrap=True)
        else:
            bars, task = self._begin(title, total)

            def advance(done: float, text: str) -> None:
                bars.update(task, completed=done, text=escape(text[:60]))

            try:
                yield advance
            finally:
                self._end(bars, task)

    def _begin(self, title: str, total: float) -> tuple[Progress, TaskID]:
        with self._lock:
            if self._bars is None:  # one display for all stages that run at the same time: a terminal has only one
                self._bars = Progress(
                    TextColumn("{task.description:<34}"),
                    BarColumn(bar_width=28),
                    MofNCompleteColumn(),
                    TimeElapsedColumn(),
                    TimeRemainingColumn(),
                    TextColumn("{task.fields[text]}"),
                    console=err,
                )
                self._bars.start()
            return self._bars, self._bars.add_task(escape(title), total=total, text="")

    def _end(self, bars: Progress, task: TaskID) -> None:
        with self._lock:
            bars.stop_task(task)
            if all(other.stop_time is not None for other in bars.tasks):
                bars.stop()
                self._bars = None

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


@contextmanager
def working(title: str, *, quiet: bool = False) -> Iterator[None]:
    """For what cannot say how far it is: since when it has been at work, until it is done. Nothing where stderr is no terminal."""
    if quiet or not err.is_terminal:
        yield
        return
    with Progress(TextColumn("{task.description}"), TimeElapsedColumn(), console=err, transient=True) as shown:
        shown.add_task(escape(title), total=None)
        yield


def _log(title: str, total: float, begin: float) -> Advance:
    """A line now and then, with the stage's name: several may be under way."""
    said = begin

    def advance(done: float, text: str) -> None:
        nonlocal said
        if (now := time.monotonic()) - said >= LOG_S:
            said = now
            err.print(
                f"{escape(title)}: {done:.0f} of {total:.0f}, {now - begin:.0f} s{', ' if text else ''}{escape(text)}", soft_wrap=True
            )

    return advance


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
