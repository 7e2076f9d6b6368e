"""This machine as a device: the agent as a child process."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from hwnas_agent import wire

from hwnas.core.device import Device
from hwnas.core.errors import DeviceError
from hwnas.profiler.channel import LAUNCHERS, Channel
from hwnas.profiler.stream import StreamChannel

# What a process needs to find its libraries and to speak the user's language; everything else stays with the host.
_ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TMPDIR", "LD_LIBRARY_PATH", "COVERAGE_PROCESS_CONFIG")
_STDERR_BYTES = 8192
_GRACE_S = 2.0


class _Tail:
    """Drains a stream in a thread of its own and keeps its end: an agent whose stderr is not read stands still."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._end = b""
        self._thread = threading.Thread(target=self._drain, name="agent-stderr", daemon=True)
        self._thread.start()

    def _drain(self) -> None:
        with self._stream:
            while data := self._stream.read(65536):
                self._end = (self._end + data)[-_STDERR_BYTES:]

    def words(self) -> str:
        """The last line that says something, fit for an error message."""
        self._thread.join(timeout=_GRACE_S)
        lines = [wire.printable(line).strip() for line in self._end.decode("utf-8", "replace").splitlines()]
        return next((line for line in reversed(lines) if line), "")


@dataclass(frozen=True, slots=True)
class LocalLauncher:
    """Starts the agent with an interpreter of this machine, in a process group of its own and with a minimal environment.

    The kernel ends the agent with the *thread* that launched it: launch, measure and close in the same thread.
    """

    name: str = "local"
    python: str = sys.executable
    silence_s: float | None = None

    def launch(self) -> Channel:
        """Start the agent; an interpreter that is not there raises `DeviceError`."""
        package = Path(wire.__file__).resolve().parent.parent
        environment = {key: os.environ[key] for key in _ENVIRONMENT if key in os.environ}
        options = [] if self.silence_s is None else ["--silence-s", str(self.silence_s)]
        # the folder that hwnas runs in must not shadow modules of the agent: -c instead of -m, which every Python version understands
        code = "import sys; sys.path[0] = sys.argv.pop(1); from hwnas_agent.__main__ import main; sys.exit(main())"
        try:
            process = subprocess.Popen(
                [self.python, "-c", code, str(package), *options],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment,
                start_new_session=True,
                bufsize=0,
            )
        except OSError as problem:
            raise DeviceError(f"{self.name}: {self.python} cannot be started: {problem.strerror}; is it installed?") from None
        return _attach(process, self.name)


def _attach(process: subprocess.Popen[bytes], name: str) -> StreamChannel:
    if process.stdin is None or process.stdout is None or process.stderr is None:
        raise DeviceError(f"{name}: the agent has no streams")
    tail = _Tail(process.stderr)
    read_fd, write_fd = os.dup(process.stdout.fileno()), os.dup(process.stdin.fileno())
    process.stdout.close()
    process.stdin.close()
    return StreamChannel(read_fd, write_fd, name=name, epitaph=tail.words, on_close=lambda: _end(process, tail))


def _end(process: subprocess.Popen[bytes], tail: _Tail) -> None:
    """A closed stdin ends the agent; one that does not listen is killed, and nobody else is."""
    try:
        process.wait(timeout=_GRACE_S)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    tail.words()


def local_launcher(device: Device) -> LocalLauncher:
    """The launcher of a device whose transport is ``local``; its address may name another Python interpreter."""
    return LocalLauncher(name=device.id, python=device.address or sys.executable)


LAUNCHERS.register("local", local_launcher)
