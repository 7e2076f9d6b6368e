"""Profiling several devices at once, or refreshing them: models are written first, then each has a session (`hwnas.pipeline.atonce`).

Each target's profile is published as soon as it is measured.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import partial

from hwnas.core.errors import DeviceError, HwnasError, TableError
from hwnas.pipeline.atonce import Outcome, Task, at_once
from hwnas.pipeline.context import Context
from hwnas.pipeline.device import ask
from hwnas.pipeline.forecast import Forecast, forecast, span
from hwnas.pipeline.goals import Target
from hwnas.pipeline.profile import Profile, profile_at_hand
from hwnas.pipeline.profiling import Work, asked, found, prepared, published, worked
from hwnas.pipeline.refresh import Refresh, compared, note_changes, sampled


def profile_all(ctx: Context, targets: Iterable[Target], *, anew: bool = False, sustained: bool = False) -> tuple[Outcome[Profile], ...]:
    """The profiles of ``targets`` in their order: those that are there, and those that their devices measure now, all at once.

    With ``anew`` all are measured, and what is there is replaced when that is done; with ``sustained`` they are of devices that are kept
    hot. A device that is never quiet gives a profile of its busy state, if that is all that it can give. Errors of one target or device
    are outcomes; a `KeyboardInterrupt` ends all sessions first.
    """
    wanted = tuple(dict.fromkeys(targets))
    outcomes: dict[Target, Outcome[Profile]] = {}
    missing: list[Target] = []
    for target in wanted:
        try:
            profile = None if anew else found(ctx, target, accepted=False, sustained=sustained)
            if profile is None:
                missing.append(target)
            else:
                outcomes[target] = Outcome(target, "reused", published(ctx, profile))
        except HwnasError as problem:
            outcomes[target] = Outcome(target, "failed", error=problem)
    asking = [Task(target, partial(asked, ctx, target, anew=anew, sustained=sustained)) for target in missing]
    outcomes |= {answer.target: Outcome(answer.target, answer.status, error=answer.error) for answer in _unanswered(ctx, asking)}
    work: list[Work] = []
    for target in (target for target in missing if target not in outcomes):
        try:
            work.append(prepared(ctx, target, anew=anew, sustained=sustained, busy_will_do=True))
        except HwnasError as problem:
            outcomes[target] = Outcome(target, "failed", error=problem)
    if ctx.replay is None:
        _note_changes(ctx, [outcome.result for outcome in outcomes.values() if outcome.result is not None])
    outcomes |= {outcome.target: outcome for outcome in _measured(ctx, work)}
    return tuple(outcomes[target] for target in wanted)


def profiles_for_run(ctx: Context, targets: Iterable[Target]) -> dict[Target, Profile]:
    """The profiles that a run needs, by target; accepted tables will do. An error is raised, after the other devices have finished."""
    wanted = tuple(dict.fromkeys(targets))
    there = {target: found(ctx, target, accepted=True) for target in wanted}
    missing = [target for target, profile in there.items() if profile is None]
    silent = {a.target: a.error for a in _unanswered(ctx, [Task(target, partial(asked, ctx, target)) for target in missing])}
    work = [prepared(ctx, target) for target in missing if target not in silent]
    profiles = {target: published(ctx, profile) for target, profile in there.items() if profile is not None}
    for outcome in _measured(ctx, work):
        if outcome.error is not None:
            raise outcome.error
        if outcome.result is not None:
            profiles[outcome.target] = outcome.result
    for error in filter(None, silent.values()):
        raise error
    return {target: profiles[target] for target in wanted}


def refresh_all(ctx: Context, targets: Iterable[Target], *, blocks: int) -> tuple[Outcome[Refresh], ...]:
    """Compare the tables of ``targets`` with their devices as they are now, all at once; ``blocks`` of each are timed again."""
    wanted = tuple(dict.fromkeys(targets))
    outcomes: dict[Target, Outcome[Refresh]] = {}
    tasks = []
    for target in wanted:
        try:
            tasks.append(Task(target, partial(compared, ctx, sampled(ctx, target, blocks=blocks))))
        except HwnasError as problem:
            outcomes[target] = Outcome(target, "failed", error=problem)
    outcomes |= {outcome.target: outcome for outcome in at_once(ctx, tasks, status="compared")}
    return tuple(outcomes[target] for target in wanted)


def _note_changes(ctx: Context, profiles: Sequence[Profile]) -> None:
    """Ask the devices of profiles that are reused whether they are still what they were. A page is not asked: somebody had to open it."""

    def compare(profile: Profile) -> Profile:
        try:
            note_changes(ctx, profile, ask(ctx, profile.target))
        except DeviceError as problem:
            ctx.reporter.note(f"{profile.target.label}: whether the device has changed since cannot be said: {problem}")
        return profile

    devices = {profile.target.device: ctx.workspace.device(profile.target.device) for profile in profiles}
    askable = [p for p in profiles if devices[p.target.device].answers]
    at_once(ctx, [Task(profile.target, partial(compare, profile)) for profile in askable], status="asked")


def _unanswered(ctx: Context, asking: Sequence[Task[None]]) -> list[Outcome[None]]:
    """Ask all devices at once which ONNX they read; those that did not answer."""
    return [answer for answer in at_once(ctx, asking, status="asked") if answer.error is not None]


def _say_what_is_ahead(ctx: Context, work: Sequence[Work]) -> None:
    """A line a target, and one for all where there are several devices."""
    ahead: dict[str, list[Forecast]] = {}
    for one in work:
        missing = one.missing()
        table = None
        with suppress(TableError):  # of a table that no longer fits, the measuring is the cure
            at_hand = profile_at_hand(ctx, one.target)
            table = None if at_hand is None else at_hand.table
        kept = len(one.models) - len(missing)
        expected = forecast(ctx.space, missing, one.rig.plan, runtime=one.target.runtime, kept=kept, at_hand=table)
        ctx.reporter.expect(f"{one.title}: {expected}")
        ahead.setdefault(one.target.device, []).append(expected)
    if len(ahead) > 1:
        seconds = {device: sum(f.seconds for f in forecasts) for device, forecasts in ahead.items()}
        slowest = max(seconds, key=lambda device: seconds[device])
        least = any(f.at_least for forecasts in ahead.values() for f in forecasts)
        about = "at least" if least else "about"
        ctx.reporter.expect(f"{len(ahead)} devices at once: {about} {span(seconds[slowest])}, what {slowest} takes")


def _measured(ctx: Context, work: Sequence[Work]) -> list[Outcome[Profile]]:
    if ctx.replay is None:
        _say_what_is_ahead(ctx, work)
    tasks = [Task(one.target, partial(worked, ctx, one), partial(published, ctx)) for one in work]
    return at_once(ctx, tasks, status="measured")
