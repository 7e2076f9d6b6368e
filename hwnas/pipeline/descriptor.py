"""``devices/<id>.toml`` as ``hwnas devices add`` writes it: what was given, and what the device said of itself, with a comment a line."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hwnas.core.device import Device, Fact
from hwnas.core.errors import ConfigError
from hwnas.core.registry import require_known
from hwnas.export.exporter import RUNTIME_FORMATS
from hwnas.profiler.channel import LAUNCHERS
from hwnas.profiler.check import DeviceReport
from hwnas.workspace import device_from

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
OPTIONS = {
    "ssh": {
        "key": "file of the private key that logs in; without it ~/.ssh/config says which",
        "agent": "whether your ssh agent may be asked for keys",
        "jump": "hosts to go through, user@host:port, several with commas",
        "python": "the interpreter on the device",
        "folder": "where its work folders are made",
    },
    "adb": {
        "python": "the interpreter on the device",
        "folder": "where its work folders are made",
    },
}
"""What transports can be told besides the address, and what each of it is; the table has the transport's name."""
FACTS = {
    "model": "the board",
    "soc": "its chip",
    "cpu": "its processor",
    "clusters": "cores by their highest frequency",
    "memory_bytes": "main memory",
    "os": "operating system",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What the user says of a new device. ``options`` are those of its transport (`OPTIONS`) that were given."""

    id: str
    transport: str
    address: str = ""
    threads: int = 1
    options: Mapping[str, str | bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if _ID.fullmatch(self.id) is None:
            raise ConfigError(
                f"{self.id!r} is no name for a device: it becomes a file's; use letters, digits, '-', '_' and '.', up to 64, no sign first"
            )
        require_known("transport", self.transport, LAUNCHERS)
        foreign = sorted(self.options.keys() - OPTIONS.get(self.transport, {}).keys())
        if foreign:
            raise ConfigError(f"transport '{self.transport}' takes no {' and no '.join(foreign)}")
        for name, value in {"address": self.address, **self.options}.items():
            if isinstance(value, str) and not value.isprintable():
                raise ConfigError(f"{self.id}: {name} has control characters, or is not text: {value!r}")


def device_in(text: str, path: Path) -> Device:
    """The device that ``text`` describes when it is at ``path``, read as strictly as from there."""
    return device_from(tomllib.loads(text), path)


def render(asked: Asked, report: DeviceReport | None = None) -> str:
    """The descriptor's text; without a ``report`` it says that nothing was asked for."""
    lines = [_head(report), "", *_setting("transport", asked.transport, "how it is reached")]
    if asked.address:
        lines += _setting("address", asked.address, "where")
    lines += _runtimes(report)
    lines += _setting("threads", asked.threads, "threads of a model, each on a core of its own; recipes may say otherwise")
    if asked.options:
        lines += ["", f"[{asked.transport}]"]
        for name, value in asked.options.items():
            lines += _setting(name, value, OPTIONS[asked.transport][name])
    facts = {name: report.facts.get(name) for name in FACTS} if report is not None else {}
    known = {name: value for name, value in facts.items() if value is not None}
    if known:
        lines += ["", "# What it said of itself when it was added: for people, and kept with its tables.", "[facts]"]
        for name, fact in known.items():
            lines += _setting(name, fact, FACTS[name])
    return "\n".join(lines) + "\n"


def usable_runtimes(report: DeviceReport) -> tuple[str, ...]:
    """What models can be exported for and run on the device, sorted."""
    return tuple(sorted(name for name, found in report.runtimes.items() if found.version is not None and name in RUNTIME_FORMATS))


def _head(report: DeviceReport | None) -> str:
    if report is None:
        return "# Written without asking the device; 'hwnas devices check' does, 'hwnas devices add --force' writes what it says."
    system = ", ".join(word for word in (f"Python {report.python}" if report.python else "", report.system, report.arch) if word)
    return f"# {_comment(system)}, {len(report.cores)} cores; written by 'hwnas devices add', edit it as you like."


def _runtimes(report: DeviceReport | None) -> list[str]:
    if report is None:
        return []
    lines = []
    for name, found in sorted(report.runtimes.items()):
        limits = f", reads ONNX up to IR {found.max_ir} and opset {found.max_opset}" if found.max_ir is not None else ""
        lines.append(f"# {_comment(name)} {_comment(found.version or 'is not usable: ' + (found.reason or 'no reason given'))}{limits}")
    words = ", ".join(_toml(name) for name in usable_runtimes(report))
    return [*lines, f"runtimes = [{words}]  # found there; leave out what is not to be measured"]


def _setting(name: str, value: Fact, comment: str) -> list[str]:
    return [f"{name} = {_toml(value)}  # {comment}"]


def _comment(text: str) -> str:
    """Fit for a line of a comment, whatever a device says."""
    return "".join(c if c.isprintable() else " " for c in text[:160]).strip()


def _toml(value: Fact) -> str:
    """JSON's strings, numbers and booleans are TOML's, but for DEL, which TOML wants escaped."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False).replace("\x7f", "\\u007f")
