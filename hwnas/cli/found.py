"""What searches found, for people: constraints before, what limits are used after."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hwnas.cli.console import Terminal, out, show_json, show_table
from hwnas.cli.profiles import fail
from hwnas.core.errors import UsageError
from hwnas.search.limits import amount

if TYPE_CHECKING:
    from hwnas.pipeline.searching import Question
    from hwnas.workspace import Workspace


def show_preflight(found: Mapping[str, Any]) -> None:
    """The range of every constraint over the space, and how much of the space keeps it."""
    before = found["preflight"]
    rows = [
        (
            row["name"],
            amount(row["at_most"], row["unit"]),
            *(amount(row[name], row["unit"]) for name in ("minimum", "median", "maximum")),
            f"{row['share']:.2%}",
        )
        for row in before["rows"]
    ]
    show_table(("constraint", "at most", "minimum", "median", "maximum", "feasible"), rows)
    if len(before["rows"]) > len(before["together"]):
        shares = zip(found["budgets"], before["together"], strict=True)
        together = ", ".join(f"{row['budget']}: {share:.2%}" for row, share in shares)
        out.print(f"all together, by budget: {together}", soft_wrap=True, style="dim")
    vague = [row["name"] for row in before["rows"] if not row["exact"]]
    if vague:
        out.print(f"minimum and maximum of {', '.join(dict.fromkeys(vague))} are what was found", soft_wrap=True, style="dim")


def show_limited(found: Mapping[str, Any]) -> None:
    """What the subnets need of what is limited, and how far from the optimum they can be."""
    units = {row["name"]: row["unit"] for row in found["preflight"]["rows"]}
    for row in found["budgets"]:
        if row["limited"]:
            needs = ", ".join(f"{name} {amount(value, units[name])}" for name, value in row["limited"].items())
            out.print(f"{row['budget']}: {needs}", soft_wrap=True, style="dim")
    if found["bound"] is not None:
        out.print(f"no subnet within a budget is predicted to be better by more than {100 * found['bound']:.2g} points", style="dim")


def search_recipes(workspace: Workspace, asked: Question, *, json: bool, quiet: bool) -> None:
    """A search for every recipe, in one table; what failed is said at the end, and the exit code is the highest."""
    from hwnas.pipeline.searchall import answer_all

    for name, usual in (("device", ""), ("runtime", ""), ("budgets", ()), ("precision", "fp32"), ("statistic", "p50"), ("regime", "quiet")):
        if getattr(asked, name) != usual or asked.threads is not None:
            raise UsageError("--all takes devices, runtimes, precisions and budgets from the recipes; leave out either it or them")
    answers = answer_all(workspace, asked, Terminal(quiet=quiet))
    if json:
        show_json([each.document() for each in answers])
    else:
        rows = [
            (
                each.recipe,
                f"{each.question.device}/{each.question.runtime} {each.question.precision}",
                f"{row['budget_ms']:.4f} ({row['budget']})",
                row["arch"],
                f"{100 * row['accuracy']:.1f} ± {100 * row['accuracy_std']:.1f}",
                f"{row['predicted_ms']:.4f} ≤ {row['predicted_hi_ms']:.4f}",
                row["summary"],
            )
            for each in answers
            if each.found is not None
            for row in each.found["budgets"]
        ]
        if rows:
            show_table(("recipe", "target", "budget ms", "subnet", "accuracy %", "predicted ms", "choices"), rows)
    fail([(each.recipe, each.error) for each in answers if each.error is not None])
