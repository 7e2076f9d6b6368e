"""The sections of a search, and of a stage that is under way or was interrupted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from hwnas.core.serial import read_json
from hwnas.pipeline.kept import KeptSearch
from hwnas.pipeline.notes import PROGRESS
from hwnas.pipeline.reported.networks import drawings, side_by_side
from hwnas.pipeline.reported.places import tried
from hwnas.pipeline.reported.profiles import levels_of, sessions_grid, tables_grid, timed_in
from hwnas.pipeline.reported.sources import Source
from hwnas.pipeline.reported.targets import target_of_row
from hwnas.pipeline.reported.whole import search_items
from hwnas.pipeline.results import evaluated
from hwnas.report.page.fronts import Cloud, Deployed, accuracy_chart
from hwnas.report.page.items import Advice, Grid, Item, Missing, NothingToShow, Row, Section
from hwnas.report.page.live import loss_chart, watched_chart
from hwnas.report.page.quality import noise_chart, speed_chart
from hwnas.store.journal import read_journal

UNMEASURED = "a search goes by predictors alone and measures nothing; 'hwnas run' exports its subnets and times them"


def sections_of_search(source: Source, *, points: int, run: str = "") -> list[Section]:
    """All sections of one search."""
    path = source.folder / f"run-{source.id}.json"
    if not path.is_file():
        return [Section("Search under way", tried("Progress of the search", lambda: _watched(source)), run)]
    record = read_json(path)
    measured = Missing("Predicted against measured latency", UNMEASURED)
    parts = (
        ("Accuracy against latency", (*tried("Accuracy against latency", lambda: _front(source, record, points)), measured)),
        ("What was found", tried("Best under each budget", lambda: _best(record))),
        ("Search", tried("Search", lambda: search_items(source, _kept(source, record)))),
        ("Architectures", _architectures(source, record)),
        ("Parity and quantisation", (Missing("Parity and 8-bit files", "nothing was exported; " + UNMEASURED),)),
        ("Quality of the profile", (Missing("Quality of the profile", "a search holds no timings; a report of the run or profile does"),)),
        ("What to run next", tried("What to run next", lambda: _next(record))),
    )
    return [Section(title, items, run) for title, items in parts]


def _kept(source: Source, record: Mapping[str, Any]) -> KeptSearch:
    """What a search of its own kept, as those of runs keep it."""
    lines = evaluated(source.workspace.store, record)
    names = {"codes": "codes", "latency_ms": "predicted_ms", "upper_ms": "predicted_hi_ms", "accuracy": "accuracy", "kept": "kept"}
    arrays = {name: np.array([line[of] for line in lines]) for name, of in names.items()}
    return KeptSearch(record, {**arrays, "codes": arrays["codes"].astype(np.int16)})


def _front(source: Source, record: Mapping[str, Any], points: int) -> Item:
    found = _kept(source, record)
    cloud = Cloud(found.arrays["upper_ms"], found.arrays["accuracy"], found.front)
    target = target_of_row(record)
    chosen = [
        Deployed(target, str(row["budget"]), str(row["arch"]), float(row["accuracy"]), row["predicted_ms"], row["predicted_hi_ms"])
        for row in record["budgets"]
    ]
    budgets = [float(row["budget_ms"]) for row in record["budgets"]]
    return accuracy_chart(f"Accuracy against latency: {target}", cloud, chosen, (), budgets, points=points)


def _best(record: Mapping[str, Any]) -> Grid:
    rows: list[Row] = [
        (str(row["budget"]), row["budget_ms"], str(row["arch"]), 100 * row["accuracy"], 100 * row["accuracy_std"], row["predicted_ms"],
         row["predicted_hi_ms"], row.get("trusted"), str(row["summary"]))
        for row in record["budgets"]
    ]  # fmt: skip
    columns = ("budget", "budget, ms", "subnet", "accuracy, %", "±, %", "predicted, ms", "at most, ms", "trusted", "choices")
    text = f"{record['strategy']}, seed {record['seed']}, {record['evaluated']} evaluations; accuracies and latencies are predicted."
    return Grid("Best under each budget", columns, rows, text)


def _architectures(source: Source, record: Mapping[str, Any]) -> tuple[Item, ...]:
    def graphs() -> Iterator[Item]:
        space = source.space(str(record["space_id"]))
        yield from drawings(space, [(str(row["budget"]), space.parse(row["choices"]), None) for row in record["budgets"]])

    grid = tried(
        "Chosen architectures side by side", lambda: side_by_side({f"{row['budget']}": row["choices"] for row in record["budgets"]})
    )
    return (*grid, *tried("Chosen architectures as graphs", graphs))


def _next(record: Mapping[str, Any]) -> Advice:
    lines = [("Why these subnets: what each choice brings and costs.", f"hwnas explain {record['budgets'][0]['arch']}")]
    lines.append(("To export and time the best of every recipe.", "hwnas run"))
    return Advice("What to run next", tuple(lines))


def _watched(source: Source) -> Item:
    notes = list(read_journal(source.folder / f"watch-{source.id}.jsonl", growing=True))
    return watched_chart("Progress of the search", [(int(note["evaluated"]), dict(note["best"])) for note in notes])


def sections_of_stage(source: Source, *, run: str = "") -> list[Section]:
    """What a profile, a verification or a training has so far."""
    finished = (source.folder / "done.json").is_file()
    progress = source.folder / PROGRESS
    if progress.is_file():
        notes = list(read_journal(progress, growing=True))
        return [Section("Training", tried("Loss", lambda: _loss(notes)), run)]
    records = source.journal
    count = sum(record.get("kind") == "timing" for record in records)
    state = f"{'finished' if finished else 'not finished'}: {count} models are timed"
    items = (
        *tried("Timed so far", lambda: _timed(records)),
        *tried("Noise", lambda: noise_chart("Noise: how sure each median is", timed_in(records))),
        *tried("Speed states", lambda: speed_chart("Speed states of the device", levels_of(records))),
        *tried("Sessions on the device", lambda: sessions_grid(records)),
        *tried("Latency tables", lambda: tables_grid(source.tables)),
    )
    later = Missing("Accuracy, search, architectures and files", "they come after the profile; 'hwnas run' goes on with what is timed")
    return [Section(f"Profile, {state}", items, run), Section("What comes later", (later,), run)]


def _loss(notes: Sequence[Mapping[str, Any]]) -> Item:
    points = [(float(note["epoch"]), float(note["loss"])) for note in notes]
    return loss_chart("Loss on the labels", points, epochs=int(notes[-1]["epochs"]) if notes else 0)


def _timed(records: Sequence[Mapping[str, Any]]) -> Grid:
    """The newest first."""
    timed = timed_in(records)
    if not timed:
        raise NothingToShow("nothing is timed yet")
    rows: list[Row] = [
        (one.target, one.key, one.median_ms, None if one.half_width is None else 100 * one.half_width, one.samples, one.rejected)
        for one in reversed(timed)
    ]
    return Grid("Timed so far, the newest first", ("of", "model", "median, ms", "±, %", "samples", "rejected"), rows[:500])
