"""Gradient-boosted trees (Friedman 2001, doi:10.1214/aos/1013203451) on the logarithm of the latency: for spaces that are no chains.

scikit-learn grows them; what is stored and predicted with is the trees' arrays and numpy alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from hwnas.core.arch import Codes, SearchSpace
from hwnas.core.artifacts import StoredPredictor
from hwnas.core.errors import PredictorError
from hwnas.core.predict import Floats, Prediction
from hwnas.latency.descriptors import describe
from hwnas.latency.samples import require_samples

KIND = "latency-trees"
MIN_NETWORKS = 10
_TREES, _DEPTH, _RATE, _SHARE = 300, 3, 0.05, 0.7
_FOLDS = 5


@dataclass(frozen=True, slots=True)
class Forest:
    """Trees side by side, padded to one length: ``(trees, nodes)`` each; a leaf's ``feature`` is -1. The sum is added to ``start``."""

    feature: NDArray[np.int64]
    threshold: Floats
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    value: Floats
    start: float

    def predict(self, rows: Floats) -> Floats:
        """``(n, p) -> (n,)``."""
        total = np.full(len(rows), self.start)
        every = np.arange(len(rows))
        for feature, threshold, left, right, value in zip(self.feature, self.threshold, self.left, self.right, self.value, strict=True):
            node = np.zeros(len(rows), dtype=np.int64)
            for _ in range(_DEPTH):
                # thresholds were learned on float32, as scikit-learn's trees are
                lower = rows[every, feature[node]].astype(np.float32) <= threshold[node]
                node = np.where(feature[node] < 0, node, np.where(lower, left[node], right[node]))
            total += value[node]
        return total


@dataclass(frozen=True)
class TreesLatency:
    """Predicts milliseconds from codes of any space; the standard deviation is that of cross-validated residuals, relative."""

    space: SearchSpace
    label: str = "trees"
    forest: Forest | None = None
    relative_std: float = 0.0

    def fit(self, codes: Codes, y: Floats) -> Self:
        """From measured networks, ``(n, n_choices)`` and ``(n,)`` ms."""
        measured = require_samples(self.space, codes, y, at_least=MIN_NETWORKS, label=self.label)
        rows, logs = describe(self.space, codes), np.log(measured)
        order = np.random.default_rng(0).permutation(len(rows))
        residuals = []
        for fold in np.array_split(order, _FOLDS):
            rest = np.setdiff1d(order, fold)
            residuals.append(logs[fold] - _grow(rows[rest], logs[rest]).predict(rows[fold]))
        spread = float(np.sqrt(np.mean(np.concatenate(residuals) ** 2)))
        return replace(self, forest=_grow(rows, logs), relative_std=spread)

    def predict(self, codes: Codes) -> Prediction:
        """``(n, n_choices) int16 -> (n,)`` ms."""
        if self.forest is None:
            raise PredictorError(f"{self.label}: nothing was measured yet; fit at least {MIN_NETWORKS} networks")
        mean = np.exp(self.forest.predict(describe(self.space, codes)))
        return Prediction(mean, mean * self.relative_std)

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """The trees."""
        own = self.forest
        if own is None:
            raise PredictorError(f"{self.label}: nothing to store before a fit")
        meta = {"space": self.space.id, "label": self.label, "start": own.start, "relative_std": self.relative_std}
        return meta, {name: getattr(own, name) for name in ("feature", "threshold", "left", "right", "value")}

    @classmethod
    def restore(cls, space: SearchSpace, stored: StoredPredictor) -> Self:
        """From what `state` gave; another space, or links that lead nowhere, raise `PredictorError`."""
        stored.require(KIND, space=space.id)
        value = stored.array("value", shape=(None, None))
        whole = {name: stored.array(name, shape=value.shape).astype(np.int64) for name in ("feature", "left", "right")}
        features = describe(space, np.zeros((1, len(space.choices)), dtype=np.int16)).shape[1]
        limits = {"feature": features, "left": value.shape[1], "right": value.shape[1]}
        if any((array < -1).any() or (array >= limits[name]).any() for name, array in whole.items()):
            raise PredictorError(f"{stored.where}: its trees point outside of themselves; fit it again")
        threshold = stored.array("threshold", shape=value.shape)
        forest = Forest(**whole, threshold=threshold, value=value, start=float(stored.meta["start"]))
        return cls(space, str(stored.meta["label"]), forest, float(stored.meta["relative_std"]))


def _grow(rows: Floats, target: Floats) -> Forest:
    from sklearn.ensemble import GradientBoostingRegressor

    model = GradientBoostingRegressor(n_estimators=_TREES, max_depth=_DEPTH, learning_rate=_RATE, subsample=_SHARE, random_state=0)
    model.fit(rows, target)
    trees = [each.tree_ for each in model.estimators_[:, 0]]
    nodes = max(tree.node_count for tree in trees)

    def padded(name: str, fill: float) -> NDArray[Any]:
        columns = [np.ravel(getattr(tree, name)) for tree in trees]
        return np.stack([np.pad(column, (0, nodes - len(column)), constant_values=fill) for column in columns])

    left = padded("children_left", -1)
    return Forest(
        feature=np.where(left < 0, -1, padded("feature", -1)).astype(np.int64),
        threshold=padded("threshold", 0.0),
        left=left.astype(np.int64),
        right=padded("children_right", -1).astype(np.int64),
        value=_RATE * padded("value", 0.0),
        start=float(np.mean(target)),
    )
