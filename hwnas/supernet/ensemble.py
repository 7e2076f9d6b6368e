"""Accuracy of subnets by several regressions, each of which has not seen a part of the subnets: a cross-validation committee.

Krogh & Vedelsby 1995 (Neural Network Ensembles, Cross Validation, and Active Learning, NIPS 7). What a member is wrong about on the
subnets that it has not seen, and what members disagree about, make up the standard deviation. Predicting needs numpy alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from hwnas.core.arch import Codes, SearchSpace
from hwnas.core.artifacts import StoredPredictor
from hwnas.core.errors import PredictorError
from hwnas.core.predict import Floats, Prediction
from hwnas.space.moves import encode
from hwnas.supernet.features import checked, features
from hwnas.supernet.members import MEMBERS, Arrays, Member

FOLDS = 8


@dataclass(frozen=True, slots=True)
class Committee:
    """``mean`` and ``scale (p,)`` of the inputs, ``level`` and ``spread`` of the accuracies, and the arrays of each member.

    ``residual_std`` is of what members said of subnets that they had not seen, a share.
    """

    mean: Floats
    scale: Floats
    level: float
    spread: float
    residual_std: float
    subnets: int
    members: tuple[Arrays, ...]


@dataclass(frozen=True)
class EnsembleAccuracy:
    """Predicts top-1 accuracy, a share, for one space by members of one kind (`MEMBERS`); `fit` returns the fitted one."""

    kind: ClassVar[str] = "accuracy-ensemble"

    space: SearchSpace
    member: str = "mlp"
    fitted: Committee | None = None
    seed: int = 0

    @property
    def _member(self) -> Member:
        return MEMBERS.get(self.member)

    def inputs(self, codes: Codes) -> Floats:
        """What members see of the choices, ``(n, n_choices) -> (n, p)``, not standardised."""
        return features(self.space, codes) if self._member.sizes else encode(self.space, codes)

    def fit(self, codes: Codes, y: Floats) -> Self:
        """From ``codes: (n, n_choices) int16`` and accuracies ``y: (n,)`` of 0 to 1."""
        target = checked(self.space, codes, y)
        raw = self.inputs(codes)
        mean, scale = raw.mean(axis=0), raw.std(axis=0)
        scale[scale < 1e-9] = 1.0
        level, spread = float(target.mean()), max(float(target.std()), 1e-9)
        x, z = (raw - mean) / scale, (target - level) / spread
        order = np.random.default_rng(self.seed).permutation(len(x))
        members, off = [], np.zeros(len(x))
        for number, unseen in enumerate(np.array_split(order, min(FOLDS, len(x)))):
            seen = np.setdiff1d(order, unseen)
            members.append(self._member.fit(x[seen], z[seen], seed=self.seed + number))
            off[unseen] = self._member.predict(members[-1], x[unseen]) - z[unseen]
        residual_std = spread * float(np.sqrt(np.mean(off**2)))
        fitted = Committee(mean, scale, level, spread, residual_std, len(codes), tuple(members))
        return type(self)(self.space, self.member, fitted, self.seed)

    def predict(self, codes: Codes) -> Prediction:
        """``(n, n_choices) int16 -> (n,)`` shares."""
        own = self._known()
        x = (self.inputs(codes) - own.mean) / own.scale
        said = np.stack([self._member.predict(arrays, x) for arrays in own.members])
        mean = own.level + own.spread * said.mean(axis=0)
        std = np.sqrt(own.residual_std**2 + (own.spread * said.std(axis=0)) ** 2)
        return Prediction(np.clip(mean, 0.0, 1.0), std)

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """What to store: the space, the kind of member, and the committee."""
        own = self._known()
        arrays: dict[str, NDArray[Any]] = {"mean": own.mean, "scale": own.scale}
        arrays |= {f"member{i}.{name}": value for i, member in enumerate(own.members) for name, value in member.items()}
        numbers = {name: getattr(own, name) for name in ("level", "spread", "residual_std", "subnets")}
        return {"space": self.space.id, "member": self.member, "members": len(own.members), "seed": self.seed, **numbers}, arrays

    @classmethod
    def of(cls, stored: StoredPredictor, space: SearchSpace) -> EnsembleAccuracy:
        """What `state` gave and a file kept; one of another space or version raises `PredictorError`."""
        stored.require(cls.kind, space=space.id)
        meta: Mapping[str, Any] = stored.meta
        try:
            empty = cls(space, str(meta["member"]), seed=int(meta["seed"]))
            p = empty.inputs(np.zeros((1, len(space.choices)), dtype=np.int16)).shape[1]
            shapes = MEMBERS.get(empty.member).shapes(p)
            members = tuple(
                {name: stored.array(f"member{i}.{name}", shape=shape) for name, shape in shapes.items()}
                for i in range(int(meta["members"]))
            )
            fitted = Committee(
                mean=stored.array("mean", shape=(p,)),
                scale=stored.array("scale", shape=(p,)),
                level=float(meta["level"]),
                spread=float(meta["spread"]),
                residual_std=float(meta["residual_std"]),
                subnets=int(meta["subnets"]),
                members=members,
            )
        except (KeyError, TypeError, ValueError) as problem:
            raise PredictorError(
                f"{stored.where}: not an accuracy predictor as this version writes it ({problem}); run 'hwnas accuracy fit'"
            ) from None
        if not members:
            raise PredictorError(f"{stored.where}: an ensemble without members; run 'hwnas accuracy fit'")
        return cls(space, empty.member, fitted, empty.seed)

    def _known(self) -> Committee:
        if self.fitted is None:
            raise PredictorError(f"the accuracy predictor of space '{self.space.name}' is not fitted yet")
        return self.fitted
