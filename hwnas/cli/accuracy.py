"""``hwnas accuracy``: where the accuracy of subnets is predicted from, and how well."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hwnas.cli.console import Terminal, out, show_json, show_table
from hwnas.cli.options import Folder, Json, Quiet, open_workspace

app = typer.Typer(help="Accuracy predictors: fit one, tell how good it is, import a published one.", no_args_is_help=True)


@app.command()
def fit(
    predictor: Annotated[str | None, typer.Option(help="mlp, additive, gaussian or ridge; as in hwnas.toml unless given.")] = None,
    subnets: Annotated[int | None, typer.Option(min=10, help="Subnets to evaluate; as in hwnas.toml unless given.")] = None,
    folder: Folder = Path(),
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Evaluate subnets of the supernet on the validation part, and fit and store the predictor that searches use."""
    from hwnas.core.registry import require_known
    from hwnas.pipeline.context import Context
    from hwnas.pipeline.judging import fit as fit_predictor
    from hwnas.supernet.predictor import FITTED

    if predictor is not None:
        require_known("accuracy predictor", predictor, FITTED)
    ctx = Context(open_workspace(folder), Terminal(quiet=quiet))
    with ctx.store.lock():
        found = fit_predictor(ctx, predictor=predictor, subnets=subnets)
    if json:
        show_json(found)
        return
    left_out = f"{found['rmse_left_out_points']:.2f} points off on subnets left out in turn"
    out.print(
        f"{found['predictor']} of {found['space']}, fitted to {found['subnets']} subnets, {left_out}: {found['file']}", soft_wrap=True
    )


@app.command("eval")
def evaluate(
    subnets: Annotated[int, typer.Option(help="How many random subnets to evaluate for it.")] = 50,
    folder: Folder = Path(),
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Hold the stored predictor against random subnets that it was not fitted to."""
    from hwnas.pipeline.context import Context
    from hwnas.pipeline.judging import evaluate as evaluate_predictor

    ctx = Context(open_workspace(folder), Terminal(quiet=quiet))
    with ctx.store.lock():
        found = evaluate_predictor(ctx, subnets=subnets)
    if json:
        show_json(found)
        return
    show_table(
        ("subnets", "Spearman", "Kendall", "RMSE points", "bias", "worst", "inside 95 %"),
        [
            (
                f"{found['subnets']:.0f}",
                f"{found['spearman']:.3f}",
                f"{found['kendall']:.3f}",
                f"{found['rmse_points']:.2f}",
                f"{found['bias_points']:+.2f}",
                f"{found['worst_points']:.2f}",
                f"{100 * found['coverage_95']:.0f} %",
            )
        ],
    )


@app.command()
def proxies(
    archs: Annotated[list[str], typer.Argument(metavar="ARCH...", help="Subnets, as hwnas export takes them.")],
    proxy: Annotated[list[str] | None, typer.Option(help="As synflow; may be given several times; all unless given.")] = None,
    images: Annotated[int, typer.Option(min=2, help="Training images to look at.")] = 32,
    folder: Folder = Path(),
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Score untrained subnets: for ranking where nothing was trained yet. Scores of different proxies have nothing in common."""
    from hwnas.pipeline.context import Context
    from hwnas.pipeline.proxies import proxies as scores

    ctx = Context(open_workspace(folder), Terminal(quiet=quiet))
    rows = scores(ctx, archs, names=tuple(proxy or ()), images=images)
    if json:
        show_json(rows)
        return
    show_table(
        ("subnet", *(name for name in rows[0] if name != "arch")),
        [(row["arch"][:8], *(f"{v:.5g}" for k, v in row.items() if k != "arch")) for row in rows],
    )


@app.command("import")
def import_published(
    file: Annotated[Path, typer.Argument(help="The predictor of Once-for-All's MobileNetV3 supernet, as .npz.")],
    folder: Folder = Path(),
    json: Json = False,
) -> None:
    """Take a published accuracy predictor, so that subnets of the ImageNet space can be searched without images or a supernet."""
    from hwnas.pipeline.published import import_accuracy

    workspace = open_workspace(folder)
    with workspace.store.lock():
        stored = import_accuracy(workspace, file)
    if json:
        show_json(stored)
        return
    sizes = ", ".join(map(str, stored["resolutions"]))
    out.print(f"accuracy predictor of {stored['space']} at {sizes} px: {stored['file']}", soft_wrap=True)
