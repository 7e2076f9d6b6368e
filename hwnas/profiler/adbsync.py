"""Files to and from a device over adb's sync service: requests of four letters, a length of four bytes (little endian), and content.

(AOSP, ``packages/modules/adb/SYNC.TXT``.) Lengths that the device names are capped, and every wait has an end.
"""

from __future__ import annotations

import contextlib
import socket
import stat
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from hwnas_agent.wire import printable

from hwnas.core.errors import DeviceError, DeviceLost, ProtocolError
from hwnas.profiler.adblink import AdbLink

BLOCK_BYTES = 32 * 1024
"""What is under way at a time: a slow link must leave room for the agent's heartbeat."""
STALL_S = 20.0
MAX_BLOCK_BYTES = 64 * 1024
MAX_PULL_BYTES = 512 * 1024 * 1024
MAX_REASON_BYTES = 4096


def push(link: AdbLink, local: Path, remote: str, *, mode: int = 0o644, beat: Callable[[], None]) -> None:
    """Write ``local`` to the path ``remote``; ``beat`` is called now and then. A device that takes nothing for `STALL_S` is lost."""
    with _sync(link, f"writing {local.name} there") as connection, local.open("rb") as source:
        _request(connection, b"SEND", f"{remote},{stat.S_IFREG | mode}".encode())
        while block := source.read(BLOCK_BYTES):
            _request(connection, b"DATA", block)
            beat()
        connection.sendall(struct.pack("<4sI", b"DONE", int(time.time())))
        kind, length = _header(connection)
        if kind != b"OKAY":
            raise _refusal(link, connection, kind, length, f"writing {local.name} there", "; is the disk full, the folder writable?")


def blocks(link: AdbLink, remote: str) -> Iterator[bytes]:
    """The content of a file of the device; `FileNotFoundError` if there is none, `DeviceError` if it is larger than `MAX_PULL_BYTES`."""
    doing, total = f"fetching {printable(remote)}", 0
    with _sync(link, doing) as connection:
        _request(connection, b"RECV", remote.encode())
        while (header := _header(connection))[0] == b"DATA":
            if header[1] > MAX_BLOCK_BYTES:
                raise ProtocolError(f"{link.label}: {doing}: adbd announces a block of {header[1]} bytes")
            total += header[1]
            if total > MAX_PULL_BYTES:
                raise DeviceError(f"{link.label}: {printable(remote)} is larger than {MAX_PULL_BYTES} bytes")
            yield _exactly(connection, header[1])
        if header[0] != b"DONE":
            raise _refusal(link, connection, *header, doing, "")


@contextlib.contextmanager
def _sync(link: AdbLink, doing: str) -> Iterator[socket.socket]:
    connection = link.open("sync:")
    try:
        connection.settimeout(STALL_S)
        yield connection
    except TimeoutError:
        raise DeviceLost(f"{link.label}: {doing}: the device answered nothing for {STALL_S:g} s") from None
    except (ConnectionError, EOFError):
        raise DeviceLost(f"{link.label}: {doing}: the connection broke off") from None
    finally:
        connection.close()


def _request(connection: socket.socket, kind: bytes, content: bytes) -> None:
    connection.sendall(struct.pack("<4sI", kind, len(content)) + content)


def _header(connection: socket.socket) -> tuple[bytes, int]:
    kind, length = struct.unpack("<4sI", _exactly(connection, 8))
    return kind, length


def _exactly(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = connection.recv(size - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def _refusal(link: AdbLink, connection: socket.socket, kind: bytes, length: int, doing: str, hint: str) -> Exception:
    """What a ``FAIL`` says. Where there is no ``hint``, nothing is written, and a missing file is `FileNotFoundError`."""
    if kind != b"FAIL" or length > MAX_REASON_BYTES:
        return ProtocolError(f"{link.label}: {doing}: adbd answers {printable(repr(kind))}")
    reason = printable(_exactly(connection, length).decode("utf-8", "replace"))
    if not hint and "No such file" in reason:
        return FileNotFoundError(reason)
    return DeviceError(f"{link.label}: {doing}: {reason}{hint}")
