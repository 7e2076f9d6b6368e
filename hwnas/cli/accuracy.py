"""``hwnas accuracy``: where the accuracy of subnets is predicted from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hwnas.cli.console import out, show_json
from hwnas.cli.options import Folder, Json, open_workspace

app = typer.Typer(help="Accuracy predictors: import a published one.", no_args_is_help=True)


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
