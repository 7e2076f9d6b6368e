"""What a device tells through small files of its kernel and through its tools: one way to read both, for this device and for others.

All that reads such files goes through a `Source`. `Here` is the device that this runs on; a host that has a shell on a device, and no
agent, reads that device by the same functions through a source of its own.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any, Callable, Dict, Protocol, Sequence

from hwnas_agent.wire import printable

Fact = Dict[str, Any]
Tool = Callable[[Sequence[str]], str]

TOOL_S = 3.0
MAX_OUTPUT = 16 * 1024
MAX_FILE = 256 * 1024


class Unknown(Exception):
    """A fact that this device does not tell, with the reason."""


class Source(Protocol):
    """A device's files, by paths without the first slash, and its tools. What cannot be had raises `Unknown` with the reason."""

    def text(self, path: str) -> str:
        """The beginning of a file."""
        ...

    def lines(self, paths: Sequence[str]) -> dict[str, str]:
        """The first lines of many files at once, stripped; those that cannot be read are left out."""
        ...

    def names(self, folder: str) -> list[str]:
        """What is in a folder, sorted."""
        ...

    def tool(self, arguments: Sequence[str]) -> str:
        """What a tool prints."""
        ...


def run_tool(arguments: Sequence[str]) -> str:
    """What a tool of this device prints; one that is not there, fails or takes too long raises `Unknown`."""
    path = shutil.which(arguments[0])
    if path is None:
        raise Unknown(arguments[0] + " is not there")
    try:
        done = subprocess.run(
            [path, *arguments[1:]],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=TOOL_S,
        )
    except subprocess.TimeoutExpired:
        raise Unknown(f"{arguments[0]} did not end within {TOOL_S:g} s") from None
    except OSError as problem:
        raise Unknown(f"{arguments[0]} does not start: {problem.strerror}") from None
    if done.returncode != 0:
        raise Unknown(f"{arguments[0]} ended with {done.returncode}")
    return done.stdout[:MAX_OUTPUT].decode("utf-8", "replace")


class Here:
    """The device that this runs on, with its files below ``root``."""

    def __init__(self, root: str = "/", tool: Tool = run_tool) -> None:
        self._root = Path(root)
        self._tool = tool

    def text(self, path: str) -> str:
        """See `Source`."""
        try:
            with (self._root / path).open(encoding="utf-8", errors="replace") as file:
                return file.read(MAX_FILE)
        except OSError as problem:
            raise Unknown(f"{self._root / path}: {problem.strerror}") from None

    def lines(self, paths: Sequence[str]) -> dict[str, str]:
        """See `Source`."""
        read = {path: text_in(self._root / path) for path in paths}
        return {path: line for path, line in read.items() if line is not None}

    def names(self, folder: str) -> list[str]:
        """See `Source`."""
        try:
            return sorted(entry.name for entry in (self._root / folder).iterdir())
        except OSError as problem:
            raise Unknown(f"{self._root / folder}: {problem.strerror}") from None

    def tool(self, arguments: Sequence[str]) -> str:
        """See `Source`."""
        return self._tool(arguments)


def line_of(device: Source, path: str) -> str:
    """The first line of a file of a device; an empty one raises `Unknown`. The device tree ends its lines with a zero."""
    line = device.text(path).split("\n")[0].split("\0")[0].strip()
    if not line:
        raise Unknown(f"/{path} is empty")
    return line


def text_in(path: Path) -> str | None:
    """The first line of a file of this device; None where it is empty or cannot be read."""
    try:
        return line_of(Here(str(path.parent)), path.name)
    except Unknown:
        return None


def number_in(path: Path) -> float | None:
    """The first line as a number; None where it is none."""
    text = text_in(path)
    return None if text is None else number(text)


def number(text: str) -> float | None:
    """A number as the kernel writes it; None where it is none."""
    try:
        return float(text) if len(text) < 32 else None
    except ValueError:
        return None


def fact(read: Callable[[], Any]) -> Fact:
    """What ``read`` gives, or why it gives nothing: never zero for what is not known."""
    try:
        value = read()
    except (Unknown, OSError, ValueError) as problem:
        return {"value": None, "reason": printable(str(problem))}
    return {"value": printable(value) if isinstance(value, str) else value, "reason": None}
