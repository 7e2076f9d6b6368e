"""From candidates to files that keep their budgets: build, time, and where a budget is missed, take the next-best candidate.

A round times one candidate for each goal that is still open, all in one session. A miss is kept and shown; when a goal runs out of
candidates, its best miss is its result. Where the device cannot be reached and that will do, a goal's first candidate is left unmeasured.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hwnas.core.errors import DeviceFaster, TooNoisy, Unreachable
from hwnas.core.result import Artifact
from hwnas.pipeline.accuracy import Trained
from hwnas.pipeline.artifacts import Built, built
from hwnas.pipeline.candidates import Pick
from hwnas.pipeline.context import Context
from hwnas.pipeline.filespec import FileSpec
from hwnas.pipeline.goals import Goal
from hwnas.pipeline.verification import Bench, Timing


@dataclass(frozen=True, slots=True)
class Attempt:
    """One candidate for one goal, built and timed; ``timing`` is None where the device could not be reached, and ``away`` says why then."""

    pick: Pick
    built: Built
    timing: Timing | None
    budget_ms: float
    away: str = ""

    @property
    def ok(self) -> bool:
        """Whether the file was measured to keep the budget."""
        return self.timing is not None and self.timing.within(self.budget_ms)

    @property
    def last(self) -> bool:
        """Whether no other candidate is to be tried after it."""
        return self.ok or self.timing is None


@dataclass(frozen=True, slots=True)
class Companion:
    """The 8-bit file beside a goal's own, and why it ships or not; ``timing`` is None where the device was too busy for it."""

    artifact: Artifact
    timing: Timing | None
    accuracy_val: float
    top1_agreement: float
    reasons: tuple[str, ...] = ()

    @property
    def ships(self) -> bool:
        """Whether it keeps the budget and its limits."""
        return not self.reasons


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a goal: every attempt in order, the chosen one, its 8-bit companion if one was asked for, and other formats."""

    goal: Goal
    attempts: tuple[Attempt, ...]
    chosen: Attempt
    companion: Companion | None = None
    others: tuple[Built, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the goal was reached."""
        return self.chosen.ok


def deployed(ctx: Context, trained: Trained, bench: Bench, goals: Sequence[Goal], picks: Mapping[Goal, Sequence[Pick]]) -> list[Outcome]:
    """An outcome for each goal of one target; ``picks`` are its candidates, best first."""
    attempts: dict[Goal, list[Attempt]] = {goal: [] for goal in goals}
    for position in range(max((len(p) for p in picks.values()), default=0)):
        waiting = [g for g in goals if position < len(picks[g]) and not any(a.last for a in attempts[g])]
        if not waiting:
            break
        with ctx.reporter.stage(f"export for {waiting[0].name}", len(waiting)) as advance:
            files = {}
            for goal in waiting:
                files[goal] = built(ctx, trained, picks[goal][position].arch, FileSpec.of(goal.recipe, bench.profile.level))
                advance(len(files), goal.limit.text)
        timings, away = _time_if_there(bench, waiting, [b.main for b in files.values()])
        for goal in waiting:
            timing = timings.get(files[goal].main.sha256)
            attempts[goal].append(Attempt(picks[goal][position], files[goal], timing, goal.budget_ms, "" if timing else away))
    chosen = {goal: _choose(tried) for goal, tried in attempts.items()}
    companions = _companions(bench, chosen)
    return [Outcome(g, tuple(attempts[g]), chosen[g], companions.get(g), _others(ctx, trained, bench, g, chosen[g])) for g in goals]


def _others(ctx: Context, trained: Trained, bench: Bench, goal: Goal, chosen: Attempt) -> tuple[Built, ...]:
    """The chosen subnet in the other formats of the recipe; one that is further off than it may be raises `VerificationError`."""
    specs = FileSpec.beside(goal.recipe, bench.profile.level)
    if not specs:
        return ()
    with ctx.reporter.stage(f"other formats for {goal.name}", len(specs)) as advance:
        made = []
        for spec in specs:
            made.append(built(ctx, trained, chosen.pick.arch, spec))
            advance(len(made), f"{spec.runtime} {spec.precision}")
    return tuple(made)


