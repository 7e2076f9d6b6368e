"""``hwnas explain``: why this subnet."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from hwnas.cli.console import out, show_facts, show_json, show_table, working
from hwnas.cli.options import Folder, Json, open_workspace


def explain(
    arch: Annotated[str, typer.Argument(help="Id of a subnet that a run or search found, 'smallest', 'largest', or JSON of its choices.")],
    device: Annotated[str, typer.Option(help="A device of the workspace.")],
    runtime: Annotated[str, typer.Option(help="A runtime of the device.")],
    budget: Annotated[str | None, typer.Option(help="What neighbours are held to, as 2.5ms or 60%; else the subnet's own.")] = None,
    precision: Annotated[str, typer.Option(help="fp32, fp16, bf16, int8 or int8_dynamic, as the runtime has them.")] = "fp32",
    statistic: Annotated[str, typer.Option(help="What the budget is about: p50, p90 or p99.")] = "p50",
    regime: Annotated[str, typer.Option(help="The device's state that the budget is about: quiet or typical.")] = "quiet",
    threads: Annotated[int | None, typer.Option(min=1, help="As the device's descriptor says unless given.")] = None,
    limit: Annotated[list[str] | None, typer.Option(help="Limits beside the budget, as for search.")] = None,
    every: Annotated[bool, typer.Option("--neighbours", help="Also list every neighbour by one choice.")] = False,
    folder: Folder = Path(),
    json: Json = False,
) -> None:
    """Say which choices of a subnet buy accuracy and which cost time, which neighbours it beat, and how the front's choices change."""
    from hwnas.pipeline.explaining import explain as explained
    from hwnas.pipeline.searching import Question

    workspace = open_workspace(folder)
    workspace.device(device)
    budgets = () if budget is None else (budget,)
    question = Question(
        device, runtime, budgets, precision=precision, statistic=statistic, regime=regime, threads=threads, limits=tuple(limit or ())
    )
    with working("hold it against its neighbours and the front", quiet=json):
        found = explained(workspace, arch, question)
    if json:
        show_json(found)
        return
    _show(found, every=every)


def _show(found: Mapping[str, Any], *, every: bool) -> None:
    counts = found["neighbours"]
    show_facts(
        {
            "subnet": f"{found['arch']} of {found['space']}: {found['summary']}",
            "on": f"{found['device']}: {found['runtime']} {found['precision']}, threads {found['threads']}, {found['regime']}",
            "accuracy %": f"{100 * found['accuracy']:.2f} ± {100 * found['accuracy_std']:.2f}",
            f"{found['statistic']} ms": f"{found['predicted_ms']:.4f} ≤ {found['predicted_hi_ms']:.4f}",
            "budget ms": f"{found['budget_ms']:.4f}" + ("" if found["fits"] else ", which it misses"),
            "neighbours": f"{counts['beaten']} fit and are no better, {counts['over']} do not fit, {counts['better']} fit and are better",
        }
    )
    rows = [
        (w["choice"], w["now"], w["over"], f"{100 * w['accuracy']:+.3f}", f"{w['latency_ms']:+.4f}", f"{w['points_per_ms']:+.3f}")
        for w in found["worths"]
    ]
    show_table(("choice", "now", "cheapest", "points it brings", "ms it costs", "points a ms"), rows, title="what each choice is worth")
    listed = [e for e in found["effects"] if every or e["outcome"] == "better"]
    if listed:
        shown = []
        for e in listed:
            move = f"{e['choice']} {e['now']} → {e['instead']}" + (f" (with {', '.join(e['activates'])})" if e["activates"] else "")
            shown.append(
                (move, f"{100 * e['accuracy_change']:+.3f}", f"{e['latency_change_ms']:+.4f}", f"{e['upper_ms']:.4f}", e["outcome"])
            )
        show_table(("move", "points", "ms", "at most ms", "outcome"), shown, title="neighbours" if every else "better neighbours that fit")
    _show_front(found["front"])


def _show_front(front: list[dict[str, Any]]) -> None:
    # whole-network choices first, then part by part
    names = sorted({name for point in front for name in point["choices"]}, key=lambda name: ("." in name, name))
    options = {name: [point["choices"].get(name, "-") for point in front] for name in names}
    changing = [name for name in names if len(set(options[name])) > 1]
    columns = ("choice", *(f"{point['budget_ms']:.4g} ms" for point in front))
    rows = [("accuracy %", *(f"{100 * point['accuracy']:.2f}" for point in front))]
    show_table(columns, rows + [(name, *map(str, options[name])) for name in changing], title="the front's choices by budget")
    fixed = [f"{name} {options[name][0]}" for name in names if name not in changing]
    if fixed:
        out.print(f"the same under every budget: {', '.join(fixed)}", soft_wrap=True, style="dim")
