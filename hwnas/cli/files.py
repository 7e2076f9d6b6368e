"""The commands about files that ship: write them, check them again, sign them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hwnas.cli.console import Terminal, out, show_json, show_table
from hwnas.cli.options import Folder, Json, Quiet, open_workspace
from hwnas.core.errors import UsageError


def export(
    arch: Annotated[
        str,
        typer.Argument(help="Id of a subnet that a run or search found (a prefix does), 'smallest', 'largest', or JSON of its choices."),
    ],
    to: Annotated[Path, typer.Option("--out", help="Folder for the files; it is made.")] = Path("exported"),
    runtime: Annotated[list[str] | None, typer.Option(help="onnxruntime, litert; both unless given.")] = None,
    form: Annotated[
        list[str] | None,
        typer.Option(
            "--format", help="Instead of runtimes: onnx, tflite or pt2, with a precision as in onnx:fp16, tflite:int8_dynamic; repeatable."
        ),
    ] = None,
    int8: Annotated[
        bool, typer.Option("--int8/--no-int8", help="Beside files of runtimes: quantised ones, calibrated on training images.")
    ] = True,
    dynamic_batch: Annotated[bool, typer.Option("--dynamic-batch", help="Files that take any number of images at once.")] = False,
    folder: Folder = Path(),
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write one subnet as model.onnx and model.tflite, or in the formats named, with labels, preprocessing and manifest."""
    from hwnas.export.exporter import exporter_for, parse_format
    from hwnas.pipeline.context import Context
    from hwnas.pipeline.exporting import export_subnet

    if form and runtime:
        raise UsageError("give either --format or --runtime: a runtime stands for its format in float32")
    named = [parse_format(text) for text in form or ()]
    formats = named or [(exporter_for(name).format, "fp32") for name in runtime or ("onnxruntime", "litert")]
    ctx = Context(open_workspace(folder), Terminal(quiet=quiet))
    with ctx.store.lock():
        written = export_subnet(ctx, arch, to, formats=formats, int8=int8 and not named, dynamic_batch=dynamic_batch)
    if json:
        show_json(written)
        return
    rows = [
        (
            f["path"],
            f["precision"],
            f"{f['size_bytes'] / 1000:.0f}",
            f["nodes"],
            f"{100 * f['accuracy_val']:.1f}",
            f"{f['parity_max_abs']:.2g}",
            f"{100 * f['top1_agreement']:.1f}",
        )
        for f in written["files"]
    ]
    show_table(("file", "precision", "kB", "nodes", "val %", "max abs difference", "same class %"), rows)


def verify(
    exported: Annotated[Path | None, typer.Argument(help="A manifest.json, or the folder that holds it.")] = None,
    manifest: Annotated[
        Path | None,
        typer.Option(help="Only what this manifest vouches for, every byte and who signed it: needs no workspace, images or device."),
    ] = None,
    key: Annotated[Path | None, typer.Option(help="The public key (PEM, Ed25519) that must have signed the manifest.")] = None,
    timing: Annotated[bool, typer.Option("--timing/--no-timing", help="Time the file on its device again.")] = True,
    folder: Folder = Path(),
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Check exported files: every byte, their accuracy on the test part, and their latency on the device against the budget."""
    from hwnas.pipeline.context import Context
    from hwnas.pipeline.verifying import verify_files, vouched

    path = exported or manifest
    if path is None or (exported and manifest):
        raise UsageError("give either the folder of an exported model, or --manifest and its manifest.json")
    if exported is None:
        checked = vouched(path, key=key).document
    else:
        ctx = Context(open_workspace(folder), Terminal(quiet=quiet))
        with ctx.store.lock():
            checked = verify_files(ctx, path, timing=timing, key=key)
    if json:
        show_json(checked)
    else:
        show_table(
            ("check", "result"), [(name.replace("_", " "), value) for name, value in checked.items() if not isinstance(value, (dict, list))]
        )
    if checked.get("verdict") == "over budget":
        from hwnas.core.errors import BudgetMissed

        low, high = checked["measured_ci_ms"]
        raise BudgetMissed(
            f"{path}: measured {checked['measured_ms']:.4f} ms ({low:.4f} to {high:.4f}), over the budget of "
            f"{checked['budget_ms']:.4f} ms (predicted {checked['predicted_ms']})"
        )


def sign(
    manifest: Annotated[Path, typer.Argument(help="A manifest.json, or a folder: every manifest below it.")],
    key: Annotated[Path, typer.Option(help="The file of the private key (PEM, Ed25519), readable by its owner alone.")],
    json: Json = False,
) -> None:
    """Sign manifests; 'hwnas verify --manifest M --key PUBLIC' finds out who did."""
    from hwnas.pipeline.verifying import signed

    written = signed(manifest, key)
    if json:
        show_json(written)
        return
    for path in written["signatures"]:
        out.print(f"{path}: signed by {written['key']}", soft_wrap=True)
