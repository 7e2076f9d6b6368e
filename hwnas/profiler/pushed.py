"""An agent on a device of which the host sees no files: what transports that push them have in common.

Files are named after their content, written beside their name and renamed on the device once their SHA-256 is right there.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from hwnas_agent import wire
from hwnas_agent.wire import printable

from hwnas.core.errors import ConfigError, DeviceError, DeviceLost
from hwnas.core.serial import sha256_file
from hwnas.profiler.framed import FramedChannel, Streams

AGENT = "agent.pyz"
OWNER = "owner"
"""The file in which an agent leaves its process number (`hwnas_agent.workfolder`)."""
GRACE_S = 2.0
OLDEST_PYTHON = (3, 8)
_KILL = "import os,sys; os.kill(int(sys.argv[1]),9)"
_SUFFIX = re.compile(r"\.[a-z0-9]{1,16}")
# Runs on the device, on whatever Python is there, to say so if it is too old.
_STORE = (
    "import hashlib,os,sys\n"
    "part,path,want=sys.argv[1:]\n"
    "digest=hashlib.sha256()\n"
    "f=open(part,'rb')\n"
    "for block in iter(lambda:f.read(65536),b''): digest.update(block)\n"
    "f.close()\n"
    "same=digest.hexdigest()==want\n"
    "if same: os.rename(part,path)\n"
    "print('hwnas-store %s %d %d'%('whole' if same else 'torn',sys.version_info[0],sys.version_info[1]))\n"
)


class Remote(Protocol):
    """A folder of the device that is an agent's own, and commands there."""

    @property
    def python(self) -> str:
        """The interpreter."""
        ...

    @property
    def label(self) -> str:
        """What messages call the device."""
        ...

    def push(self, local: Path, name: str, *, beat: Callable[[], None] = ...) -> str:
        """Write ``local`` to ``name.part``; the path of ``name``. ``beat`` is called now and then."""
        ...

    def pull(self, path: str, local: Path) -> None:
        """Copy a file of the device, relative to the folder unless absolute."""
        ...

    def run(self, arguments: Sequence[str], *, limit_s: float = ...) -> tuple[int, str]:
        """Run a command to its end: exit status and the end of what it printed on either stream."""
        ...

    def read(self, name: str, *, patience_s: float) -> str:
        """The beginning of a small file of the folder; empty if there is none."""
        ...

    def remove(self) -> None:
        """Remove the folder and the files in it, if it is still there."""
        ...


class Command(Streams, Protocol):
    """The streams of a command on a device."""

    def ended(self, *, within_s: float) -> bool:
        """Whether the command is known to end within that time."""
        ...


class PushedChannel(FramedChannel):
    """The agent that is ``command``, and its folder ``remote``. ``alive`` tells whether the connection stands; ``release`` closes it."""

    def __init__(
        self,
        command: Command,
        remote: Remote,
        *,
        name: str,
        epitaph: Callable[[], str],
        alive: Callable[[], bool],
        release: Callable[[], None],
    ) -> None:
        self._remote = remote
        self._command = command
        self._alive = alive
        self._release = release
        self._pushed: dict[str, str] = {}
        self._beaten = time.monotonic()
        super().__init__(command, name=name, epitaph=epitaph, on_close=self._end)

    def push(self, local: Path, remote: str) -> str:  # noqa: ARG002 - files are named after their content
        """Write the file to the device under the name of its content, once; the agent checks it before it looks at any later message."""
        if not local.is_file():
            raise ConfigError(f"{local}: no such file")
        digest = sha256_file(local)
        suffix = local.suffix.lower()
        name = digest + (suffix if _SUFFIX.fullmatch(suffix) else "")
        if name not in self._pushed:
            self._beat()
            path = self._write(local, name)
            self.send({"type": "file", "name": name, "sha256": digest})
            self._pushed[name] = path
        return self._pushed[name]

    def pull(self, remote: str, local: Path) -> None:
        """Fetch a file of the device; a relative path begins at the agent's folder."""
        self._remote.pull(remote, local)

    def _write(self, local: Path, name: str) -> str:
        try:
            return self._remote.push(local, name, beat=self._beat)
        except DeviceLost:
            raise
        except DeviceError:
            # an agent that ended has taken its folder along, which is no fault of the disk
            if self._command.ended(within_s=GRACE_S / 4):
                raise self._lost() from None
            raise

    def _beat(self) -> None:
        """A ping when one is due: pushing may take longer than an agent waits for its host."""
        if time.monotonic() - self._beaten >= wire.HEARTBEAT_S:
            self._beaten = time.monotonic()
            self.send({"type": "ping"})

    def _end(self) -> None:
        """The agent ends by itself; one that does not is killed, and what it left behind is removed."""
        try:
            with contextlib.suppress(DeviceError):
                if not self._command.ended(within_s=GRACE_S) and self._alive():
                    pid = self._remote.read(OWNER, patience_s=2 * GRACE_S).strip()
                    if pid.isdigit() and int(pid) > 1:
                        self._remote.run([self._remote.python, "-c", _KILL, pid], limit_s=5 * GRACE_S)
                self._remote.remove()
        finally:
            self._release()


def agent_command(remote: Remote, agent: str, folder: str) -> list[str]:
    """The words that start an agent, stored as ``agent``, in its folder."""
    return [remote.python, "-u", agent, "--work", folder]


def store(remote: Remote, local: Path, name: str, *, table: str) -> str:
    """Push ``local``, have the device check its SHA-256, and give it its name; its path.

    A Python that is not there or older than `OLDEST_PYTHON` is a `DeviceError` that names ``table`` of the descriptor.
    """
    path = remote.push(local, name)
    status, words = remote.run([remote.python, "-I", "-c", _STORE, path + ".part", path, sha256_file(local)])
    answer = next((line.split() for line in reversed(words.splitlines()) if line.startswith("hwnas-store ")), None)
    if answer is None or len(answer) != 4:
        last = next((printable(line).strip() for line in reversed(words.splitlines()) if line.strip()), "no word of why")
        raise DeviceError(
            f"{remote.label}: '{remote.python}' does not run there (exit code {status}: {last}); install Python 3.8, or name one in {table}"
        )
    if tuple(map(_number, answer[2:])) < OLDEST_PYTHON:
        version = printable(".".join(answer[2:]))
        raise DeviceError(
            f"{remote.label}: '{remote.python}' is Python {version} there; the agent needs 3.8: name a newer one as python in {table}"
        )
    if answer[1] != "whole":
        raise DeviceError(f"{remote.label}: {local.name} arrived torn; is the disk full there?")
    return path


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 4 else 0
