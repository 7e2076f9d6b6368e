"""Profiling several devices at once: models are written first, then every device has a session of its own, in a thread of its own.

The targets of one device follow one another. What one device says, or fails to say, touches no other: each target's profile is published as
soon as it is measured, and a failure is an outcome beside the others. Ctrl-C ends all sessions; what was measured is in their journals.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from hwnas.core.errors import (
    AgentTimeout,
    AuthFailed,
    DeviceError,
    DeviceLost,
    HostKeyMismatch,
    HwnasError,
    Interrupted,
    TableError,
    Unreachable,
)
from hwnas.pipeline.context import Context
from hwnas.pipeline.forecast import Forecast, forecast, span
from hwnas.pipeline.goals import Target
from hwnas.pipeline.profile import Profile, profile_at_hand
from hwnas.pipeline.profiling import Work, found, prepared, published, worked

FAREWELL_S = 15.0
"""How long an interrupted command waits for its sessions to close; the agents of those that do not end with the process."""
OUT_OF_REACH = (Unreachable, AuthFailed, HostKeyMismatch, DeviceLost, AgentTimeout, Interrupted)
"""Errors after which the other targets of a device are not tried."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one target: a profile that was ``measured`` or ``reused``, or an error of one that ``failed`` or was ``skipped``."""

    target: Target
    status: str
    profile: Profile | None = None
    error: HwnasError | None = None


def profile_all(ctx: Context, targets: Iterable[Target], *, anew: bool = False) -> tuple[Outcome, ...]:
    """The profiles of ``targets`` in their order: those that are there, and those that their devices measure now, all at once.

    With ``anew`` all are measured, and what is there is replaced when that is done. Errors of one target or device are outcomes; a
    `KeyboardInterrupt` ends all sessions first.
    """
    wanted = tuple(dict.fromkeys(targets))
    outcomes: dict[Target, Outcome] = {}
    work: list[Work] = []
    for target in wanted:
        try:
            profile = None if anew else found(ctx, target, accepted=False)
            if profile is not None:
                outcomes[target] = Outcome(target, "reused", published(ctx, profile))
            else:
                work.append(prepared(ctx, target, anew=anew))
        except HwnasError as problem:
            outcomes[target] = Outcome(target, "failed", error=problem)
    outcomes |= {outcome.target: outcome for outcome in _at_once(ctx, work)}
    return tuple(outcomes[target] for target in wanted)


def profiles_for_run(ctx: Context, targets: Iterable[Target]) -> dict[Target, Profile]:
    """The profiles that a run needs, by target; accepted tables will do. An error is raised, after the other devices have finished."""
    wanted = tuple(dict.fromkeys(targets))
    there = {target: found(ctx, target, accepted=True) for target in wanted}
    work = [prepared(ctx, target) for target, profile in there.items() if profile is None]
    profiles = {target: published(ctx, profile) for target, profile in there.items() if profile is not None}
    for outcome in _at_once(ctx, work):
        if outcome.error is not None:
            raise outcome.error
        if outcome.profile is not None:
            profiles[outcome.target] = outcome.profile
    return {target: profiles[target] for target in wanted}


def _say_what_is_ahead(ctx: Context, work: Sequence[Work]) -> None:
    """A line a target, and one for all where there are several devices."""
    ahead: dict[str, list[Forecast]] = {}
    for one in work:
        missing = one.missing()
        table = None
        with suppress(TableError):  # of a table that no longer fits, the measuring is the cure
            at_hand = profile_at_hand(ctx, one.target)
            table = None if at_hand is None else at_hand.tables["quiet"]
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


def _at_once(ctx: Context, work: Sequence[Work]) -> list[Outcome]:
    """Measure ``work``, its devices at once, and publish each profile as it comes."""
    if ctx.replay is None:
        _say_what_is_ahead(ctx, work)
    results: queue.Queue[tuple[Work, Profile | BaseException]] = queue.Queue()
    devices = {device: [one for one in work if one.target.device == device] for device in dict.fromkeys(w.target.device for w in work)}
    threads = [
        threading.Thread(target=_one_device, args=(ctx, own, results), name=f"profile {device}", daemon=True)
        for device, own in devices.items()
    ]
    done: list[Outcome] = []
    faults: list[BaseException] = []
    try:
        for thread in threads:
            thread.start()
        for _ in work:
            one, result = results.get()
            if isinstance(result, Profile | HwnasError):
                done.append(_outcome(ctx, one, result, alone=len(threads) == 1))
            else:
                faults.append(result)
    except BaseException:
        _end(ctx, threads)
        raise
    if faults:  # of hwnas or this machine, not of a device: raised when all devices are done
        raise faults[0]
    return done


def _end(ctx: Context, threads: Sequence[threading.Thread]) -> None:
    """Let all sessions stop and close their channels."""
    ctx.together.stop()
    end = time.monotonic() + FAREWELL_S
    for thread in threads:
        if thread.ident is not None:
            thread.join(max(0.0, end - time.monotonic()))


def _one_device(ctx: Context, work: Sequence[Work], results: queue.Queue[tuple[Work, Any]]) -> None:
    """The targets of one device, one after the other; says exactly one thing of each."""
    lost: DeviceError | None = None
    for one in work:
        if lost is not None:
            results.put((one, _Skipped(f"{one.target.label}: not tried, since its device was lost: {lost}")))
            continue
        try:
            results.put((one, worked(ctx, one)))
        except BaseException as problem:  # noqa: BLE001 - the main thread's to judge
            results.put((one, problem))
            if isinstance(problem, OUT_OF_REACH):
                lost = DeviceError(str(problem))


def _outcome(ctx: Context, work: Work, result: Profile | HwnasError, *, alone: bool) -> Outcome:
    if isinstance(result, Profile):
        return Outcome(work.target, "measured", published(ctx, result))
    if isinstance(result, _Skipped):
        return Outcome(work.target, "skipped", error=result)
    if not alone:
        ctx.reporter.note(f"{work.target.label} failed, the others go on: {result}")
    return Outcome(work.target, "failed", error=result)


class _Skipped(DeviceError):
    """A target that was not tried."""
