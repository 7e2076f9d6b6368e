"""``hwnas profile``: measure devices, several at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from hwnas.cli.console import Terminal, err, out, show_json, show_table
from hwnas.cli.options import Folder, Json, Quiet, open_workspace
from hwnas.core.errors import HwnasError, UsageError
from hwnas.core.registry import require_known

if TYPE_CHECKING:
    from hwnas.pipeline.atonce import Outcome
    from hwnas.pipeline.context import Context
    from hwnas.pipeline.goals import Target
    from hwnas.pipeline.refresh import Refresh


def profile(
    devices: Annotated[list[str] | None, typer.Argument(help="Devices of the workspace; they are profiled at once.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All devices of the workspace.")] = False,
    runtime: Annotated[str | None, typer.Option(help="Only this runtime; all that the recipes use unless given.")] = None,
    precision: Annotated[str | None, typer.Option(help="Only this precision.")] = None,
    anew: Annotated[bool, typer.Option("--again", help="Measure all of it again; what is there stays until that is done.")] = False,
    sustained: Annotated[bool, typer.Option(help="Heat the devices first and keep them hot; the tables are of that regime.")] = False,
    refresh: Annotated[bool, typer.Option("--refresh", help="Time a few blocks again: does the table still hold?")] = False,
    refresh_blocks: Annotated[int, typer.Option(min=3, help="How many blocks --refresh times.")] = 12,
    folder: Folder = Path(),
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure the blocks of the space and some whole networks on devices: a latency table each runtime, into runs/.

    Each failure is one line, the other devices go on; the exit code is the highest of those failures. A device that is
    never quiet gives a table of its busy state, which is never mixed with quiet ones. --refresh exits with 0 where the
    tables still hold, and with 7 where one does not.
    """
    from hwnas.pipeline.context import Context

    if sustained and refresh:
        raise UsageError("--refresh compares a table of a device that is not heated; leave --sustained out")
    if anew and refresh:
        raise UsageError("--refresh compares a table and --again replaces it; give one of them")
    ctx = Context(open_workspace(folder), Terminal(quiet=quiet))
    targets = _targets(ctx, devices or [], everything=everything, runtime=runtime, precision=precision)
    with ctx.store.lock():
        if refresh:
            _refresh(ctx, targets, blocks=refresh_blocks, json=json)
        else:
            _measure(ctx, targets, anew=anew, sustained=sustained, json=json)


def _targets(ctx: Context, devices: Sequence[str], *, everything: bool, runtime: str | None, precision: str | None) -> list[Target]:
    from hwnas.core.device import PRECISIONS
    from hwnas.export.exporter import RUNTIME_FORMATS
    from hwnas.pipeline.targets import targets_for

    for kind, name, known in (("runtime", runtime, RUNTIME_FORMATS), ("precision", precision, PRECISIONS)):
        if name is not None:
            require_known(kind, name, known)
    if bool(devices) == everything:
        raise UsageError("name the devices to profile, or give --all for those of the workspace" + " (not both)" * everything)
    names = list(ctx.workspace.devices) if everything else devices
    if not names:
        raise UsageError(f"{ctx.workspace.root / 'devices'}: no devices; describe one in devices/<id>.toml")
    return [target for name in names for target in targets_for(ctx, name, runtime=runtime, precision=precision)]


def _measure(ctx: Context, targets: Sequence[Target], *, anew: bool, sustained: bool, json: bool) -> None:
    from hwnas.pipeline.fleet import profile_all

    outcomes = profile_all(ctx, targets, anew=anew, sustained=sustained)
    rows, errors = [], []
    for outcome in outcomes:
        row, error = _row(outcome, lambda profile: profile.summary(ctx))
        rows.append(row)
        errors += [(outcome.target.label, error)] if error else []
    if json:
        show_json(rows)
    else:
        _show([row for row in rows if row["error"] is None])
    fail(errors)


def _row(outcome: Outcome[Any], figures: Callable[[Any], dict[str, Any]]) -> tuple[dict[str, Any], HwnasError | None]:
    """One target in the documented JSON: what came of it, and its figures or its error."""
    head = {"device": outcome.target.device, "target": outcome.target.label, "status": outcome.status, "error": None, "exit_code": 0}
    error = outcome.error
    if error is None:
        try:
            return head | figures(outcome.result), None
        except HwnasError as problem:  # measured, but too disturbed to predict from
            error = problem
    return head | {"error": str(error), "exit_code": error.exit_code}, error


def _refresh(ctx: Context, targets: Sequence[Target], *, blocks: int, json: bool) -> None:
    from hwnas.pipeline.fleet import refresh_all

    rows, errors = [], []
    for outcome in refresh_all(ctx, targets, blocks=blocks):
        result = outcome.result
        row, error = _row(outcome, lambda refresh: refresh.document())
        rows.append(row)
        if result is not None:
            try:
                result.require_holds()
            except HwnasError as outdated:
                error = outdated
            if not json:
                _show_refresh(result, outdated=error is not None)
        errors += [(outcome.target.label, error)] if error else []
    if json:
        show_json(rows)
    fail(errors)


def _show_refresh(result: Refresh, *, outdated: bool) -> None:
    shown = []
    for r in result.comparison.ratios:
        shown.append((r.key, f"{1e3 * r.before_ms:.1f}", f"{1e3 * r.now_ms:.1f}", f"{r.ratio:.3f}", f"{r.low:.3f} to {r.high:.3f}"))
    show_table(("model", "then us", "now us", "ratio", "95 % interval"), shown, title=result.target.label)
    if not outdated:
        out.print(result.sentence, soft_wrap=True)


def _show(rows: Sequence[Mapping[str, Any]]) -> None:
    if not rows:
        return
    columns = ("target", "blocks", "networks", "smallest ms", "largest ms", "residual %", "quiet %", "wide", "table")
    shown = []
    for r in rows:
        share = "-" if r["quiet_share"] is None else f"{100 * r['quiet_share']:.0f}"
        figures = (f"{r['smallest_ms']:.4f}", f"{r['largest_ms']:.4f}", f"{100 * r['residual_std']:.1f}", share)
        shown.append((r["target"], r["blocks"], r["networks"], *figures, r["wide"], r["table"]))
    show_table(columns, shown)
    for r in rows:
        out.print(f"{r['target']}: {r['additivity']}; {r['model']}", soft_wrap=True)
    if any(r["wide"] for r in rows):
        out.print("wide: models whose 95 % interval is wider than the plan wanted; the device was disturbed", soft_wrap=True, style="dim")
    names = " or ".join(f"'hwnas table accept {device}'" for device in dict.fromkeys(r["device"] for r in rows))
    out.print(f"{names} promotes them to latency_tables/", soft_wrap=True)


def fail(errors: Sequence[tuple[str, HwnasError]]) -> None:
    """Nothing for no errors, the error itself for one; several are a line each, with what each is of, and the exit code is the highest."""
    if len(errors) == 1:
        raise errors[0][1]
    for label, error in errors:
        line = " ".join(str(error).splitlines())
        err.print(f"[red]error:[/] {escape(line if line.startswith(label) else f'{label}: {line}')}", soft_wrap=True)
    if errors:
        raise typer.Exit(max(error.exit_code for _, error in errors))
