"""Work on several devices at once: each device has a lane, a thread of its own, in which its targets follow one another.

What one device says, or fails to say, touches no other: every result is handed on as it comes, and a failure is an outcome beside the
others. Ctrl-C ends all sessions; what was measured is in their journals.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

from hwnas.core.errors import AgentTimeout, AuthFailed, DeviceError, DeviceLost, HostKeyMismatch, HwnasError, Interrupted, Unreachable
from hwnas.pipeline.context import Context
from hwnas.pipeline.goals import Target

T = TypeVar("T")

FAREWELL_S = 15.0
"""How long an interrupted command waits for its sessions to close; the agents of those that do not end with the process."""
OUT_OF_REACH = (Unreachable, AuthFailed, HostKeyMismatch, DeviceLost, AgentTimeout, Interrupted)
"""Errors after which the other targets of a device are not tried."""


@dataclass(frozen=True, slots=True)
class Task(Generic[T]):
    """``run`` works in the device's lane, once all that the device is to do was prepared there; what it gives has ``status``.

    ``deliver`` takes that in the thread that waits for all.
    """

    target: Target
    run: Callable[[], T]
    status: str
    deliver: Callable[[T], T] = lambda result: result
    prepare: Callable[[], None] = lambda: None


@dataclass(frozen=True, slots=True)
class Outcome(Generic[T]):
    """What came of one target: a ``result``, or the ``error`` of one that ``failed`` or was ``skipped``."""

    target: Target
    status: str
    result: T | None = None
    error: HwnasError | None = None


Results = queue.Queue[tuple[Task[T], Outcome[T] | BaseException]]


def at_once(ctx: Context, tasks: Sequence[Task[T]], *, ready: Callable[[str], None] = lambda _: None) -> list[Outcome[T]]:
    """Do all ``tasks``, in the order in which they finish.

    ``ready(device)`` is called in each lane between preparing and running, whatever came of the preparing. A fault that is no `HwnasError`
    is raised when all others are done; a `KeyboardInterrupt` as soon as all sessions have ended.
    """
    results: Results[T] = queue.Queue()
    devices = dict.fromkeys(task.target.device for task in tasks)
    own = {device: [task for task in tasks if task.target.device == device] for device in devices}
    threads = [threading.Thread(target=_lane, args=(own[device], results, ready), name=device, daemon=True) for device in devices]
    done: list[Outcome[T]] = []
    faults: list[BaseException] = []
    try:
        for thread in threads:
            thread.start()
        for _ in tasks:
            task, result = results.get()
            if isinstance(result, BaseException):
                faults.append(result)
                continue
            if result.result is not None:
                result = _delivered(task, result.result)
            if result.status == "failed" and len(threads) > 1:
                ctx.reporter.note(f"{task.target.label} failed, the others go on: {result.error}")
            done.append(result)
    except BaseException:
        _end(ctx, threads)
        raise
    if faults:
        raise faults[0]
    return done


def _delivered(task: Task[T], result: T) -> Outcome[T]:
    try:
        return Outcome(task.target, task.status, task.deliver(result))
    except HwnasError as problem:
        return Outcome(task.target, "failed", error=problem)


def _lane(tasks: Sequence[Task[T]], results: Results[T], ready: Callable[[str], None]) -> None:
    """The targets of one device, one after the other; says exactly one thing of each."""
    lost: HwnasError | None = None

    def done(task: Task[T], step: Callable[[], object]) -> bool:
        """Whether ``step`` of the task could be done; what could not be is said."""
        nonlocal lost
        label = task.target.label
        if lost is not None:
            reason = DeviceError(f"{label}: not tried, since its device was lost: {lost}")
            results.put((task, Outcome(task.target, "skipped", error=reason)))
            return False
        try:
            step()
        except HwnasError as problem:
            results.put((task, Outcome(task.target, "failed", error=problem)))
            lost = problem if isinstance(problem, OUT_OF_REACH) else None
            return False
        except BaseException as fault:  # noqa: BLE001 - of hwnas or this machine: raised where the others are waited for
            results.put((task, fault))
            return False
        return True

    def run(task: Task[T], *, first: bool) -> None:
        if first:
            ready(task.target.device)
        results.put((task, Outcome(task.target, task.status, task.run())))

    prepared = [task for task in tasks if done(task, task.prepare)]
    lost = None  # those that are prepared were there to be asked
    if not prepared:
        ready(tasks[0].target.device)
    for task in prepared:
        done(task, partial(run, task, first=task is prepared[0]))


def _end(ctx: Context, threads: Sequence[threading.Thread]) -> None:
    """Let all sessions stop and close their channels."""
    ctx.together.stop()
    end = time.monotonic() + FAREWELL_S
    for thread in threads:
        if thread.ident is not None:
            thread.join(max(0.0, end - time.monotonic()))
