"""Where a page and its host leave messages for each other: who the page is, what it is to be told, what it has said.

A page is let in by a token, once and for some minutes, and is then given a key of its own, with which the same tab comes back after it was
reloaded. Each time it is in a new *life*: what belongs to an earlier one is turned away, and the messages of both directions are counted
anew. Between two sessions the host ends the life itself, so that nothing of an old session reaches a new one.

Requests are served by threads: everything here is under one lock.
"""

from __future__ import annotations

import hmac
import json
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from hwnas_agent import wire

from hwnas.core.errors import AgentTimeout, DeviceLost, HwnasError, PageRefused, ProtocolError
from hwnas.profiler.channel import Message
from hwnas.profiler.webtalk import Conversation

POLL_S = 10.0
"""A request for messages is answered after this time, also without any."""
RETURN_S = 8.0
"""A page that left is awaited for this time: it may only have been reloaded."""
PRESENT_S = 15.0
"""A page that asked for messages within this time is there."""
MAX_TOTAL_BYTES = 512 * 1024 * 1024
MAX_UNREAD_BYTES = 16 * 1024 * 1024
LEAST_CHARGE = 1024
"""What a message that nobody has read yet counts for at least, in bytes: a short one takes more room than it has characters."""
KEY_BYTES = 32


class Desk:
    """The state between one device's page and its host. ``name`` begins every error message."""

    def __init__(self, name: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.name = name
        self._clock = clock
        self._changed = threading.Condition()
        self._token: tuple[str, float] | None = None
        self._key: str | None = None
        self._life = 0
        self._over = 0
        self._talk: Conversation | None = None
        self._models: dict[str, Path] = {}
        self._outbox: deque[tuple[int, Message]] = deque()
        self._said = self._heard = self._bytes = 0
        self._unread = 0
        self._broken: ProtocolError | None = None
        self._inbox: deque[Message | HwnasError] = deque()
        self._last_heard: float | None = None
        self._left: float | None = None
        self._closed = False

    # --- the page's side -------------------------------------------------------------------------------------------------------------

    def claim(self, token: str) -> dict[str, object]:
        """Let a page in by the link's token; one that is wrong, used or expired raises `PageRefused`."""
        with self._changed:
            known, until = self._token or ("", 0.0)
            if not known or not hmac.compare_digest(token.encode(), known.encode()):
                raise PageRefused(403, "this link was used already or is not valid; run the command again for a new one")
            self._token = None
            if self._clock() > until:
                raise PageRefused(403, "this link has expired; run the command again for a new one")
            self._key = secrets.token_urlsafe(KEY_BYTES)
            return self._enter()

    def resume(self, key: str) -> dict[str, object]:
        """Let the same tab in again."""
        with self._changed:
            self._check_key(key)
            return self._enter()

    def leave(self, key: str, life: int) -> None:
        """The page is going."""
        with self._changed:
            self._check(key, life)
            self._left = self._clock()
            self._changed.notify_all()

    def post(self, key: str, life: int, body: bytes) -> None:
        """Lines of JSON, each a numbered message of `hwnas_agent.wire.FROM_AGENT`; ones that are here already are passed over."""
        with self._changed:
            self._check(key, life)
            if self._broken is not None:
                raise PageRefused(400, wire.printable(str(self._broken)))
            try:
                self._bytes += len(body)
                if self._bytes > MAX_TOTAL_BYTES:
                    raise wire.WireError(f"the page sent more than {MAX_TOTAL_BYTES} bytes")
                for line in body.splitlines():
                    self._take(line)
            except (wire.WireError, ProtocolError) as problem:
                # the host is told once; what such a page says after that is not looked at
                self._broken = ProtocolError(f"{self.name}: {problem}")
                self._inbox.append(self._broken)
                raise PageRefused(400, wire.printable(str(problem))) from None
            finally:
                self._changed.notify_all()

    def poll(self, key: str, life: int, after: int) -> list[Message]:
        """The host's messages from number ``after`` on, which acknowledges those before; waits for one, but not for ever."""
        with self._changed:
            self._check(key, life)
            self._left = None  # one that asks is there, or there again
            while self._outbox and self._outbox[0][0] < after:
                self._outbox.popleft()
            self._changed.wait_for(lambda: self._outbox or self._closed or self._life != life or self._over >= life, timeout=POLL_S)
            self._check(key, life)
            return [{**message, "seq": number} for number, message in self._outbox]

    def model(self, key: str, life: int, sha256: str) -> Path:
        """The file with this hash, if the host has promised one to the page."""
        with self._changed:
            self._check(key, life)
            if sha256 not in self._models:
                raise PageRefused(404, "no such model")
            return self._models[sha256]

    # --- the host's side -------------------------------------------------------------------------------------------------------------

    def offer(self, *, valid_s: float) -> str:
        """A new token; an earlier one is void."""
        with self._changed:
            token = secrets.token_urlsafe(KEY_BYTES)
            self._token = (token, self._clock() + valid_s)
            return token

    @property
    def present(self) -> bool:
        """Whether a page is there."""
        with self._changed:
            return self._present()

    def await_page(self, *, timeout_s: float) -> bool:
        """Whether a page comes in time; one that is there suffices."""
        with self._changed:
            return bool(self._changed.wait_for(self._present, timeout=timeout_s))

    def begin(self) -> None:
        """A new session: nothing of an earlier one is left."""
        with self._changed:
            self._end_life()
            self._talk = Conversation(clock=self._clock)

    def end(self) -> None:
        """The session is over; the page waits for the next one."""
        with self._changed:
            self._end_life()
            self._talk = None

    def close(self) -> None:
        """Nobody is served any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def promise(self, sha256: str, path: Path) -> None:
        """The page may fetch this file."""
        with self._changed:
            self._models[sha256] = path

    def tell(self, message: Message) -> None:
        """Queue a message for the page."""
        with self._changed:
            if self._talk is None:
                raise DeviceLost(f"{self.name}: the channel is closed")
            self._talk.say(message)
            if self._over < self._life:
                self._queue(message)

    def hear(self, *, timeout_s: float) -> Message:
        """The page's next message. `AgentTimeout`: none in time; `DeviceLost`: the page was closed; `ProtocolError`: nonsense."""
        end = self._clock() + timeout_s
        with self._changed:
            while not self._inbox:
                now = self._clock()
                if self._talk is None or self._closed:
                    raise DeviceLost(f"{self.name}: the channel is closed")
                if self._left is not None and now - self._left >= RETURN_S:
                    raise DeviceLost(f"{self.name}: the page was closed before it was done; keep it open and in front")
                if now >= end:
                    raise AgentTimeout(f"{self.name}: no word from the page within {timeout_s:g} s")
                self._changed.wait(min(end - now, 0.5))
            found = self._inbox.popleft()
            if not self._inbox:
                self._unread = 0
        if isinstance(found, HwnasError):
            raise found
        return found

    # --- under the lock --------------------------------------------------------------------------------------------------------------

    def _enter(self) -> dict[str, object]:
        self._life += 1
        self._said = self._heard = 0
        self._outbox.clear()
        self._left = None
        self._last_heard = self._clock()
        for message in self._talk.again() if self._talk is not None else ():
            self._queue(message)
        self._changed.notify_all()
        return {"key": self._key, "life": self._life}

    def _end_life(self) -> None:
        self._over = self._life
        self._outbox.clear()
        self._inbox.clear()
        self._models.clear()
        self._bytes = self._unread = 0
        self._broken = None
        self._changed.notify_all()

    def _queue(self, message: Message) -> None:
        self._outbox.append((self._said, message))
        self._said += 1
        self._changed.notify_all()

    def _check_key(self, key: str) -> None:
        if self._key is None or not hmac.compare_digest(key.encode(), self._key.encode()):
            raise PageRefused(403, "this page is not known to the host; open the link that hwnas shows")

    def _check(self, key: str, life: int) -> None:
        self._check_key(key)
        if life != self._life:
            raise PageRefused(410, "the page was opened again elsewhere; this one is not used any more")
        if self._over >= life:
            raise PageRefused(409, "the session is over; come back for the next one")
        self._last_heard = self._clock()

    def _present(self) -> bool:
        return self._left is None and self._last_heard is not None and self._clock() - self._last_heard < PRESENT_S

    def _take(self, line: bytes) -> None:
        if len(line) >= wire.MAX_LINE_BYTES:
            raise wire.WireError(f"a message is longer than {wire.MAX_LINE_BYTES} bytes")
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            raise wire.WireError("a message is not JSON") from None
        message = wire.check(value, wire.FROM_AGENT)
        seq = message.get("seq")
        if not isinstance(seq, int) or isinstance(seq, bool) or not 0 <= seq <= self._heard:
            raise wire.WireError(f"a message has sequence number {wire.printable(repr(seq), 40)}, not {self._heard}")
        if seq < self._heard:
            return
        self._heard += 1
        heard = self._talk.hear(message) if self._talk is not None else None
        if heard is not None:
            self._unread += max(len(line), LEAST_CHARGE)
            if self._unread > MAX_UNREAD_BYTES:
                raise wire.WireError("the page talks faster than the host reads")
            self._inbox.append(heard)
