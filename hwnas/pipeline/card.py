"""A model card (Mitchell et al. 2019): what a file is, what it was made from, how well it does, and what it is not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hwnas import __version__
from hwnas.pipeline.context import Context

LICENCES = {"fashion-mnist": "MIT (Zalando SE, 2017)"}
USES = {"train": "for training", "val": "for choosing", "test": "held out"}
UNSTATED = "not stated by the workspace; ask who made the data"


def _measured(row: Mapping[str, Any]) -> str:
    if row["measured_ms"] is None:
        return f"**not measured**; predicted {row['predicted_ms']:.4f} ms (at most {row['predicted_hi_ms']:.4f})"
    low, high = row["measured_ci_ms"]
    return f"{row['measured_ms']:.4f} ms ({low:.4f} to {high:.4f}, 95 %)"


def model_card(ctx: Context, recipe: str, row: Mapping[str, Any]) -> str:
    """The card of one row of a run, in Markdown."""
    data = ctx.dataset
    measured, given = _measured(row), ctx.workspace.recipes[recipe].weights
    weights = "those of this workspace's supernet" if given is None else f"from `{given.source}`, SHA-256 `{given.sha256}`"
    parts = ", ".join(
        f"{data.part(part).n} {name}" for part, name in (("train", "for training"), ("val", "for choosing"), ("test", "held out"))
    )
    return f"""# {recipe}, {row["budget"]}

A classifier of images in {len(data.class_names)} classes, for `{row["runtime"]}` on `{row["device"]}`; subnet `{row["arch"]}` of the search
space `{ctx.space.name}`. Made by hwnas {__version__}.

| figure | value |
| --- | --- |
| accuracy on the test part, of this file | {100 * row["accuracy_test"]:.2f} % |
| latency, {row["statistic"]} in the {row["regime"]} state, {row["threads"]} thread(s) | {measured} |
| budget | {row["budget_ms"]:.4f} ms ({row["budget"]}) |
| size | {row["size_bytes"]} bytes |
| precision | {row["precision"]} |
| largest difference to the network that was trained | {row["parity_max_abs"]:.2g} |

- **Data**: {data.name} ({parts}). Licence: {LICENCES.get(data.name, UNSTATED)}.
- **Weights**: {weights}; their licence is their owner's to state.
- **Classes**: {", ".join(data.class_names)}.
- **Meant for**: images like those of the data, prepared as in `preprocessing.json`. Anything else is answered with one of the classes too.
- **Run it**: `python run_{"onnx" if row["artifact"].endswith(".onnx") else "tflite"}.py IMAGE`; `manifest.json` vouches for every byte.
"""
