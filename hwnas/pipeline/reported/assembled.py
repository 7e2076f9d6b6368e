"""A report of one run, search or stage, or of several beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from hwnas import __version__
from hwnas.core.serial import read_json
from hwnas.pipeline.reported.comparing import comparison
from hwnas.pipeline.reported.single import sections_of_search, sections_of_stage
from hwnas.pipeline.reported.sources import MALFORMED, RUN, SEARCH, Source, changed_s
from hwnas.pipeline.reported.whole import sections_of_run
from hwnas.report.page.items import Report, Section

POINTS = 6_000
"""How many points all clouds of a report draw: what a browser shows at once and a mail carries."""


def report_of(sources: Sequence[Source]) -> Report:
    """The report; with several sources their comparison comes first."""
    several = len(sources) > 1
    sections: list[Section] = [comparison(sources)] if several else []
    for source in sources:
        sections += _sections(source, POINTS // len(sources), source.id if several else "")
    if several:
        return Report(f"Comparison of {len(sources)} runs", _facts(sources), tuple(sections))
    kind = {RUN: "Run", SEARCH: "Search"}.get(sources[0].kind, "Stage")
    return Report(f"{kind} {sources[0].id}", _facts(sources), tuple(sections))


def _sections(source: Source, points: int, run: str) -> list[Section]:
    if source.kind == RUN:
        return sections_of_run(source, points=points, run=run)
    if source.kind == SEARCH:
        return sections_of_search(source, points=points, run=run)
    return sections_of_stage(source, run=run)


def _facts(sources: Sequence[Source]) -> dict[str, str]:
    facts = {"made by": f"hwnas {__version__}"}
    for source in sources:
        begin = f"{source.id}: " if len(sources) > 1 else ""
        when = changed_s(source)
        if when:
            facts[f"{begin}last changed"] = datetime.fromtimestamp(when, UTC).isoformat(sep=" ", timespec="minutes")
        try:
            facts |= {f"{begin}{name}": value for name, value in _own(source).items()}
        except MALFORMED:
            facts[f"{begin}facts"] = "could not be read"
    return facts


def _own(source: Source) -> dict[str, str]:
    if source.kind == SEARCH:
        path = source.folder / f"run-{source.id}.json"
        record = read_json(path) if path.is_file() else None
        return {"state": "under way or interrupted"} if record is None else {
            "space": str(record["space"]), "target": f"{record['device']}/{record['runtime']} {record['precision']}",
            "strategy": f"{record['strategy']}, seed {record['seed']}", "version": str(record["version"]),
        }  # fmt: skip
    if source.kind != RUN:
        return {"state": "finished" if (source.folder / "done.json").is_file() else "under way or interrupted"}
    facts: dict[str, str] = {}
    if source.result is None:
        facts["state"] = "interrupted: there is no result.json; what was written until then is shown"
    else:
        rows = source.result["targets"]
        missed = sum(row["verdict"] != "ok" for row in rows)
        facts["verdict"] = f"{len(rows) - missed} of {len(rows)} budgets kept"
        facts["devices"] = ", ".join(dict.fromkeys(f"{row['device']}/{row['runtime']}" for row in rows))
        facts["took"] = f"{float(source.result['seconds']):.0f} s, without what was reused"
    for manifest in source.manifests[:1]:
        facts["space"] = str(manifest["space"]["name"])
        facts["data"] = str(manifest["dataset"].get("name", "unknown"))
        facts["written by"] = f"hwnas {manifest['tools'].get('hwnas', 'of an unknown version')}"
    return facts