def _choose(attempts: Sequence[Attempt]) -> Attempt:
    if attempts[-1].last:
        return attempts[-1]
    return min(attempts, key=lambda a: math.inf if a.timing is None else a.timing.interval_ms[1])


def _time(bench: Bench, goals: Sequence[Goal], artifacts: Sequence[Artifact]) -> Mapping[str, Timing]:
    recipe = goals[0].recipe
    distinct = {a.sha256: a for a in artifacts}
    return bench.time(list(distinct.values()), statistic=recipe.statistic, regime=recipe.regime)


def _time_if_there(bench: Bench, goals: Sequence[Goal], artifacts: Sequence[Artifact]) -> tuple[Mapping[str, Timing], str]:
    """Timings by SHA-256; where the device cannot be reached and that will do, those that are in the journal, and what kept the others."""
    try:
        return _time(bench, goals, artifacts), ""
    except Unreachable as problem:
        if not bench.away_will_do:
            raise
        path = bench.profile.paths[bench.profile.regime]
        table = f"{bench.profile.target.device}/{path.name}"
        kind = "accepted" if bench.profile.journal is None else "stored"
        away = f"the device cannot be reached ({problem}); what is said of its latency is what the {kind} table {table} predicts"
        bench.ctx.reporter.note(f"{bench.profile.target.label}: NOT MEASURED: {away}")
        recipe = goals[0].recipe
        return bench.timed_before(artifacts, statistic=recipe.statistic, regime=recipe.regime), away


def _companions(bench: Bench, chosen: Mapping[Goal, Attempt]) -> dict[Goal, Companion]:
    wanted = {goal: attempt for goal, attempt in chosen.items() if attempt.built.int8 is not None}
    away = next((attempt.away for attempt in chosen.values() if attempt.away), "")
    if not wanted:
        return {}
    files = {goal: attempt.built.int8 for goal, attempt in wanted.items()}
    timings: Mapping[str, Timing] = {}
    untimed = f"not timed: {away}" if away else ""
    try:
        if not away:
            timings = _time(bench, list(wanted), [a for a in files.values() if a is not None])
    except DeviceFaster:
        raise
    except TooNoisy as problem:  # the files that were asked for are timed, and are not held up by those beside them
        untimed = f"not timed: {problem}"
    out = {}
    for goal, attempt in wanted.items():
        artifact = files[goal]
        if artifact is not None:
            out[goal] = _companion(goal, attempt, artifact, timings.get(artifact.sha256), untimed)
    return out


def _companion(goal: Goal, attempt: Attempt, artifact: Artifact, timing: Timing | None, untimed: str) -> Companion:
    figures = attempt.built.facts["int8"]
    accuracy, agreement = float(figures["accuracy_val"]), float(figures["parity"]["top1_agreement"])
    limits, reasons = goal.recipe.int8, []
    if limits is not None:
        drop = attempt.built.accuracy_val - accuracy
        if drop > limits.max_accuracy_drop:
            reasons.append(f"accuracy drops by {100 * drop:.1f} points, more than {100 * limits.max_accuracy_drop:.1f}")
        if agreement < limits.min_top1_agreement:
            reasons.append(f"agrees with fp32 on {100 * agreement:.1f} % of images, less than {100 * limits.min_top1_agreement:.1f}")
    if timing is None:
        reasons.append(untimed)
    elif not timing.within(goal.budget_ms):
        reasons.append(f"takes {timing.measured_ms:.4f} ms (up to {timing.interval_ms[1]:.4f}), over the budget of {goal.budget_ms:.4f}")
    return Companion(artifact, timing, accuracy, agreement, tuple(reasons))
