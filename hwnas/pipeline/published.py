"""``hwnas accuracy import``: an accuracy predictor that others published, in place of one fitted here. Needs neither torch nor data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from hwnas.config import CONFIG
from hwnas.core.errors import PredictorError
from hwnas.pipeline.searching import ACCURACY, publish_space
from hwnas.supernet.ofa_predictor import OPTIONS, PRESET, RMSE, read_published
from hwnas.supernet.predictor import save_accuracy
from hwnas.workspace import Workspace


def import_accuracy(workspace: Workspace, path: Path) -> dict[str, Any]:
    """Store the published predictor at ``path`` where ``hwnas search`` finds it; one of another space raises `PredictorError`."""
    asked = workspace.config.space
    if asked.preset != PRESET:
        raise PredictorError(f"{path}: predicts subnets of space '{PRESET}', and {CONFIG} asks for '{asked.preset}'; set space.preset")
    predictor = read_published(path, resolutions=asked.resolutions)
    publish_space(workspace.store, predictor.space, replace(OPTIONS, resolutions=asked.resolutions))
    stored = workspace.store.predictors / ACCURACY
    save_accuracy(stored, predictor)
    return {
        "file": str(stored),
        "space": predictor.space.name,
        "classes": OPTIONS.classes,
        "resolutions": list(asked.resolutions),
        "accuracy_std": RMSE,
    }
