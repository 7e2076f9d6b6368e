"""Copies of the reference workspace, whole or small."""

from __future__ import annotations

import shutil
from pathlib import Path

ROOT = Path(__file__).parents[2]
PARTS = ("devices", "export", "latency_tables")
QUICK = """
[data]
source = "fashion-mnist"
[data.limits]
train = 240
val = 100
test = 100
[space]
preset = "tiny-32"
resolutions = [16, 24]
[train]
epochs = 1
batch = 40
[profile]
networks = 20
min_repeats = 10
[accuracy]
subnets = 12
recalibration_images = 40
[search]
trials = 600
candidates = 2
"""


def reference_workspace(folder: Path, *, quick: bool) -> Path:
    """A copy in ``folder`` without anything that was run; a ``quick`` one has few images, one target and no 8-bit files."""
    for part in PARTS:
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__", "agent"))
    shutil.copy(ROOT / "hwnas.toml", folder)
    if quick:
        (folder / "hwnas.toml").write_text(QUICK)
        recipes = folder / "export" / "recipes"
        (recipes / "local-onnxruntime.toml").unlink()
        one = recipes / "local-litert.toml"
        one.write_text(one.read_text().partition("[int8]")[0])
    return folder
