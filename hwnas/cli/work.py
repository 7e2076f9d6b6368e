"""The commands that do the work: run, and each of its steps alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwnas.cli.console import OUTSIDE, Terminal, out, show_json, show_table
from hwnas.cli.found import search_recipes, show_limited, show_preflight
from hwnas.cli.options import Folder, Json, Quiet, open_workspace
from hwnas.core.errors import UsageError
from hwnas.latency.footprint import UNITS
from hwnas.search.limits import amount

if TYPE_CHECKING:
    from hwnas.pipeline.context import Context


def _context(folder: Path, *, quiet: bool, replay: Path | None = None) -> Context:
    from hwnas.pipeline.context import Context
    from hwnas.pipeline.recording import Recording

    return Context(open_workspace(folder), Terminal(quiet=quiet), Recording.read(replay) if replay else None)


def run(
    folder: Folder = Path(),
    replay: Annotated[Path | None, typer.Option(help="The journal.jsonl of an earlier run: its timings take the device's place.")] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Profile, train, search, export and verify everything that the recipes ask for."""
    from hwnas.pipeline.run import run as run_pipeline

    ctx = _context(folder, quiet=quiet, replay=replay)
    with ctx.store.lock():
        result = run_pipeline(ctx)
    if json:
        show_json(result.document())
    else:
        _show_rows(result.rows)
        out.print(f"{result.folder}: artifacts, manifests, journal; {result.seconds:.0f} s", soft_wrap=True)
    result.require_ok()


def _show_rows(rows: Sequence[Mapping[str, Any]]) -> None:
    columns = ("target", "budget ms", "subnet", "test %", "predicted ms", "measured ms", "typical ms", "kB", "verdict")
    shown = []
    for r in rows:
        low, high = r["measured_ci_ms"]
        shown.append(
            (
                f"{r['device']}/{r['runtime']}",
                f"{r['budget_ms']:.4f} ({r['budget']})" if r["budget"].endswith("%") else f"{r['budget_ms']:.4f}",
                r["arch"][:8],
                f"{100 * r['accuracy_test']:.1f}",
                f"{r['predicted_ms']:.4f} ≤ {r['predicted_hi_ms']:.4f}",
                f"{r['measured_ms']:.4f} ± {(high - low) / 2:.4f}",
                f"{r['measured_typical_ms']:.4f}",
                f"{r['size_bytes'] / 1000:.0f}",
                r["verdict"],
            )
        )
    show_table(columns, shown)
    statistic = {f"{r['statistic']} in the {r['regime']} state" for r in rows}
    typical = "typical is of the first attempt of each visit, disturbed or not"
    out.print(f"budgets are about {' and '.join(sorted(statistic))}; {typical}", soft_wrap=True, style="dim")
    for r in (r for r in rows if not r["trusted"]):
        out.print(f"{r['device']}/{r['runtime']} {r['budget']}: {OUTSIDE}; the measured time counts", soft_wrap=True, style="dim")
    for r in (r for r in rows if r["limited"]):
        needed = ", ".join(f"{name} {amount(value, UNITS[name])}" for name, value in r["limited"].items())
        out.print(f"{r['device']}/{r['runtime']} {r['budget']}: {needed}", soft_wrap=True, style="dim")
    for r in rows:
        if r["int8"]:
            out.print(f"{r['device']}/{r['runtime']} {r['budget']}: {_int8_line(r['int8'])}", soft_wrap=True, style="dim")


def _int8_line(companion: Mapping[str, Any]) -> str:
    test, size = f"{100 * companion['accuracy_test']:.1f} % on the test part", f"{companion['size_bytes'] / 1000:.0f} kB"
    time = "" if companion["measured_ms"] is None else f" {companion['measured_ms']:.4f} ms,"
    figures, kept = f"{test},{time} {size}", companion["kept_float"]
    figures += f", {len(kept)} layers in float" if kept else ""
    return f"int8 file beside it: {figures}" if companion["ships"] else f"int8 file left out ({figures}): {'; '.join(companion['reasons'])}"


