"""This machine as a device: the agent as a child process."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from hwnas_agent import wire

from hwnas.core.device import Device
from hwnas.core.errors import DeviceError
from hwnas.profiler.channel import LAUNCHERS, Channel
from hwnas.profiler.stream import StreamChannel
from hwnas.profiler.tail import Tail

# What a process needs to find its libraries and to speak the user's language; everything else stays with the host.
_ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TMPDIR", "LD_LIBRARY_PATH", "COVERAGE_PROCESS_CONFIG")
_GRACE_S = 2.0


@dataclass(frozen=True, slots=True)
class LocalLauncher:
    """Starts the agent with an interpreter of this machine, in a process group of its own and with a minimal environment.

    The kernel ends the agent with the *thread* that launched it: launch, measure and close in the same thread.
    """

    name: str = "local"
    python: str = sys.executable
    silence_s: float | None = None
    lock_wait_s: float | None = None

    def launch(self) -> Channel:
        """Start the agent; an interpreter that is not there raises `DeviceError`."""
        package = Path(wire.__file__).resolve().parent.parent
        environment = {key: os.environ[key] for key in _ENVIRONMENT if key in os.environ}
        given = {"--silence-s": self.silence_s, "--lock-wait-s": self.lock_wait_s}
        options = [word for name, value in given.items() if value is not None for word in (name, str(value))]
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
    stderr = process.stderr
    tail = Tail(lambda: stderr.read(65536), stderr.close)
    read_fd, write_fd = os.dup(process.stdout.fileno()), os.dup(process.stdin.fileno())
    process.stdout.close()
    process.stdin.close()
    return StreamChannel(read_fd, write_fd, name=name, epitaph=tail.words, on_close=lambda: _end(process, tail))


def _end(process: subprocess.Popen[bytes], tail: Tail) -> None:
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
