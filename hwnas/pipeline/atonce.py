"""Work on several devices at once: each device has a thread of its own, in which its targets follow one another.

What one device says, or fails to say, touches no other: every result is handed on as it comes, and a failure is an outcome beside the
others. Ctrl-C ends all sessions; what was measured is in their journals.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
    """``run`` works in the device's thread; ``deliver`` takes what it gave, in the thread that waits for all."""

    target: Target
    run: Callable[[], T]
    deliver: Callable[[T], T] = lambda result: result


@dataclass(frozen=True, slots=True)
class Outcome(Generic[T]):
    """What came of one target: a ``result``, or the ``error`` of one that ``failed`` or was ``skipped``."""

    target: Target
    status: str
    result: T | None = None
    error: HwnasError | None = None


Results = queue.Queue[tuple[Task[T], Outcome[T] | BaseException]]


def at_once(ctx: Context, tasks: Sequence[Task[T]], *, status: str) -> list[Outcome[T]]:
    """Do all ``tasks``, in the order in which they finish; those that succeed have ``status``.

    A fault that is no `HwnasError` is raised when all others are done; a `KeyboardInterrupt` as soon as all sessions have ended.
    """
    results: Results[T] = queue.Queue()
    devices = dict.fromkeys(task.target.device for task in tasks)
    own = {device: [task for task in tasks if task.target.device == device] for device in devices}
    threads = [threading.Thread(target=_one_device, args=(own[device], results), name=device, daemon=True) for device in devices]
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
                result = _delivered(task, result.result, status)
            if result.status == "failed" and len(threads) > 1:
                ctx.reporter.note(f"{task.target.label} failed, the others go on: {result.error}")
            done.append(result)
    except BaseException:
        _end(ctx, threads)
        raise
    if faults:
        raise faults[0]
    return done


def _delivered(task: Task[T], result: T, status: str) -> Outcome[T]:
    try:
        return Outcome(task.target, status, task.deliver(result))
    except HwnasError as problem:
        return Outcome(task.target, "failed", error=problem)


def _one_device(tasks: Sequence[Task[T]], results: Results[T]) -> None:
    """The targets of one device, one after the other; says exactly one thing of each."""
    lost: HwnasError | None = None
    for task in tasks:
        target = task.target
        if lost is not None:
            reason = DeviceError(f"{target.label}: not tried, since its device was lost: {lost}")
            results.put((task, Outcome(target, "skipped", error=reason)))
            continue
        try:
            results.put((task, Outcome(target, "done", task.run())))
        except HwnasError as problem:
            results.put((task, Outcome(target, "failed", error=problem)))
            if isinstance(problem, OUT_OF_REACH):
                lost = problem
        except BaseException as fault:  # noqa: BLE001 - of hwnas or this machine: raised where the others are waited for
            results.put((task, fault))


def _end(ctx: Context, threads: Sequence[threading.Thread]) -> None:
    """Let all sessions stop and close their channels."""
    ctx.together.stop()
    end = time.monotonic() + FAREWELL_S
    for thread in threads:
        if thread.ident is not None:
            thread.join(max(0.0, end - time.monotonic()))
