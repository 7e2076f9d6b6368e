"""How a device is reached and who measures there: the ``[ssh]``, ``[adb]`` and ``[native]`` tables of a descriptor."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from pydantic import ConfigDict

from hwnas.core.errors import ConfigError
from hwnas.core.serial import STRICT


@dataclass(frozen=True, slots=True)
class SshOptions:
    """``[ssh]`` of a device that is reached over ssh. Relative paths of ``key`` and ``known_hosts`` begin at the descriptor's folder.

    ``key`` is a private key's file, ``agent`` lets the user's ssh agent be asked for keys, ``jump`` names hosts to go through
    (``user@host:port``, several with commas), ``python`` is the interpreter on the device, ``folder`` where its work folders are made
    (relative to the user's home there), ``known_hosts`` the file with the pinned host keys.
    """

    key: str = ""
    agent: bool = False
    jump: str = ""
    python: str = "python3"
    folder: str = ".cache/hwnas"
    known_hosts: str = "known_hosts"

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    def __post_init__(self) -> None:
        for name in ("python", "folder", "known_hosts"):
            if not getattr(self, name):
                raise ConfigError(f"{name} is empty; leave it out for its default")
        for name in ("key", "jump", "python", "folder", "known_hosts"):
            if not getattr(self, name).isprintable():
                raise ConfigError(f"{name} has control characters")

    def beside(self, folder: Path) -> SshOptions:
        """The same with paths of this machine made absolute, from ``folder``; ``~`` is the user's home."""
        try:
            key = str(folder / Path(self.key).expanduser()) if self.key else ""
            return replace(self, key=key, known_hosts=str(folder / Path(self.known_hosts).expanduser()))
        except RuntimeError as problem:
            raise ConfigError(f"a path begins with the home of an unknown user: {problem}") from None


ADB_AGENTS = ("python", "browser")


@dataclass(frozen=True, slots=True)
class AdbOptions:
    """``[adb]`` of a device that is reached over adb; the device's address is its serial number, empty where there is only one.

    ``server`` is the adb server. ``agent`` says what measures: ``python`` on devices that have it (``python`` names the interpreter there,
    ``folder`` where work folders are made), or ``browser`` on phones: the page comes to them over ``port``, and with ``open_link`` it
    opens there by itself.
    """

    server: str = "127.0.0.1:5037"
    agent: str = "python"
    python: str = "python3"
    folder: str = "/data/local/tmp/hwnas"
    port: int = 8744
    open_link: bool = False

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    def __post_init__(self) -> None:
        if self.agent not in ADB_AGENTS:
            raise ConfigError(f"agent is '{self.agent}'; there are {', '.join(ADB_AGENTS)}")
        for name in ("server", "python", "folder"):
            if not getattr(self, name) or not getattr(self, name).isprintable():
                raise ConfigError(f"{name} is empty or has control characters; leave it out for its default")
        if not self.folder.startswith("/"):
            raise ConfigError(f"folder '{self.folder}' is not absolute: adb knows no home folder")
        if not 0 < self.port < 65536:
            raise ConfigError(f"port {self.port} is not from 1 to 65535")
        host, port = self.server_address
        if not host or not 0 < port < 65536:
            raise ConfigError(f"server '{self.server}' is not of the form 127.0.0.1:5037")

    @property
    def server_address(self) -> tuple[str, int]:
        """Host and port of the adb server; port 0 where ``server`` names none."""
        host, _, port = self.server.rpartition(":")
        return host.strip("[]"), int(port) if port.isascii() and port.isdigit() and len(port) < 6 else 0


NATIVE_TOOLS = {"benchmark_model": "litert", "onnxruntime_perf_test": "onnxruntime"}
"""Benchmark programs that can measure where there is no Python, and the runtime that each is built on."""


@dataclass(frozen=True, slots=True)
class NativeOptions:
    """``[native]`` of a device on which a benchmark program measures in place of the agent, because there is no Python.

    ``tool`` is one of `NATIVE_TOOLS`, ``path`` its binary on this machine (built for the device; relative to the descriptor's folder),
    ``args`` more arguments for it.
    """

    tool: str
    path: str
    args: tuple[str, ...] = ()

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    def __post_init__(self) -> None:
        if self.tool not in NATIVE_TOOLS:
            raise ConfigError(f"tool is '{self.tool}'; there are {', '.join(sorted(NATIVE_TOOLS))}")
        if not self.path or len(self.args) > 64 or not all(text.isprintable() and text for text in (self.path, *self.args)):
            raise ConfigError("path and args need text without control characters, at most 64 args")

    def beside(self, folder: Path) -> NativeOptions:
        """The same with an absolute path, from ``folder``; ``~`` is the user's home."""
        try:
            return replace(self, path=str(folder / Path(self.path).expanduser()))
        except RuntimeError as problem:
            raise ConfigError(f"a path begins with the home of an unknown user: {problem}") from None

    @property
    def runtime(self) -> str:
        """The runtime that the tool measures with."""
        return NATIVE_TOOLS[self.tool]
