"""What a browser follows: the runs that were named, or whatever changed last in the workspace."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hwnas.core.errors import UnknownNameError
from hwnas.pipeline.reported.assembled import report_of
from hwnas.pipeline.reported.sources import MALFORMED, Source, all_sources, changed_s, find_sources
from hwnas.report.page.items import Missing, Report, Section
from hwnas.workspace import Workspace


def following(workspace: Workspace, names: Sequence[str]) -> Callable[[], Report]:
    """What to call for the report as it is now; names that are unknown raise `UnknownNameError` at once.

    Files are read again only where they changed.
    """
    if names:
        find_sources(workspace, names)
    seen: dict[str, Report] = {}

    def now() -> Report:
        try:
            sources = find_sources(workspace, names) if names else _newest(workspace)
            mark = repr([(source.kind, source.id, changed_s(source)) for source in sources])
            if mark not in seen:
                found = report_of(sources)
                seen.clear()
                seen[mark] = found
            return seen[mark]
        except UnknownNameError as problem:
            return _waiting(str(problem))
        except MALFORMED:  # a file that is replaced at this moment
            return next(iter(seen.values()), _waiting("what is there cannot be read at the moment"))

    return now


def _newest(workspace: Workspace) -> list[Source]:
    known = all_sources(workspace)
    if not known:
        raise UnknownNameError("nothing has been written yet; start 'hwnas profile', 'train', 'search' or 'run' in this workspace")
    return [max(known, key=changed_s)]


def _waiting(text: str) -> Report:
    return Report("Waiting for something to show", {}, (Section("Nothing yet", (Missing("Profile, training, search or run", text),)),))
