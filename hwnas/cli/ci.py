"""``hwnas ci``: recipes in, a folder of verified files and a verdict out."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hwnas.cli.console import Terminal, out, show_json, show_table
from hwnas.cli.options import Folder, Json, Quiet, open_workspace

if TYPE_CHECKING:
    from hwnas.pipeline.ci import Verdict

STEP_SUMMARY = "GITHUB_STEP_SUMMARY"


def ci(
    folder: Folder = Path(),
    to: Annotated[Path | None, typer.Option("--out", help="Where the files and reports go; dist/ of the workspace by default.")] = None,
    accept: Annotated[bool, typer.Option("--accept", help="Make today's figures the baselines in export/baselines/.")] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Run every recipe, hold the results to their baselines, and write what may ship with its reports.

    dist/ gets a folder for each budget that is kept (model, manifest, card, a script that runs it), junit.xml, summary.md, findings.sarif,
    perf.yaml and SHA256SUMS. The exit code is the highest of all recipes.
    """
    from hwnas.pipeline.ci import ci as run_all
    from hwnas.pipeline.context import Context

    ctx = Context(open_workspace(folder), Terminal(quiet=quiet))
    with ctx.store.lock():
        verdict = run_all(ctx, to or folder / "dist", accept=accept)
    summary = os.environ.get(STEP_SUMMARY)
    if summary:
        with Path(summary).open("a", encoding="utf-8") as page:
            page.write((verdict.folder / "summary.md").read_text(encoding="utf-8"))
    if json:
        show_json([{"recipe": c.recipe, "budget": c.budget, "verdict": c.kind, "exit_code": c.exit_code, "message": c.message,
                    "notes": list(c.notes), "row": c.row} for c in verdict.cases])  # fmt: skip
    else:
        _show(verdict)
    raise typer.Exit(verdict.exit_code)


def _show(verdict: Verdict) -> None:
    show_table(("recipe", "budget", "verdict", "why"), [(c.recipe, c.budget, c.kind, c.message) for c in verdict.cases])
    for case in verdict.cases:
        for note in case.notes:
            out.print(f"{case.name}: {note}", soft_wrap=True, style="dim")
    out.print(f"{verdict.folder}: files, junit.xml, summary.md, findings.sarif, perf.yaml, SHA256SUMS", soft_wrap=True)
