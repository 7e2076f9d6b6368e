"""How a report is put together from readers that may fail: what cannot be read is said in its place."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from hwnas.core.errors import HwnasError
from hwnas.pipeline.reported.sources import MALFORMED
from hwnas.report.page.items import Item, Missing, NothingToShow

T = TypeVar("T")


def tried(title: str, make: Callable[[], Item | Iterable[Item]]) -> tuple[Item, ...]:
    """What ``make`` gives, or why it gives nothing."""
    try:
        found = make()
        return tuple(found) if isinstance(found, Iterable) else (found,)
    except MALFORMED as problem:
        return (Missing(title, reason(problem)),)


def readable(title: str, read: Callable[[], dict[str, T]]) -> tuple[dict[str, T], tuple[Item, ...]]:
    """What ``read`` gives; where it cannot, nothing, and what is said in its place."""
    try:
        return read(), ()
    except MALFORMED as problem:
        return {}, (Missing(title, reason(problem)),)


def reason(problem: BaseException) -> str:
    """One line that says what is wrong; of a file in another shape, which key or value was looked for."""
    text = " ".join(str(problem).split())
    if isinstance(problem, (HwnasError, OSError, NothingToShow)):
        return text
    return f"its files are of another shape than this version writes ({type(problem).__name__}: {text})"
