"""The line between a host and a board, in the hands of a test: a port of this machine whose connections go on to the board's.

It can stand still (nothing arrives any more, and nobody is told), break (both ends are told), and be noisy (bytes that nobody sent).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import selectors
import socket
import struct
import threading
from pathlib import Path

CLONE_NEWNET = 0x40000000


def connect_inside(pid: int, port: int) -> socket.socket:
    """A connection to ``port`` of the loopback in the network namespace of process ``pid``."""
    found: list[socket.socket | OSError] = []

    def enter() -> None:  # a namespace belongs to a thread: this one ends in it
        try:
            with Path(f"/proc/{pid}/ns/net").open("rb") as namespace:
                if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), CLONE_NEWNET) != 0:
                    raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
            found.append(socket.create_connection(("127.0.0.1", port), timeout=5))
        except OSError as problem:
            found.append(problem)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    if isinstance(found[0], OSError):
        raise found[0]
    return found[0]


class Relay:
    """Listens on ``port`` of the loopback; ``far()`` connects to the board."""

    def __init__(self, far, port: int = 0) -> None:
        self._far = far
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._lock = threading.Lock()
        self._still = False
        self._ended = False
        self._server = socket.create_server(("127.0.0.1", port))
        self.port = int(self._server.getsockname()[1])
        self._server.setblocking(False)
        self._wake, self._woken = socket.socketpair()
        self._thread = threading.Thread(target=self._run, name="relay", daemon=True)
        self._thread.start()

    def cut(self) -> None:
        """Nothing passes from now on; connections stay open."""
        self._still = True
        self._stir()

    def mend(self) -> None:
        self._still = False
        self._stir()

    def snap(self) -> None:
        """Both ends of every connection are told that it is over."""
        with self._lock:
            for pair in self._pairs:
                for end in pair:
                    with contextlib.suppress(OSError):
                        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                        end.shutdown(socket.SHUT_RDWR)

    def noise(self, data: bytes) -> bool:
        """Send the host what the board did not say; whether there was a connection for it."""
        sent = False
        with self._lock:
            for near, _ in self._pairs:
                with contextlib.suppress(OSError):
                    near.settimeout(1.0)
                    near.sendall(data)
                    sent = True
        return sent

    def close(self) -> None:
        self._ended = True
        self._stir()
        self._thread.join(timeout=10)
        with self._lock:
            for end in (*(end for pair in self._pairs for end in pair), self._server, self._wake, self._woken):
                end.close()
            self._pairs.clear()

    def _stir(self) -> None:
        with contextlib.suppress(OSError):
            self._wake.send(b".")

    def _run(self) -> None:
        while not self._ended:
            with selectors.DefaultSelector() as selector, self._lock:
                selector.register(self._woken, selectors.EVENT_READ, None)
                if not self._still:
                    selector.register(self._server, selectors.EVENT_READ, None)
                    for near, far in self._pairs:
                        selector.register(near, selectors.EVENT_READ, (near, far))
                        selector.register(far, selectors.EVENT_READ, (far, near))
                self._lock.release()
                try:
                    ready = selector.select(1.0)
                finally:
                    self._lock.acquire()
            for key, _ in ready:
                self._serve(key.fileobj, key.data)

    def _serve(self, source, way) -> None:
        if source is self._woken:
            self._woken.recv(4096)
        elif source is self._server:
            with contextlib.suppress(OSError):
                near = self._server.accept()[0]
                try:
                    far = self._far()
                except OSError:
                    near.close()
                else:
                    for end in (near, far):
                        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    with self._lock:
                        self._pairs.append((near, far))
        elif not self._still:
            self._pass(way)

    def _pass(self, way: tuple[socket.socket, socket.socket]) -> None:
        source, target = way
        try:
            source.settimeout(10)
            target.settimeout(10)
            data = source.recv(65536)
            if data:
                target.sendall(data)
                return
        except OSError:
            pass
        with self._lock:
            for pair in list(self._pairs):
                if source in pair:
                    self._pairs.remove(pair)
                    for end in pair:
                        end.close()
