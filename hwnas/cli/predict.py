"""``hwnas predict``: how long one subnet takes on a device, by the device's table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hwnas.cli.console import OUTSIDE, out, show_facts, show_json, show_table
from hwnas.cli.options import Folder, Json, open_workspace


def predict(
    arch: Annotated[str, typer.Argument(help="'smallest', 'largest', JSON of the subnet's choices, or the id of one that a search found.")],
    device: Annotated[str, typer.Option(help="A device that has a table: measured, accepted, or imported.")],
    runtime: Annotated[str | None, typer.Option(help="Where the device has tables of several.")] = None,
    precision: Annotated[str | None, typer.Option(help="fp32 where there are several.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="1 where there are several.")] = None,
    regime: Annotated[str | None, typer.Option(help="quiet where there are several.")] = None,
    statistic: Annotated[str, typer.Option(help="p50, p90 or p99.")] = "p50",
    space: Annotated[str | None, typer.Option(help="The subnet's space; that of the table or of the workspace unless given.")] = None,
    confidence: Annotated[
        float | None, typer.Option(help="Of the bound, as 0.9; 0.95 unless given, or what the measured networks can bound.")
    ] = None,
    blocks: Annotated[bool, typer.Option("--blocks", help="Also list what each block takes.")] = False,
    folder: Folder = Path(),
    json: Json = False,
) -> None:
    """Predict the latency of one subnet from a device's table; needs neither torch nor the device."""
    from hwnas.pipeline.predicting import predict as predict_subnet

    asked = {"runtime": runtime, "precision": precision, "threads": threads, "regime": regime}
    found = predict_subnet(open_workspace(folder), arch, device, asked=asked, statistic=statistic, space=space, confidence=confidence)
    if json:
        show_json(found)
        return
    spread = "unknown: no whole networks in the table" if found["std_ms"] is None else f"{found['std_ms']:.4f}"
    most = spread if found["at_most_ms"] is None else f"{found['at_most_ms']:.4f} with a confidence of {found['confidence']:.0%}"
    context = f"{found['runtime']} {found['precision']}, threads {found['threads']}, batch {found['batch']}, {found['regime']}"
    show_facts(
        {
            "subnet": f"{found['arch']} of {found['space']}: {found['summary']}",
            "on": f"{found['device']}: {context}",
            f"{found['statistic']} ms": f"{found['predicted_ms']:.4f}",
            "standard deviation ms": spread,
            "at most ms": most,
            "by the": found["why"],
            "table": found["table"],
        }
    )
    if found["trusted"] is False:
        out.print(f"{OUTSIDE}: time it before you rely on this", soft_wrap=True, style="yellow")
    if blocks:
        show_table(("block", "ms"), [(row["block"], f"{row['ms']:.4f}") for row in found["blocks"]])
    else:
        out.print(f"{len(found['blocks'])} blocks; --blocks lists them", style="dim")