def train(
    from_ofa: Annotated[
        Path | None, typer.Option(help="An official checkpoint of Once-for-All's MobileNetV3 (a local file), taken instead of training.")
    ] = None,
    folder: Folder = Path(),
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train the supernet once, go on with a training that was interrupted, or import one; and fit the accuracy predictor."""
    from hwnas.pipeline.accuracy import Trained, accuracy_model
    from hwnas.pipeline.imported import import_ofa
    from hwnas.space.family import family_of

    ctx = _context(folder, quiet=quiet)
    with ctx.store.lock():
        if from_ofa is not None:
            import_ofa(ctx, from_ofa)
        trained = Trained.load(ctx)
        accuracy_model(ctx, trained)
        figures = {
            f"{name}_accuracy_val": trained.accuracy(arch)
            for name, arch in zip(("smallest", "largest"), family_of(ctx.space).extremes(ctx.space), strict=True)
        }
    if json:
        show_json({"supernet": str(trained.checkpoint), "space": ctx.space.name, **figures})
    else:
        out.print(f"supernet of {ctx.space.name}: {trained.checkpoint}", soft_wrap=True)
        out.print(
            ", ".join(f"{name.split('_')[0]} subnet {100 * value:.1f} %" for name, value in figures.items()) + " on the validation part"
        )


def search(
    device: Annotated[str | None, typer.Option(help="A device of the workspace.")] = None,
    runtime: Annotated[str | None, typer.Option(help="A runtime of the device.")] = None,
    budget: Annotated[
        list[str] | None, typer.Option(help="A latency budget with its unit, as 2.5ms or 60%; may be given several times.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every device, runtime, precision and budget of the recipes.")] = False,
    precision: Annotated[str, typer.Option(help="fp32, fp16, bf16, int8 or int8_dynamic, as the runtime has them.")] = "fp32",
    statistic: Annotated[str, typer.Option(help="What the budget is about: p50, p90 or p99.")] = "p50",
    strategy: Annotated[str | None, typer.Option(help="As in hwnas.toml unless given.")] = None,
    trials: Annotated[int | None, typer.Option(min=1, help="As in hwnas.toml unless given.")] = None,
    regime: Annotated[str, typer.Option(help="The device's state that the budget is about: quiet or typical.")] = "quiet",
    threads: Annotated[int | None, typer.Option(min=1, help="As the device's descriptor says unless given.")] = None,
    limit: Annotated[
        list[str] | None,
        typer.Option(help="Beside the budget: params=2M, macs, flops, size=1MB, peak_memory=60%, another DEVICE/RUNTIME=5ms; repeatable."),
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="As in hwnas.toml unless given.")] = None,
    begin: Annotated[
        str | None, typer.Option("--begin-from", help="An earlier search of the space, for any device: begin from its front.")
    ] = None,
    confidence: Annotated[
        float | None, typer.Option(help="With which a budget is kept, as 0.9; 0.95 unless given, or what the measured networks can bound.")
    ] = None,
    folder: Folder = Path(),
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Find the most accurate subnet under each budget with the stored predictors; needs neither torch nor the device."""
    from hwnas.pipeline.searching import Question, answer

    workspace = open_workspace(folder)
    asked = Question(
        device or "",
        runtime or "",
        tuple(budget or ()),
        precision,
        statistic,
        strategy,
        trials,
        regime,
        threads,
        confidence=confidence,
        limits=tuple(limit or ()),
        seed=seed,
        begin=begin,
    )
    if everything:
        search_recipes(workspace, asked, json=json, quiet=quiet)
        return
    for name, value in (("device", device), ("runtime", runtime), ("budget", budget)):
        if not value:
            raise UsageError(f"Missing option '--{name}'; or give --all, for what the recipes ask for")
    workspace.device(asked.device)
    found = answer(workspace, asked, Terminal(quiet=quiet))
    if json:
        show_json(found)
        return
    show_preflight(found)
    columns = ("budget", "subnet", "accuracy %", "predicted ms", "at most ms", "choices")
    rows = []
    for r in found["budgets"]:
        name = f"{r['budget_ms']:.4f} ms ({r['budget']})"
        rows.append(
            (
                name,
                r["arch"],
                f"{100 * r['accuracy']:.1f} ± {100 * r['accuracy_std']:.1f}",
                f"{r['predicted_ms']:.4f}",
                f"{r['predicted_hi_ms']:.4f}",
                r["summary"],
            )
        )
    show_table(columns, rows)
    out.print(f"latency by the {found['why']}; at most: with a confidence of {found['confidence']:.0%}", soft_wrap=True, style="dim")
    for r in (r for r in found["budgets"] if not r["trusted"]):
        advice = "export it and have it timed ('hwnas run' times every file), or measure more networks"
        out.print(f"{r['budget']}: {OUTSIDE}; {advice}", soft_wrap=True, style="yellow")
    show_limited(found)
    out.print(
        f"{found['evaluated']:,} architectures looked at (search {found['run']}); the whole front: {found['front_file']}", soft_wrap=True
    )
