"""Accuracies of subnets with less of the noise of counting: what their losses on the same images say of them.

On a few thousand images two subnets of a supernet differ by less than the luck of single images. The mean cross entropy of the same images
moves with the accuracy and has far less of that luck. So each subnet's accuracy is drawn towards the least-squares line of accuracy over
loss through all of them: all the way where the accuracies lie around it no wider than counting explains, and otherwise by the share of
their variance around it that counting does (James & Stein 1961).
"""

from __future__ import annotations

import numpy as np

from hwnas.core.errors import PredictorError
from hwnas.core.predict import Floats


def smoothed(accuracy: Floats, loss: Floats, *, images: int) -> Floats:
    """Accuracies ``(n,)``, shares, of subnets with mean losses ``(n,)``, nats, on ``images`` images ``-> (n,)`` shares.

    Where no loss is lower than another, or a lower one goes with a lower accuracy, they are left as they are.
    """
    y, x = np.asarray(accuracy, dtype=np.float64), np.asarray(loss, dtype=np.float64)
    if y.shape != x.shape or y.ndim != 1 or images < 1 or not (np.isfinite(y).all() and np.isfinite(x).all()):
        raise PredictorError(
            f"smoothing needs a finite accuracy and loss of each subnet on some images, not {y.shape}, {x.shape}, {images}"
        )
    centred = x - x.mean() if len(x) else x
    slope = float(centred @ y) / scale if (scale := float(centred @ centred)) > 0 else 0.0
    if slope >= 0 or len(y) <= 2:
        return y
    line: Floats = y.mean() + slope * centred
    around = float(np.sum((y - line) ** 2)) / (len(y) - 2)
    counting = float(np.mean(y * (1 - y))) / images
    kept = max(0.0, 1 - counting / around) if around > 0 else 0.0
    drawn: Floats = np.clip(line + kept * (y - line), 0.0, 1.0)
    return drawn
