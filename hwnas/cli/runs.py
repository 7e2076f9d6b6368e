"""``hwnas runs``: what searches found, and the runs of the whole pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hwnas.cli.console import out, show_facts, show_json, show_table
from hwnas.cli.options import Folder, Json, open_workspace
from hwnas.core.errors import UsageError

app = typer.Typer(help="Earlier searches and runs: what they were asked and what they found.", no_args_is_help=True)

Run = Annotated[str, typer.Argument(help="The id of a search or run; a prefix of four digits does.")]


@app.command("list")
def list_runs(folder: Folder = Path(), json: Json = False) -> None:
    """Every search and every run of the whole pipeline that is kept here, the earliest first."""
    from hwnas.pipeline.results import listed

    found = listed(open_workspace(folder).store)
    if json:
        show_json(found)
        return
    columns = ("run", "kind", "when", "space", "target", "strategy", "seed", "budgets", "best accuracy %")
    rows = []
    for r in found:
        best = "-" if r["accuracy"] is None else f"{100 * r['accuracy']:.2f}"
        made = (", ".join(r["targets"]), r["strategy"] or "-", "-" if r["seed"] is None else r["seed"])
        rows.append((r["run"], r["kind"], r["when"] or "-", r["space"] or "-", *made, " ".join(r["budgets"]), best))
    show_table(columns, rows)


@app.command("show")
def show(run: Run, folder: Folder = Path(), json: Json = False) -> None:
    """What one search was asked, by which version and of which predictors, and what it found."""
    from hwnas.pipeline.results import one_run

    found = one_run(open_workspace(folder).store, run)
    if json:
        show_json(found)
        return
    show_facts(
        {name.replace("_", " "): value for name, value in found.items() if not isinstance(value, (dict, list)) and value is not None}
    )
    for name in ("target", "predictors"):
        if name in found:
            show_facts({f"{name}: {key}": value for key, value in found[name].items()})
    if "budgets" in found:
        columns = ("budget", "subnet", "accuracy %", "predicted ms", "choices")
        rows = []
        for r in found["budgets"]:
            times = f"{r['predicted_ms']:.4f} ≤ {r['predicted_hi_ms']:.4f}"
            rows.append((r["budget"], r["arch"], f"{100 * r['accuracy']:.2f}", times, r["summary"]))
        show_table(columns, rows)
    else:
        figures = ("device", "runtime", "budget", "arch", "accuracy_test", "measured_ms", "verdict")
        show_table([f.replace("_", " ") for f in figures], [[row[f] for f in figures] for row in found["targets"]])


@app.command("plot")
def plot(
    runs: Annotated[list[str], typer.Argument(help="Searches of one target; those that differ in the seed alone make a band.")],
    to: Annotated[Path, typer.Option("--out", help="Folder for the figures; it is made.")] = Path("figures"),
    folder: Folder = Path(),
    json: Json = False,
) -> None:
    """Draw searches: accuracy against latency, the best so far, and what the front chooses; each as PNG and SVG."""
    from hwnas.pipeline.figures import plot as draw

    written = draw(open_workspace(folder), runs, to)
    if json:
        show_json([str(path) for path in written])
    else:
        for path in written:
            out.print(str(path), soft_wrap=True)


@app.command("compare")
def compare(
    runs: Annotated[list[str], typer.Argument(help="Two or more searches of one space; the others are held against the first.")],
    folder: Folder = Path(),
    json: Json = False,
) -> None:
    """Searches side by side, budget by budget: what each gained over the first, and which choices differ."""
    from hwnas.pipeline.results import compared, one_search

    if len(runs) < 2:
        raise UsageError("name at least two searches to compare; 'hwnas runs list' shows them")
    store = open_workspace(folder).store
    found = compared([one_search(store, name) for name in runs])
    if json:
        show_json(found)
        return
    rows = []
    for budget in found["budgets"]:
        for r in budget["runs"]:
            differs = ", ".join(f"{name} {then} → {now}" for name, (then, now) in r["differs"].items()) or "-"
            times = f"{r['predicted_ms']:.4f} ≤ {r['predicted_hi_ms']:.4f}"
            gained = f"{100 * r['accuracy_gained']:+.3f}"
            rows.append((budget["budget"], r["run"], f"{100 * r['accuracy']:.2f}", gained, times, differs))
    show_table(("budget", "search", "accuracy %", "points gained", "predicted ms", "choices that differ"), rows)
    if not found["same_target"]:
        out.print("the searches are of different targets: their times are not comparable", soft_wrap=True, style="yellow")
