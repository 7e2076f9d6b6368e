"""A watchdog for calls that have no time limit of their own."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator


class Watch:
    """Calls ``bark`` once, in a thread of its own, when an armed stretch is not touched for its patience; ``barked`` tells of it."""

    def __init__(self, bark: Callable[[], None]) -> None:
        self._bark = bark
        self._changed = threading.Condition()
        self._deadline: float | None = None
        self._ended = False
        self.barked = False
        threading.Thread(target=self._run, name="watch", daemon=True).start()

    @contextlib.contextmanager
    def armed(self, patience_s: float) -> Iterator[Callable[[], None]]:
        """Inside, ``patience_s`` seconds without a call of what this yields are too long. Stretches do not nest."""

        def touch() -> None:
            self._set(time.monotonic() + patience_s)

        touch()
        try:
            yield touch
        finally:
            self._set(None)

    def end(self) -> None:
        """Watch no more."""
        with self._changed:
            self._ended = True
            self._changed.notify()

    def _set(self, deadline: float | None) -> None:
        with self._changed:
            self._deadline = deadline
            self._changed.notify()

    def _run(self) -> None:
        with self._changed:
            while not self._ended:
                left = None if self._deadline is None else self._deadline - time.monotonic()
                if left is not None and left <= 0:
                    self.barked = True
                    break
                self._changed.wait(left)
        if self.barked:
            self._bark()
