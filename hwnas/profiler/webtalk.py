"""What was said to a page and by it, so that a page that was reloaded goes on with what is missing.

A page that comes back knows nothing. It is told the rest: the plan with the time that is left, the models without a result, and the quiet
level as it was last known. What the host's session has heard already (the introduction, that the page is ready) it does not hear again.
Busy samples have times of their life alone, so none but those of the first are handed on.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from hwnas_agent.wire import printable

from hwnas.core.errors import ProtocolError
from hwnas.profiler.channel import Message

MIN_SECONDS = 5.0
"""What a page that comes back is given at least, beyond the session's plan: it has to load the models again."""


class Conversation:
    """One session with a page, over all the lives that the page has in it."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._said: list[Message] = []
        self._asked: set[str] = set()
        self._started: float | None = None
        self._introduced = False
        self._ready: Message | None = None
        self._results: dict[str, Message] = {}
        self._failed: set[str] = set()
        self._before = 0
        self._min_repeats = 0
        self._lives = 0

    def say(self, message: Message) -> None:
        """The host sends ``message``."""
        if message["type"] == "ping":
            return
        if message["type"] == "begin":
            self._min_repeats = message["plan"]["min_repeats"]
        if message["type"] == "start":
            self._started = self._clock()
        if message["type"] == "job":
            self._asked.add(message["id"])
        self._said.append(message)

    def again(self) -> list[Message]:
        """What to tell a page that begins a new life."""
        self._before = len(self._results)
        self._lives += self._started is not None
        over = self._results.keys() | self._failed
        told = [m for m in self._said if not (m["type"] == "hello" and self._introduced) and not (m["type"] == "job" and m["id"] in over)]
        left = sum(m["type"] == "job" for m in told)
        return [self._adapted(m, left) for m in told]

    def hear(self, message: Message) -> Message | None:
        """What the host's session gets to hear of ``message``; None is nothing."""
        kind = message["type"]
        if kind in ("result", "failed") and message["id"] not in self._asked:
            raise ProtocolError(f"the page reports on '{printable(message['id'], 80)}', which it was never asked for")
        if kind == "hello":
            known, self._introduced = self._introduced, True
            return None if known else message
        if kind == "ready":
            return self._hear_ready(message)
        if kind == "result":
            self._results[message["id"]] = message
        elif kind == "failed":
            self._failed.add(message["id"])
        elif kind == "busy" and self._lives > 0:
            return None
        elif kind == "progress":
            done = self._before * self._min_repeats
            counts = {"finished": self._before, "accepted": done, "wanted": done}
            return {**message, **{name: message[name] + more for name, more in counts.items()}}
        elif kind == "done":
            return {**message, "results": message["results"] + self._before}
        return message

    def _hear_ready(self, message: Message) -> Message | None:
        if self._ready is None:
            self._ready = message
            return message
        for what in ("runtime_version", "provider"):
            if message[what] != self._ready[what]:
                raise ProtocolError(f"the page came back with {what} '{message[what]}' instead of '{self._ready[what]}'")
        return None

    def _adapted(self, message: Message, left: int) -> Message:
        if message["type"] == "start":
            return {**message, "jobs": left}
        if message["type"] != "begin" or self._started is None:
            return message
        plan = message["plan"]
        seconds = max(MIN_SECONDS, plan["max_seconds"] - (self._clock() - self._started))
        last = next(reversed(self._results.values()), None)
        level = message["quiet_level_us"] if last is None else last["quiet_level_us"]
        return {**message, "plan": {**plan, "max_seconds": seconds}, "quiet_level_us": level}
