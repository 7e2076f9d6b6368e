"""A command on a device, over the connection that adbd gives for it: its input, its output, the end of its standard error, its status.

``shell,v2`` is the protocol of Android 7 and newer: packets of a kind, a length of four bytes (little endian) and content (AOSP,
``packages/modules/adb/shell_protocol.h``). ``exec`` of older ones carries plain bytes: standard error is then no part of it, and there is
neither an end of the input nor a status.
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import threading
import time
from collections import deque

from hwnas_agent.wire import printable

STDIN, STDOUT, STDERR, EXIT, CLOSE_STDIN = range(5)
KEPT_BYTES = 8192
PENDING_BYTES = 8 * 1024 * 1024
"""What is read ahead of the reader; more waits on the device."""
BLOCK_BYTES = 16 * 1024
_POLL_S = 0.25


class AdbStream:
    """`hwnas.profiler.framed.Streams` of a command, read in a thread of its own: a stderr that nobody reads would stall the command."""

    def __init__(self, connection: socket.socket, *, packets: bool) -> None:
        self._connection = connection
        self._packets = packets
        self._out: deque[bytes] = deque()
        self._pending = 0
        self._err = b""
        self._changed = threading.Condition()
        self._ended = False
        self._dropped = False
        self.status: int | None = None
        connection.setblocking(False)
        self._thread = threading.Thread(target=self._drain, name="adb-stream", daemon=True)
        self._thread.start()

    def read(self, *, timeout_s: float) -> bytes:
        """See `hwnas.profiler.framed.Streams`."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._out or self._ended, timeout_s):
                raise TimeoutError
            if not self._out:
                return b""
            data = self._out.popleft()
            self._pending -= len(data)
            self._changed.notify_all()
            return data

    def write(self, data: bytes, *, timeout_s: float) -> int:
        """See `hwnas.profiler.framed.Streams`; a packet is sent whole, or the stream is of no more use."""
        taken = data[:BLOCK_BYTES] if self._packets else data
        rest = struct.pack("<BI", STDIN, len(taken)) + taken if self._packets else taken
        deadline = time.monotonic() + timeout_s
        while rest:
            if self._ended:
                raise BrokenPipeError
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            if select.select([], [self._connection], [], min(left, _POLL_S))[1]:
                with contextlib.suppress(BlockingIOError):
                    rest = rest[self._connection.send(rest) :]
        return len(taken)

    def close(self) -> None:
        """End the command's standard input; where that cannot be said, end the connection."""
        if not self._packets:
            self.drop()
        else:
            with contextlib.suppress(OSError, ValueError):
                self._connection.send(struct.pack("<BI", CLOSE_STDIN, 0))

    def ended(self, *, within_s: float) -> bool:
        """Whether the command is known to have ended within that time; what it still says is read by nobody."""
        deadline = time.monotonic() + within_s
        with self._changed:
            while self.status is None and not self._ended and (left := deadline - time.monotonic()) > 0:
                self._out.clear()
                self._pending = 0
                self._changed.notify_all()
                self._changed.wait(left)
        return self.status is not None

    def drop(self) -> None:
        """Close the connection; never raises."""
        self._dropped = True
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        with self._changed:
            self._changed.notify_all()
        self._thread.join(timeout=4 * _POLL_S)
        self._connection.close()

    def words(self) -> str:
        """The last line on standard error that says something, fit for an error message."""
        lines = [printable(line).strip() for line in self._err.decode("utf-8", "replace").splitlines()]
        return next((line for line in reversed(lines) if line), "")

    def _drain(self) -> None:
        kind, left, header = STDOUT, 0, b""
        try:
            while data := self._receive():
                if not self._packets:
                    self._keep(STDOUT, data)
                    continue
                while data:
                    if left == 0:
                        header, data = header + data[: 5 - len(header)], data[5 - len(header) :]
                        if len(header) == 5:
                            kind, left = struct.unpack("<BI", header)
                            header = b""
                        continue
                    self._keep(kind, data[:left])
                    left, data = left - len(data[:left]), data[left:]
        except (OSError, ValueError):
            pass  # closed, by either side
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _receive(self) -> bytes:
        while not self._dropped:
            if select.select([self._connection], [], [], _POLL_S)[0]:
                return self._connection.recv(65536)
        return b""

    def _keep(self, kind: int, data: bytes) -> None:
        with self._changed:
            if kind == STDOUT:
                self._changed.wait_for(lambda: self._pending < PENDING_BYTES or self._dropped)
                self._out.append(data)
                self._pending += len(data)
            elif kind == STDERR:
                self._err = (self._err + data)[-KEPT_BYTES:]
            elif kind == EXIT and self.status is None:
                self.status = data[0]
            self._changed.notify_all()
