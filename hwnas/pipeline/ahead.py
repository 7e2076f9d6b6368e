"""What is ahead of several devices: models are written by one lane at a time, and forecasts are said as they become known.

A device says which ONNX it reads before its models are written. One that is silent takes half a minute to say nothing, and the others do
not wait for it. They do wait for models that are just being written, since that disturbs what is measured on this machine.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress

from hwnas.core.errors import TableError
from hwnas.pipeline.context import Context
from hwnas.pipeline.forecast import Forecast, forecast, span
from hwnas.pipeline.profile import profile_at_hand
from hwnas.pipeline.profiling import Work
from hwnas.profiler.together import STEP_S


class Ahead:
    """Shared by the lanes of ``devices``; safe from all their threads."""

    def __init__(self, ctx: Context, devices: Collection[str]) -> None:
        self._ctx = ctx
        self._changed = threading.Condition()
        self._turn = threading.Lock()
        self._writing = 0
        self._awaited = set(devices)
        self._ends: dict[str, float] = {}
        self._at_least = False

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Inside, no other lane writes models, and no device begins to measure."""
        with self._changed:
            self._writing += 1
        try:
            with self._turn:
                yield
        finally:
            with self._changed:
                self._writing -= 1
                self._changed.notify_all()

    def ready(self, device: str, work: Sequence[Work]) -> None:
        """Say what is ahead of one device, and for all of them once the last one is known; wait until nobody writes models.

        A device that did not answer has no ``work``; one that is not among those of which something is ahead waits for nobody.
        """
        if device not in self._awaited:
            return
        forecasts = self._said(work) if self._ctx.replay is None else []
        with self._changed:
            self._awaited.discard(device)
            if forecasts:
                self._ends[device] = time.monotonic() + sum(one.seconds for one in forecasts)
                self._at_least |= any(one.at_least for one in forecasts)
            if not self._awaited:
                self._sum_up()
            while self._writing:
                self._ctx.together.check()
                self._changed.wait(STEP_S)

    def _said(self, work: Sequence[Work]) -> list[Forecast]:
        """A line a target."""
        forecasts = []
        for one in work:
            missing = one.missing()
            table = None
            with suppress(TableError):  # of a table that no longer fits, the measuring is the cure
                at_hand = profile_at_hand(self._ctx, one.target)
                table = None if at_hand is None else at_hand.table
            kept = len(one.models) - len(missing)
            expected = forecast(
                self._ctx.space,
                missing,
                one.rig.plan,
                runtime=one.target.runtime,
                kept=kept,
                at_hand=table,
                bursts=one.bursts() if self._ctx.workspace.device(one.target.device).native is not None else None,
            )
            self._ctx.reporter.expect(f"{one.title}: {expected}")
            forecasts.append(expected)
        return forecasts

    def _sum_up(self) -> None:
        """A line for all where there are several, of the time that is left: some may have begun a while ago."""
        if len(self._ends) < 2:
            return
        slowest = max(self._ends, key=lambda device: self._ends[device])
        left_s = self._ends[slowest] - time.monotonic()
        if left_s > 0:
            about = "at least" if self._at_least else "about"
            self._ctx.reporter.expect(f"{len(self._ends)} devices at once: {about} {span(left_s)}, what {slowest} takes")
