"""``hwnas search --all``: every device, runtime, precision and budget of the recipes in one go, from stored predictors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from hwnas.core.errors import ConfigError, HwnasError
from hwnas.pipeline.reporter import Reporter
from hwnas.pipeline.searching import Question, answer
from hwnas.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Answered:
    """What a recipe's search found, or why it found nothing."""

    recipe: str
    question: Question
    found: Mapping[str, Any] | None
    error: HwnasError | None

    def document(self) -> dict[str, Any]:
        """The documented JSON of one recipe."""
        head = {"recipe": self.recipe, "error": None, "exit_code": 0}
        if self.error is not None:
            target = {name: getattr(self.question, name) for name in ("device", "runtime", "precision")}
            return head | target | {"error": str(self.error), "exit_code": self.error.exit_code}
        return head | dict(self.found or {})


def answer_all(workspace: Workspace, like: Question, reporter: Reporter | None = None) -> list[Answered]:
    """A search for each recipe, with strategy, trials and seed of ``like``, within its limits and the recipe's own.

    One that fails holds up no other.

    A workspace without recipes raises `ConfigError`.
    """
    if not workspace.recipes:
        raise ConfigError(f"{workspace.root / 'export' / 'recipes'}: no recipes; write one, or name a device, a runtime and a budget")
    answers = []
    for name, recipe in workspace.recipes.items():
        question = replace(
            like,
            device=recipe.device,
            runtime=recipe.runtime,
            budgets=recipe.budgets,
            precision=recipe.precision,
            statistic=recipe.statistic,
            regime=recipe.regime,
            threads=recipe.threads,
            limits=(*recipe.limits.texts, *like.limits),
        )
        try:
            answers.append(Answered(name, question, answer(workspace, question, reporter), None))
        except HwnasError as problem:
            answers.append(Answered(name, question, None, problem))
    return answers
