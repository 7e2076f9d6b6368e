"""Profiling several devices at once, or refreshing them: each has a lane of its own (`hwnas.pipeline.atonce`).

There it is asked what it reads, its models are written, and it measures; no lane waits for a device of another. Each target's profile is
published as soon as it is measured.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

from hwnas.core.errors import DeviceError, HwnasError
from hwnas.pipeline.ahead import Ahead
from hwnas.pipeline.atonce import Outcome, Task, at_once
from hwnas.pipeline.context import Context
from hwnas.pipeline.device import ask
from hwnas.pipeline.goals import Target
from hwnas.pipeline.profile import Profile
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
    reused = [outcome.result for outcome in outcomes.values() if outcome.result is not None] if ctx.replay is None else []
    lanes = _Lanes(ctx, missing, anew=anew, sustained=sustained, busy_will_do=True)
    outcomes |= {outcome.target: outcome for outcome in lanes.measured(reused)}
    return tuple(outcomes[target] for target in wanted)


def profiles_for_run(ctx: Context, targets: Iterable[Target]) -> dict[Target, Profile]:
    """The profiles that a run needs, by target; accepted tables will do. An error is raised, after the other devices have finished."""
    wanted = tuple(dict.fromkeys(targets))
    there = {target: found(ctx, target, accepted=True) for target in wanted}
    profiles = {target: published(ctx, profile) for target, profile in there.items() if profile is not None}
    for outcome in _Lanes(ctx, [target for target in wanted if target not in profiles]).measured():
        if outcome.error is not None:
            raise outcome.error
        if outcome.result is not None:
            profiles[outcome.target] = outcome.result
    return {target: profiles[target] for target in wanted}


def not_profiled(ctx: Context, targets: Iterable[Target]) -> dict[Target, HwnasError]:
    """Measure what `profiles_for_run` would, all devices at once, and give the error of each target that has no profile then."""
    errors: dict[Target, HwnasError] = {}
    missing = []
    for target in dict.fromkeys(targets):
        try:
            if found(ctx, target, accepted=True) is None:
                missing.append(target)
        except HwnasError as problem:
            errors[target] = problem
    return errors | {outcome.target: outcome.error for outcome in _Lanes(ctx, missing).measured() if outcome.error is not None}


def refresh_all(ctx: Context, targets: Iterable[Target], *, blocks: int) -> tuple[Outcome[Refresh], ...]:
    """Compare the tables of ``targets`` with their devices as they are now, all at once; ``blocks`` of each are timed again."""
    wanted = tuple(dict.fromkeys(targets))
    outcomes: dict[Target, Outcome[Refresh]] = {}
    tasks = []
    for target in wanted:
        try:
            tasks.append(Task(target, partial(compared, ctx, sampled(ctx, target, blocks=blocks)), "compared"))
        except HwnasError as problem:
            outcomes[target] = Outcome(target, "failed", error=problem)
    outcomes |= {outcome.target: outcome for outcome in at_once(ctx, tasks)}
    return tuple(outcomes[target] for target in wanted)


class _Lanes:
    """Devices that measure ``missing`` targets, each in a lane of its own."""

    def __init__(
        self, ctx: Context, missing: Sequence[Target], *, anew: bool = False, sustained: bool = False, busy_will_do: bool = False
    ) -> None:
        self._ctx = ctx
        self._missing = missing
        self._anew, self._sustained, self._busy_will_do = anew, sustained, busy_will_do
        self._ahead = Ahead(ctx, {target.device for target in missing})
        self._work: dict[Target, Work] = {}

    def measured(self, reused: Sequence[Profile] = ()) -> list[Outcome[Profile]]:
        """What came of each target. Devices of ``reused`` profiles are asked at the same time whether they have changed since."""
        asking = [Task(p.target, partial(self._compare, p), "asked") for p in reused if self._ctx.workspace.device(p.target.device).answers]
        publish = partial(published, self._ctx)
        measuring = [Task(t, partial(self._measure, t), "measured", publish, partial(self._prepare, t)) for t in self._missing]
        done = at_once(self._ctx, [*asking, *measuring], ready=self._ready)
        return [outcome for outcome in done if outcome.target in self._missing]

    def _prepare(self, target: Target) -> None:
        """Ask the device which ONNX it reads, and write the models."""
        asked(self._ctx, target, anew=self._anew, sustained=self._sustained)
        with self._ahead.writing():
            self._work[target] = prepared(self._ctx, target, anew=self._anew, sustained=self._sustained, busy_will_do=self._busy_will_do)

    def _ready(self, device: str) -> None:
        self._ahead.ready(device, [self._work[target] for target in self._missing if target.device == device and target in self._work])

    def _measure(self, target: Target) -> Profile:
        return worked(self._ctx, self._work[target])

    def _compare(self, profile: Profile) -> Profile:
        """Say whether a device is still what it was. A page is not asked: somebody had to open it."""
        try:
            note_changes(self._ctx, profile, ask(self._ctx, profile.target))
        except DeviceError as problem:
            self._ctx.reporter.note(f"{profile.target.label}: whether the device has changed since cannot be said: {problem}")
        return profile
