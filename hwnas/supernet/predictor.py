"""Accuracy of subnets from their choices: ridge regression (Hoerl & Kennard 1970) on what is chosen and on how large each part is.

Features are the one-hot choices, and the products of a few sizes with each other (how much of each group is active, how large its options
are), because accuracy saturates. scikit-learn chooses the penalty by leave-one-out error when fitting; predicting needs numpy alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from hwnas.core.arch import Codes, SearchSpace
from hwnas.core.artifacts import StoredPredictor, load_predictor, save_predictor
from hwnas.core.errors import PredictorError
from hwnas.core.predict import Floats, Prediction
from hwnas.core.registry import require_known
from hwnas.supernet.ensemble import EnsembleAccuracy
from hwnas.supernet.features import checked, features
from hwnas.supernet.members import MEMBERS
from hwnas.supernet.ofa_predictor import OfaAccuracy
from hwnas.supernet.smoothed import smoothed

PENALTIES = tuple(float(10.0**e) for e in np.arange(-3, 3.5, 0.5))


@dataclass(frozen=True, slots=True)
class RidgeFit:
    """``mean``, ``scale`` and ``weights`` by feature, ``(p,)``; ``inverse (p, p)`` is that of the penalised Gram matrix."""

    mean: Floats
    scale: Floats
    weights: Floats
    intercept: float
    inverse: Floats
    residual_std: float
    penalty: float
    subnets: int


@dataclass(frozen=True)
class RidgeAccuracy:
    """Predicts top-1 accuracy, a share, for one space; `fit` returns the fitted one."""

    kind: ClassVar[str] = "accuracy-ridge"

    space: SearchSpace
    fitted: RidgeFit | None = None

    def fit(self, codes: Codes, y: Floats) -> Self:
        """From ``codes: (n, n_choices) int16`` and accuracies ``y: (n,)`` of 0 to 1."""
        from sklearn.linear_model import RidgeCV

        target = checked(self.space, codes, y)
        raw = features(self.space, codes)
        mean, scale = raw.mean(axis=0), raw.std(axis=0)
        scale[scale < 1e-9] = 1.0
        x = (raw - mean) / scale
        model = RidgeCV(alphas=PENALTIES, store_cv_results=True).fit(x, target)
        chosen = PENALTIES.index(float(model.alpha_))
        inverse = np.linalg.inv(x.T @ x + model.alpha_ * np.eye(x.shape[1]))
        return type(self)(
            self.space,
            RidgeFit(
                mean=mean,
                scale=scale,
                weights=np.asarray(model.coef_, dtype=np.float64),
                intercept=float(model.intercept_),
                inverse=inverse,
                residual_std=float(np.sqrt(model.cv_results_[:, chosen].mean())),
                penalty=float(model.alpha_),
                subnets=len(codes),
            ),
        )

    def predict(self, codes: Codes) -> Prediction:
        """``(n, n_choices) int16 -> (n,)`` shares; the standard deviation grows with the distance from the subnets that were seen."""
        fit = self.fitted
        if fit is None:
            raise PredictorError(f"the accuracy predictor of space '{self.space.name}' is not fitted yet")
        x = (features(self.space, codes) - fit.mean) / fit.scale
        spread = np.einsum("ij,ij->i", x @ fit.inverse, x)
        return Prediction(np.clip(fit.intercept + x @ fit.weights, 0.0, 1.0), fit.residual_std * np.sqrt(1 + spread))

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """What to store: the space and the fit."""
        fit = self.fitted
        if fit is None:
            raise PredictorError(f"the accuracy predictor of space '{self.space.name}' is not fitted yet")
        arrays = {name: getattr(fit, name) for name in ("mean", "scale", "weights", "inverse")}
        numbers = {name: getattr(fit, name) for name in ("intercept", "residual_std", "penalty", "subnets")}
        return {"space": self.space.id, **numbers}, arrays

    @classmethod
    def of(cls, stored: StoredPredictor, space: SearchSpace) -> RidgeAccuracy:
        """What `state` gave and a file kept; one of another space or version raises `PredictorError`."""
        stored.require(cls.kind, space=space.id)
        meta: Mapping[str, Any] = stored.meta
        p = features(space, np.zeros((1, len(space.choices)), dtype=np.int16)).shape[1]
        try:
            fit = RidgeFit(
                mean=stored.array("mean", shape=(p,)),
                scale=stored.array("scale", shape=(p,)),
                weights=stored.array("weights", shape=(p,)),
                intercept=float(meta["intercept"]),
                inverse=stored.array("inverse", shape=(p, p)),
                residual_std=float(meta["residual_std"]),
                penalty=float(meta["penalty"]),
                subnets=int(meta["subnets"]),
            )
        except (KeyError, TypeError, ValueError) as problem:
            raise PredictorError(
                f"{stored.where}: not an accuracy predictor as this version writes it ({problem}); run 'hwnas train' again"
            ) from None
        return cls(space, fit)


FittedAccuracy = RidgeAccuracy | EnsembleAccuracy
"""What is fitted here."""
FITTED = ("ridge", *MEMBERS)
"""The names that `new_accuracy` knows."""


def new_accuracy(name: str, space: SearchSpace, *, seed: int) -> FittedAccuracy:
    """An accuracy predictor that is not fitted yet: ``ridge``, or an ensemble of the named members."""
    require_known("accuracy predictor", name, FITTED)
    return RidgeAccuracy(space) if name == "ridge" else EnsembleAccuracy(space, name, seed=seed)


def fit_scores(model: FittedAccuracy, codes: Codes, accuracies: Floats, losses: Floats, *, images: int) -> FittedAccuracy:
    """``model`` fitted to what accuracies and losses ``(n,)`` on so many images say together (`hwnas.supernet.smoothed`).

    Its standard deviation is of accuracies as they are counted on as many images.
    """
    target = smoothed(checked(model.space, codes, accuracies), losses, images=images)
    done = model.fit(codes, target)
    counting = float(np.std(accuracies - target))
    if isinstance(done, RidgeAccuracy):
        return replace(done, fitted=done.fitted and replace(done.fitted, residual_std=math.hypot(done.fitted.residual_std, counting)))
    return replace(done, fitted=done.fitted and replace(done.fitted, residual_std=math.hypot(done.fitted.residual_std, counting)))


StoredAccuracy = RidgeAccuracy | EnsembleAccuracy | OfaAccuracy
"""The kinds of accuracy predictors that are kept in files."""


def save_accuracy(path: Path, predictor: StoredAccuracy) -> None:
    """Store as ``path`` (``….json``) and ``….npz`` beside it."""
    meta, arrays = predictor.state()
    save_predictor(path, predictor.kind, meta, arrays)


def load_accuracy(path: Path, space: SearchSpace) -> StoredAccuracy:
    """The predictor at ``path``, which must be of ``space``; anything else, and a torn or changed file, raises `PredictorError`."""
    stored = load_predictor(path)
    kinds: dict[str, type[RidgeAccuracy] | type[EnsembleAccuracy] | type[OfaAccuracy]] = {
        EnsembleAccuracy.kind: EnsembleAccuracy,
        OfaAccuracy.kind: OfaAccuracy,
    }
    return kinds.get(stored.kind, RidgeAccuracy).of(stored, space)
