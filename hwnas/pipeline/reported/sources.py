"""Which run, search or stage a user means, and all that can be read of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from hwnas.core.arch import SearchSpace
from hwnas.core.errors import HwnasError, UnknownNameError, UsageError
from hwnas.core.serial import read_json
from hwnas.latency.table import LatencyTable
from hwnas.latency.tablefile import read_table
from hwnas.pipeline.kept import KeptSearch, kept_searches
from hwnas.pipeline.notes import PROGRESS
from hwnas.pipeline.results import MIN_PREFIX
from hwnas.pipeline.searching import stored_space
from hwnas.space.family import SpaceOptions, find_space
from hwnas.store.journal import read_journal
from hwnas.workspace import Workspace

RUN, SEARCH, STAGE = "run", "search", "stage"
RESULT, JOURNAL = "result.json", "journal.jsonl"
LATEST = "latest"
MALFORMED = (HwnasError, OSError, KeyError, IndexError, TypeError, ValueError, AttributeError, ZeroDivisionError)
"""What reading files of other versions, torn files and edited ones may raise: it is said in the place of what they would show."""


@dataclass(frozen=True)
class Source:
    """A run of the whole pipeline, a search, or a stage (``profile-…``, ``train-…``, ``verify-…``), finished or not."""

    workspace: Workspace
    kind: str
    id: str
    folder: Path

    @cached_property
    def result(self) -> dict[str, Any] | None:
        """``result.json`` of a run; None where it did not come to one."""
        path = self.folder / RESULT
        if self.kind != RUN or not path.is_file():
            return None
        found = read_json(path)
        if not isinstance(found, dict):
            raise UsageError(f"{path}: not the result of a run; run 'hwnas run' again")
        return found

    @cached_property
    def manifests(self) -> list[dict[str, Any]]:
        """The manifests of a run's files."""
        paths = sorted(self.folder.glob("artifacts/*/*/manifest.json")) if self.kind == RUN else []
        return [found for found in map(read_json, paths) if isinstance(found, dict)]

    @cached_property
    def tables(self) -> list[LatencyTable]:
        """The latency tables of a run or a finished profile."""
        return [read_table(path) for path in sorted(self.folder.glob("tables/*/*.json" if self.kind == RUN else "*/*.json"))]

    @cached_property
    def journal(self) -> list[dict[str, Any]]:
        """All timings, in the order in which they were made; the torn last line of one that is being written is left out."""
        path = self.folder / JOURNAL
        return list(read_journal(path, growing=self.kind == STAGE)) if path.is_file() else []

    @cached_property
    def searches(self) -> list[KeptSearch]:
        """What the searches of a run evaluated."""
        return list(kept_searches(self.folder))

    def space(self, space_id: str) -> SearchSpace:
        """The space of this id, rebuilt from what the workspace says; `UnknownNameError` where that gives another."""
        config = self.workspace.config.space
        try:
            found = stored_space(self.workspace)
        except HwnasError:
            found = find_space(config.preset, SpaceOptions(None, None, config.resolutions))
        if found.id != space_id:
            raise UnknownNameError(f"the workspace's space is another one now ('{found.name}')")
        return found


def find_sources(workspace: Workspace, names: Sequence[str]) -> list[Source]:
    """What ``names`` mean: ids or their beginnings, folders of runs, or the latest where there is none; `UnknownNameError` otherwise."""
    return [_one(workspace, name) for name in dict.fromkeys(names or (LATEST,))]


def _one(workspace: Workspace, name: str) -> Source:
    if _is_run(Path(name)):
        folder = Path(name).resolve()
        return Source(workspace, RUN, folder.name, folder)
    known = all_sources(workspace)
    if name == LATEST:
        if not known:
            raise UnknownNameError(f"{workspace.store.root}: no run, search or stage is kept here; 'hwnas run' makes one")
        finished = [source for source in known if source.kind != STAGE]
        return max(finished or known, key=changed_s)
    found = [s for s in known if s.id == name] or [
        s for s in known if len(name) >= MIN_PREFIX and (s.id.startswith(name) or s.id.rpartition("-")[2].startswith(name))
    ]
    if len(found) == 1:
        return found[0]
    shown = name if len(name) <= 80 else f"{name[:80]}…"
    if found:
        raise UnknownNameError(f"'{shown}' begins the ids of {len(found)} runs; give more digits")
    raise UnknownNameError(f"no run, search or stage '{shown}' is kept in {workspace.store.root}; 'hwnas runs list' shows those that are")


def _is_run(folder: Path) -> bool:
    try:
        return (folder / RESULT).is_file()
    except OSError:  # longer than a path can be
        return False


def all_sources(workspace: Workspace) -> list[Source]:
    """Everything below ``runs/`` that a report can be made of."""
    root = workspace.store.root
    folders = [path for path in sorted(root.glob("*")) if any((path / name).exists() for name in (RESULT, "searches", "artifacts"))]
    runs = [Source(workspace, RUN, path.name, path) for path in folders]
    keys = {path.name.partition("-")[2].partition(".")[0] for path in (root / "search").glob("*-*.json*")}
    searches = [Source(workspace, SEARCH, key, root / "search") for key in sorted(keys)]
    stages = [path for path in sorted(root.glob("stages/*")) if (path / JOURNAL).is_file() or (path / PROGRESS).is_file()]
    return [*runs, *searches, *(Source(workspace, STAGE, path.name, path) for path in stages)]


def files_of(source: Source) -> list[Path]:
    """The files that tell what became of it."""
    if source.kind == SEARCH:
        return sorted(source.folder.glob(f"*-{source.id}.*"))
    if source.kind == STAGE:
        return [path for path in (source.folder / JOURNAL, source.folder / PROGRESS, source.folder / "done.json") if path.is_file()]
    return [path for path in (source.folder / RESULT, *sorted(source.folder.glob("searches/*"))) if path.is_file()]


def changed_s(source: Source) -> float:
    """When it last changed, seconds since 1970; 0 where nothing tells."""
    return max((path.stat().st_mtime for path in files_of(source)), default=0.0)
