"""One line of a verdict: what came of one budget of one recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

OK = "ok"
UNMEASURED = "unmeasured"


@dataclass(frozen=True, slots=True)
class Case:
    """What came of one budget; of the whole recipe where it came to no result: ``budget`` is empty then, and ``row`` None.

    ``kind`` is ``ok`` or names the problem (``over budget``, ``regression``, ``TooNoisy``, …), ``message`` says it in one line, and
    ``notes`` are what is worth knowing all the same. ``seconds`` are those of its recipe, shared out evenly. ``unmeasured`` of a recipe
    that allows it has exit code 0: its row has figures, but none that the device gave.
    """

    recipe: str
    budget: str
    kind: str
    exit_code: int
    message: str
    seconds: float
    row: Mapping[str, Any] | None = None
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether it may ship."""
        return self.exit_code == 0

    @property
    def name(self) -> str:
        """``recipe`` or ``recipe 60%``."""
        return f"{self.recipe} {self.budget}".strip()


def exit_code_of(cases: Sequence[Case]) -> int:
    """The highest of all: 0 where everything is ok."""
    return max((case.exit_code for case in cases), default=0)
