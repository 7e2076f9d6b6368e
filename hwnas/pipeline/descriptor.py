"""``devices/<id>.toml`` as ``hwnas devices add`` writes it: what was given, and what the device said of itself, with a comment a line."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import get_type_hints

from hwnas.core.access import TABLES, WHAT, OptionValue
from hwnas.core.device import Device, Fact
from hwnas.core.errors import ConfigError
from hwnas.core.registry import require_known
from hwnas.export.exporter import RUNTIME_FORMATS
from hwnas.profiler.channel import LAUNCHERS
from hwnas.profiler.check import DeviceReport
from hwnas.workspace import device_from

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
OPTIONS = {table: {field.name: field for field in fields(options)} for table, options in TABLES.items()}
"""What can be written of how a device is reached and who measures there, by table."""
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
    """What the user says of a new device. ``options`` are those that were given, by table and name (`OPTIONS`)."""

    id: str
    transport: str
    address: str = ""
    threads: int = 1
    options: Mapping[str, Mapping[str, OptionValue]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if _ID.fullmatch(self.id) is None:
            raise ConfigError(
                f"{self.id!r} is no name for a device: it becomes a file's; use letters, digits, '-', '_' and '.', up to 64, no sign first"
            )
        require_known("transport", self.transport, LAUNCHERS)
        for table, given in self.options.items():
            if table in LAUNCHERS and table != self.transport:
                raise ConfigError(f"[{table}] is for devices whose transport is '{table}', not '{self.transport}'")
            foreign = sorted(given.keys() - OPTIONS.get(table, {}).keys())
            if foreign:
                raise ConfigError(f"{'transport ' * (table in LAUNCHERS)}'{table}' takes no {' and no '.join(foreign)}")
        given_texts = {name: value for options in self.options.values() for name, value in options.items()}
        for name, value in {"address": self.address, **given_texts}.items():
            for text in (value,) if isinstance(value, str) else value if isinstance(value, tuple) else ():
                if not text.isprintable():
                    raise ConfigError(f"{self.id}: {name} has control characters, or is not text: {text!r}")


def option_in(text: str) -> tuple[str, str, OptionValue]:
    """``TABLE.NAME=VALUE`` as a user types it: table, name, and the value as what the option is; others raise `ConfigError`."""
    where, equals, value = text.partition("=")
    table, _, name = where.partition(".")
    if not equals or table not in OPTIONS:
        raise ConfigError(
            f"{text!r} is not of the form TABLE.NAME=VALUE, as in native.tool=benchmark_model; tables are {', '.join(OPTIONS)}"
        )
    require_known(f"option of [{table}]", name, OPTIONS[table])
    kind = get_type_hints(TABLES[table])[name]
    if kind is bool:
        if value not in ("true", "false"):
            raise ConfigError(f"{where} is true or false, not {value!r}")
        return table, name, value == "true"
    if kind is int:
        if not re.fullmatch("[0-9]{1,9}", value):
            raise ConfigError(f"{where} is a number, not {value!r}")
        return table, name, int(value)
    return table, name, value if kind is str else (value,)


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
    for table, options in asked.options.items():
        lines += ["", f"[{table}]"]
        for name, value in options.items():
            lines += _setting(name, value, OPTIONS[table][name].metadata[WHAT])
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


def _setting(name: str, value: Fact | OptionValue, comment: str) -> list[str]:
    return [f"{name} = {_toml(value)}  # {comment}"]


def _comment(text: str) -> str:
    """Fit for a line of a comment, whatever a device says."""
    return "".join(c if c.isprintable() else " " for c in text[:160]).strip()


def _toml(value: Fact | OptionValue) -> str:
    """JSON's strings, numbers, booleans and lists of them are TOML's, but for DEL, which TOML wants escaped."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False).replace("\x7f", "\\u007f")
