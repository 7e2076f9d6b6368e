"""``hwnas predictor``: fit a latency predictor to measured networks, and evaluate one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hwnas.cli.console import show_facts, show_json, working
from hwnas.cli.options import Folder, Json, open_workspace

app = typer.Typer(help="Latency predictors: fit one, say how good it is.", no_args_is_help=True)

Device = Annotated[str, typer.Argument(help="A device of the workspace.")]
Runtime = Annotated[str, typer.Option(help="A runtime of the device.")]
Precision = Annotated[str, typer.Option(help="fp32, fp16, bf16, int8 or int8_dynamic, as the runtime has them.")]
Kind = Annotated[
    str, typer.Option(help="additive, calibrated, trees, gaussian or transfer (few measurements, and tables of other devices).")
]
Statistic = Annotated[str, typer.Option(help="Which statistic of whole networks: p50, p90 or p99.")]
Regime = Annotated[str, typer.Option(help="The device's state: quiet or typical.")]
Threads = Annotated[int | None, typer.Option(min=1, help="As the device's descriptor says unless given.")]


@app.command("fit")
def fit(
    device: Device,
    runtime: Runtime,
    precision: Precision = "fp32",
    kind: Kind = "calibrated",
    statistic: Statistic = "p50",
    regime: Regime = "quiet",
    threads: Threads = None,
    folder: Folder = Path(),
    json: Json = False,
) -> None:
    """Fit a predictor to the whole networks of a table, with intervals that hold, and store it below runs/predictors/."""
    from hwnas.pipeline.predictors import Asked, fit_predictor

    with working("fit", quiet=json):
        found = fit_predictor(open_workspace(folder), Asked(device, runtime, precision, kind, statistic, regime, threads))
    if json:
        show_json(found)
    else:
        show_facts({name.replace("_", " "): value for name, value in found.items()})


@app.command("eval")
def evaluate(
    device: Device,
    runtime: Runtime,
    precision: Precision = "fp32",
    kind: Kind = "calibrated",
    statistic: Statistic = "p50",
    regime: Regime = "quiet",
    threads: Threads = None,
    plot: Annotated[Path | None, typer.Option(help="Draw predicted against measured; written as .png and .svg.")] = None,
    folder: Folder = Path(),
    json: Json = False,
) -> None:
    """Predict the whole networks of a table by fits that did not see them, ten folds: errors, ranks, and what intervals cover."""
    from hwnas.pipeline.predictors import Asked, evaluate_predictor

    with working("fit ten times", quiet=json):
        found = evaluate_predictor(open_workspace(folder), Asked(device, runtime, precision, kind, statistic, regime, threads), plot=plot)
    if json:
        show_json(found)
        return
    shares = {"mape": "MAPE", "within_5": "within 5 %", "within_10": "within 10 %"}
    shown: dict[str, object] = {}
    for name, value in found.items():
        if name in shares:
            shown[shares[name]] = f"{value:.1%}"
        elif name.startswith(("coverage_", "width_")):
            word, level = name.split("_")
            shown[f"{word} of {level} % intervals"] = f"{value:.1%}"
        elif isinstance(value, float):
            shown[name.replace("_", " ")] = f"{value:.3g}" if name == "minutes_sampled" else f"{value:.3f}"
        else:
            shown[name.replace("_", " ")] = value
    show_facts(shown)
