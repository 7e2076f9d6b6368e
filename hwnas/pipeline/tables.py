"""Which table is meant: of a device of the workspace, accepted or measured, in one context."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from hwnas.core.errors import ConfigError, TableError
from hwnas.core.registry import suggest
from hwnas.latency.table import LatencyTable
from hwnas.latency.tablefile import read_table, stored_at, write_table
from hwnas.workspace import Workspace

_PREFERRED = {"precision": "fp32", "regime": "quiet", "threads": 1, "batch": 1}


def table_files(workspace: Workspace, device: str, runtime: str | None = None) -> list[Path]:
    """The accepted tables of a device, or the measured ones where none was accepted; without any, `TableError` with a suggestion."""
    found = below(workspace.accepted_tables, device, runtime) or below(workspace.store.tables, device, runtime)
    if not found:
        of = f"device '{device}'" if runtime is None else f"device '{device}' with runtime '{runtime}'"
        raise TableError(f"no table of {of} in {workspace.accepted_tables} or {workspace.store.tables}; {_known(workspace, device)}")
    return found


def below(root: Path, device: str, runtime: str | None = None) -> list[Path]:
    """The tables of a device below ``root``."""
    return sorted(path for path in (root / device).glob("*.json") if runtime is None or path.name.rsplit("-", 4)[0] == runtime)


def _known(workspace: Workspace, name: str) -> str:
    names = {
        path.name
        for root in (workspace.accepted_tables, workspace.store.tables)
        if root.is_dir()
        for path in root.iterdir()
        if path.is_dir()
    }
    return suggest(name, names) if names else "run 'hwnas profile DEVICE' to measure one"


def one_table(workspace: Workspace, device: str, asked: Mapping[str, str | int | None]) -> tuple[Path, LatencyTable]:
    """The table of ``device`` in the context that is ``asked`` for (None: any).

    Where several are left, fp32, the quiet regime, one thread and batch 1 are preferred; several runtimes raise `ConfigError`, and a
    context that there is not, `TableError`.
    """
    tables = [(path, read_table(path)) for path in table_files(workspace, device)]
    wanted = {name: value for name, value in asked.items() if value is not None}
    fitting = [(path, table) for path, table in tables if all(table.context[name] == value for name, value in wanted.items())]
    if not fitting:
        there = "; ".join(path.stem for path, _ in tables)
        raise TableError(f"no table of device '{device}' with {', '.join(f'{n} {v}' for n, v in wanted.items())}; there are: {there}")
    for name, value in _PREFERRED.items():
        fitting = [one for one in fitting if one[1].context[name] == value] or fitting
    if len(fitting) > 1:
        there = "; ".join(path.stem for path, _ in fitting)
        raise ConfigError(f"device '{device}' has several tables ({there}); say which with --runtime, --precision, --threads or --regime")
    return fitting[0]


def keep(table: LatencyTable, workspace: Workspace, *, replace: bool) -> Path:
    """Store ``table`` among the accepted ones; `TableError` where another of its context is there, unless ``replace``."""
    path = stored_at(table, workspace.accepted_tables)
    if path.exists() and not replace and read_table(path) != table:
        raise TableError(f"{path}: there is another table of this context already; give --replace to overwrite it")
    return write_table(table, workspace.accepted_tables)
