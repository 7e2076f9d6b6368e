"""Names to implementations: one ``register`` line adds a family, a strategy, a runtime or an exporter."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

from hwnas.core.errors import UnknownNameError


def suggest(name: str, known: Iterable[str]) -> str:
    """`` (did you mean 'x'?)`` for the closest known name, or what there is to choose from."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return f"did you mean '{close[0]}'?"
    return f"known: {', '.join(names)}" if names else "there are none"


def require_known(kind: str, name: str, known: Iterable[str]) -> None:
    """Raise `UnknownNameError` with a suggestion unless ``name`` is one of ``known``; ``kind`` is the word for it."""
    names = tuple(known)
    if name not in names:
        raise UnknownNameError(f"unknown {kind} '{name}'; {suggest(name, names)}")


T = TypeVar("T")


class Registry(Generic[T]):
    """Maps names to values of one kind; ``kind`` is the word that error messages use."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._items: dict[str, T] = {}

    def register(self, name: str, value: T) -> T:
        """Add ``value`` under ``name``; a name that is taken raises ``ValueError``."""
        if name in self._items:
            raise ValueError(f"{self.kind} '{name}' is registered twice")
        self._items[name] = value
        return value

    def get(self, name: str) -> T:
        """The value under ``name``; an unknown name raises `UnknownNameError` with a suggestion."""
        try:
            return self._items[name]
        except KeyError:
            raise UnknownNameError(f"unknown {self.kind} '{name}'; {suggest(name, self._items)}") from None

    def names(self) -> tuple[str, ...]:
        """All names, sorted."""
        return tuple(sorted(self._items))

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __contains__(self, name: object) -> bool:
        return name in self._items
