"""What an agent says on standard error: read all the time, and only the end of it kept."""

from __future__ import annotations

import threading
from collections.abc import Callable

from hwnas_agent import wire

KEPT_BYTES = 8192
PATIENCE_S = 2.0


class Tail:
    """Drains a stream in a thread of its own and keeps its end: an agent whose stderr is not read stands still.

    ``read`` gives some bytes, none at the end of the stream; ``done`` is called after that.
    """

    def __init__(self, read: Callable[[], bytes], done: Callable[[], None] = lambda: None) -> None:
        self._read = read
        self._done = done
        self._end = b""
        self._thread = threading.Thread(target=self._drain, name="agent-stderr", daemon=True)
        self._thread.start()

    def _drain(self) -> None:
        try:
            while data := self._read():
                self._end = (self._end + data)[-KEPT_BYTES:]
        finally:
            self._done()

    def words(self) -> str:
        """The last line that says something, fit for an error message; it waits a little for the end of the stream."""
        self._thread.join(timeout=PATIENCE_S)
        lines = [wire.printable(line).strip() for line in self._end.decode("utf-8", "replace").splitlines()]
        return next((line for line in reversed(lines) if line), "")
