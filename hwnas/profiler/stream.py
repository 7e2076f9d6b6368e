"""A channel over two descriptors, to an agent that shares the host's file system."""

from __future__ import annotations

import os
import select
import shutil
from collections.abc import Callable
from pathlib import Path

from hwnas.core.errors import ConfigError
from hwnas.profiler.framed import FramedChannel


class Pipes:
    """A readable and a writable descriptor, which this owns."""

    def __init__(self, read_fd: int, write_fd: int) -> None:
        self._read_fd = read_fd
        self._write_fd = write_fd
        os.set_blocking(write_fd, False)

    def read(self, *, timeout_s: float) -> bytes:
        """See `hwnas.profiler.framed.Streams`."""
        if not select.select([self._read_fd], [], [], timeout_s)[0]:
            raise TimeoutError
        return os.read(self._read_fd, 65536)

    def write(self, data: bytes, *, timeout_s: float) -> int:
        """See `hwnas.profiler.framed.Streams`."""
        if not select.select([], [self._write_fd], [], timeout_s)[1]:
            raise TimeoutError
        try:
            return os.write(self._write_fd, data)
        except BlockingIOError:
            return 0

    def close(self) -> None:
        """Close both."""
        os.close(self._write_fd)
        os.close(self._read_fd)


class StreamChannel(FramedChannel):
    """A `FramedChannel` over `Pipes`; files are read where they are."""

    def __init__(
        self,
        read_fd: int,
        write_fd: int,
        *,
        name: str,
        epitaph: Callable[[], str] = str,
        on_close: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(Pipes(read_fd, write_fd), name=name, epitaph=epitaph, on_close=on_close)

    def push(self, local: Path, remote: str) -> str:  # noqa: ARG002 - other transports need the name
        """The file is read where it is."""
        if not local.is_file():
            raise ConfigError(f"{local}: no such file")
        return str(local.resolve())

    def pull(self, remote: str, local: Path) -> None:
        """Copy a file of this machine."""
        shutil.copyfile(remote, local)
