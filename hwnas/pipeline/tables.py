"""Which table is meant: of a device of the workspace, accepted or measured, in one context."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from hwnas.core.arch import SearchSpace, constants_of
from hwnas.core.errors import ConfigError, PredictorError, TableError
from hwnas.core.registry import suggest
from hwnas.latency.additivity import NO_NETWORKS, audited
from hwnas.latency.importing import RESOLUTIONS_FACT, SPACE_FACT
from hwnas.latency.table import LatencyTable
from hwnas.latency.tablefile import read_table, stored_at, write_table
from hwnas.pipeline.searching import has_space, stored_space
from hwnas.space.family import SpaceOptions, find_space
from hwnas.workspace import Workspace

_PREFERRED = {"precision": "fp32", "regime": "quiet", "threads": 1, "batch": 1}


def table_files(workspace: Workspace, device: str, runtime: str | None = None) -> list[Path]:
    """The accepted tables of a device, or the measured ones where none was accepted; without any, `TableError` with a suggestion."""
    found = below(workspace.accepted_tables, device, runtime) or below(workspace.store.tables, device, runtime)
    if not found:
        of = f"device '{device}'" if runtime is None else f"device '{device}' with runtime '{runtime}'"
        raise TableError(f"no table of {of} in {workspace.accepted_tables} or {workspace.store.tables}; {_known(workspace, device)}")
    return found


def named_tables(workspace: Workspace | None, name: str, runtime: str | None = None) -> list[Path]:
    """A table's file itself, or all tables of the device ``name``, for which a workspace is needed."""
    return [Path(name)] if name.endswith(".json") or workspace is None else table_files(workspace, name, runtime)


def pairs_of(workspace: Workspace, device: str, runtime: str | None = None) -> list[tuple[Path, Path]]:
    """Each accepted table of a device with the measured one of the same context; without any, `TableError`."""
    accepted = {path.name: path for path in below(workspace.accepted_tables, device, runtime)}
    pairs = [(accepted[path.name], path) for path in below(workspace.store.tables, device, runtime) if path.name in accepted]
    if not pairs:
        raise TableError(
            f"device '{device}' has no table in both {workspace.accepted_tables} and {workspace.store.tables}; "
            f"give two files, or run 'hwnas profile {device}'"
        )
    return pairs


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


def known_space(workspace: Workspace) -> SearchSpace:
    """That of the stored predictors; of accepted tables alone, the workspace's preset."""
    if has_space(workspace):
        return stored_space(workspace)
    asked = workspace.config.space
    return find_space(asked.preset, SpaceOptions(resolutions=asked.resolutions))


def audited_table(table: LatencyTable, workspace: Workspace | None) -> str:
    """Whether a table adds up, or why that is not known, in one line for people; its networks are known by the workspace's space."""
    if not table.networks:
        return NO_NETWORKS
    if workspace is None:
        return "not known: what its whole networks are is known in its workspace alone; name that with --workspace"
    try:
        return audited(table, known_space(workspace))
    except PredictorError as problem:
        return f"not known: {problem}"


def spaces_of(table: LatencyTable, workspace: Workspace | None, name: str | None, resolutions: Sequence[int]) -> tuple[SearchSpace, ...]:
    """The spaces whose blocks ``table`` should have, one a resolution: ``name`` where it is given, else what it was imported for.

    Without either, that of the workspace's stored predictors; none where there are none.
    """
    known = str(table.facts.get(RESOLUTIONS_FACT) or "").split() if name is None else []
    said = name or table.facts.get(SPACE_FACT)
    if said is not None:
        space = find_space(str(said), SpaceOptions(resolutions=tuple(resolutions) or tuple(map(int, known))))
    elif workspace is not None and has_space(workspace):
        space = stored_space(workspace)
    else:
        return ()
    sizes = [int(option) for option in space.choices[space.index("resolution")].options]
    return tuple(find_space(space.name, replace(options_of(space), resolutions=(size,))) for size in sizes)


def options_of(space: SearchSpace) -> SpaceOptions:
    """What a workspace's data set on the preset of ``space``."""
    constants = constants_of(space)
    return SpaceOptions(constants["channels"], constants["classes"])


def keep(table: LatencyTable, workspace: Workspace, *, replace: bool) -> Path:
    """Store ``table`` among the accepted ones; `TableError` where another of its context is there, unless ``replace``."""
    path = stored_at(table, workspace.accepted_tables)
    if path.exists() and not replace and read_table(path) != table:
        raise TableError(f"{path}: there is another table of this context already; give --replace to overwrite it")
    return write_table(table, workspace.accepted_tables)
