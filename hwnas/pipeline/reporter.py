"""How a run tells of its progress: a protocol, and the silent form that libraries and tests use."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

Advance = Callable[[float, str], None]
"""``advance(done, text)``: how much of the stage's total is done, and what it is at."""


class Reporter(Protocol):
    """Shows stages and remarks."""

    def stage(self, title: str, total: float) -> AbstractContextManager[Advance]:
        """A stage that begins now and ends with the context."""
        ...

    def reused(self, title: str) -> None:
        """A stage whose result was there already."""
        ...

    def expect(self, text: str) -> None:
        """What is about to be done, and how long it may take."""
        ...

    def note(self, text: str) -> None:
        """Something that the user should know."""
        ...


class Silent:
    """Shows nothing."""

    @contextmanager
    def stage(self, title: str, total: float) -> Iterator[Advance]:  # noqa: ARG002 (the protocol's names)
        """Yield an ``advance`` that does nothing."""
        yield lambda _done, _text: None

    def reused(self, title: str) -> None:
        """Nothing."""

    def expect(self, text: str) -> None:
        """Nothing."""

    def note(self, text: str) -> None:
        """Nothing."""
