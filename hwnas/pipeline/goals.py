"""What is to be reached: one goal a recipe and budget, with the budget in milliseconds."""

from __future__ import annotations

from dataclasses import dataclass

from hwnas.core.result import LatencyLimit
from hwnas.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Target:
    """Where files run: all that a latency table belongs to but its regime."""

    device: str
    runtime: str
    precision: str
    threads: int = 1
    batch: int = 1

    @property
    def label(self) -> str:
        """``device/runtime precision``, for people."""
        return f"{self.device}/{self.runtime} {self.precision}"


@dataclass(frozen=True, slots=True)
class Goal:
    """One budget of one recipe."""

    name: str
    recipe: Recipe
    limit: LatencyLimit
    budget_ms: float

    @property
    def folder(self) -> str:
        """Folder of its files within a run: ``<recipe>/<budget as written>``."""
        return f"{self.name}/{self.limit.text.replace('%', 'pct').replace(' ', '')}"


def target_of(recipe: Recipe) -> Target:
    """Where a recipe's files run."""
    return Target(recipe.device, recipe.runtime, recipe.precision, recipe.threads)


def goals_of(name: str, recipe: Recipe, *, largest_ms: float) -> list[Goal]:
    """The goals of a recipe, smallest budget first; ``largest_ms`` resolves budgets given as a share."""
    goals = [Goal(name, recipe, limit, limit.resolve_ms(largest_ms)) for limit in recipe.latency_limits]
    return sorted(goals, key=lambda goal: goal.budget_ms)
