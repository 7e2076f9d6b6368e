"""What a run says at its end: one row a target, for people and as the documented JSON."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

from hwnas.pipeline.artifacts import accuracy_on_test
from hwnas.pipeline.context import Context
from hwnas.pipeline.deploy import Companion, Outcome
from hwnas.pipeline.limits import needs, recipe_limits

OK = "ok"
OVER = "over budget"
UNMEASURED = "unmeasured"
"""Verdicts on one budget."""


def verdict_of(outcome: Outcome) -> str:
    """``ok``, or what was missed."""
    if outcome.chosen.timing is None:
        return UNMEASURED
    return OK if outcome.ok else OVER


def row_of(ctx: Context, outcome: Outcome, artifact: str) -> dict[str, Any]:
    """One entry of ``targets`` in ``hwnas run --json``. Accuracies are shares, times in ms, sizes in bytes.

    ``trusted`` is False where the prediction lies outside of what the table has measured: the measured time alone counts there.
    ``anchored_error`` is `Timing.anchored_error`: None, or by what share a time of a busy device may be off in the regime of the budget.
    ``limited`` is what the subnet needs of what the recipe limits, by name.
    What was measured is None where the device could not be reached; ``unmeasured`` says why then, and is None otherwise.
    """
    goal, chosen, timing = outcome.goal, outcome.chosen, outcome.chosen.timing
    return {
        "device": goal.recipe.device,
        "runtime": goal.recipe.runtime,
        "precision": goal.recipe.precision,
        "threads": goal.recipe.threads,
        "budget": goal.limit.text,
        "budget_ms": goal.budget_ms,
        "statistic": goal.recipe.statistic,
        "regime": goal.recipe.regime,
        "arch": chosen.pick.arch.id,
        "limited": needs(recipe_limits(ctx.space, goal.recipe), chosen.pick.arch.codes),
        "accuracy_val": chosen.built.accuracy_val,
        "accuracy_test": accuracy_on_test(ctx, chosen.built, chosen.built.main),
        "predicted_ms": chosen.pick.predicted_ms,
        "predicted_hi_ms": chosen.pick.predicted_hi_ms,
        "trusted": chosen.pick.trusted,
        "measured_ms": None if timing is None else timing.measured_ms,
        "measured_ci_ms": None if timing is None else list(timing.interval_ms),
        "measured_typical_ms": None if timing is None else timing.typical_ms,
        "anchored_error": None if timing is None else timing.anchored_error,
        "unmeasured": chosen.away or None,
        "size_bytes": int(chosen.built.facts["size_bytes"]["main"]),
        "parity_max_abs": chosen.built.parity_max_abs,
        "kept_float": chosen.built.kept_float("main"),
        "artifact": artifact,
        "verdict": verdict_of(outcome),
        "tried": len(outcome.attempts),
        "int8": None if outcome.companion is None else companion_row(ctx, outcome, outcome.companion, artifact),
    }


def companion_row(ctx: Context, outcome: Outcome, companion: Companion, artifact: str) -> dict[str, Any]:
    """The 8-bit file beside a target's own, which is ``artifact``; ``artifact`` and ``sha256`` of one that does not ship are None."""
    timing = companion.timing
    beside = PurePosixPath(artifact).with_name(Path(companion.artifact.path).name).as_posix()
    return {
        "artifact": beside if companion.ships else None,
        "sha256": companion.artifact.sha256 if companion.ships else None,
        "precision": companion.artifact.precision,
        "kept_float": outcome.chosen.built.kept_float("int8"),
        "accuracy_val": companion.accuracy_val,
        "accuracy_test": accuracy_on_test(ctx, outcome.chosen.built, companion.artifact),
        "top1_agreement": companion.top1_agreement,
        "measured_ms": None if timing is None else timing.measured_ms,
        "measured_ci_ms": None if timing is None else list(timing.interval_ms),
        "measured_typical_ms": None if timing is None else timing.typical_ms,
        "size_bytes": int(outcome.chosen.built.facts["size_bytes"]["int8"]),
        "ships": companion.ships,
        "reasons": tuple(companion.reasons),
    }
