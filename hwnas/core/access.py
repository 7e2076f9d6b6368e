"""How a device is reached and who measures there: the ``[ssh]``, ``[adb]`` and ``[native]`` tables of a descriptor.

Each option says in a few words what it is (`option`), for all that write, list or explain descriptors.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, ClassVar

from pydantic import ConfigDict

from hwnas.core.errors import ConfigError
from hwnas.core.serial import STRICT

OptionValue = str | bool | int | tuple[str, ...]
WHAT, IS_PATH = "what", "is_path"
"""Keys of a field's metadata."""


def option(what: str, *, is_path: bool = False, **default: Any) -> Any:
    """A field of a descriptor's table: ``what`` it is, and whether it is a path on this machine, relative to the descriptor's folder."""
    return field(metadata={WHAT: what, IS_PATH: is_path}, **default)


@dataclass(frozen=True, slots=True)
class SshOptions:
    """``[ssh]`` of a device that is reached over ssh. Relative paths of ``key`` and ``known_hosts`` begin at the descriptor's folder.

    ``key`` is a private key's file, ``agent`` lets the user's ssh agent be asked for keys, ``jump`` names hosts to go through
    (``user@host:port``, several with commas), ``python`` is the interpreter on the device, ``folder`` where its work folders are made
    (relative to the user's home there), ``known_hosts`` the file with the pinned host keys.
    """

    key: str = option("file of the private key that logs in; without it ~/.ssh/config says which", is_path=True, default="")
    agent: bool = option("whether your ssh agent may be asked for keys", default=False)
    jump: str = option("hosts to go through, user@host:port, several with commas", default="")
    python: str = option("the interpreter on the device", default="python3")
    folder: str = option("where its work folders are made", default=".cache/hwnas")
    known_hosts: str = option("file of the pinned host keys", is_path=True, default="known_hosts")

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

    server: str = option("the adb server, host:port", default="127.0.0.1:5037")
    agent: str = option("what measures: python where the device has it, else browser", default="python")
    python: str = option("the interpreter on the device", default="python3")
    folder: str = option("where its work folders are made", default="/data/local/tmp/hwnas")
    port: int = option("the loopback port of the page, another one for each phone", default=8744)
    open_link: bool = option("whether the page opens there by itself", default=False)

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

    tool: str = option("the program that measures, of its runtime")
    path: str = option("its binary on this machine, built for the device", is_path=True)
    args: tuple[str, ...] = option("more arguments for it, word by word", default=())

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


TABLES: dict[str, type[SshOptions] | type[AdbOptions] | type[NativeOptions]] = {
    "ssh": SshOptions,
    "adb": AdbOptions,
    "native": NativeOptions,
}
"""Tables of a descriptor by name."""


def is_path(table: str, name: str) -> bool:
    """Whether an option is a path on this machine."""
    return any(option.name == name and option.metadata[IS_PATH] for option in fields(TABLES[table])) if table in TABLES else False
