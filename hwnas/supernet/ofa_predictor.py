"""The accuracy predictor that Once-for-All's authors published (Cai et al. 2020, arXiv 1908.09791): top-1 on ImageNet from choices.

A perceptron with three hidden layers of 400 units and ReLU, fitted to subnets of their supernet of width 1.2. Its inputs are one-hot: the
kernel of each of 20 blocks, then the expand ratio of each (all zero for a block that is not run), then the resolution at (R - 112) / 16.
It was not fitted below 160 pixels. Predicting needs numpy alone.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from hwnas.core.arch import Codes, SearchSpace
from hwnas.core.artifacts import StoredPredictor
from hwnas.core.errors import PredictorError
from hwnas.core.predict import Floats, Prediction
from hwnas.space.family import SpaceOptions, find_space
from hwnas.space.moves import encode

PRESET = "ofa-w1.2"
OPTIONS = SpaceOptions(channels=3, classes=1000, resolutions=(160, 176, 192, 208, 224))
"""What the predictor knows of the preset: ImageNet's images, at the resolutions that it was fitted to."""
RMSE = 0.0021
"""Its root mean square error on subnets that the authors held out: 0.21 points (appendix A of the paper)."""
SHAPES = ((400, 128), (400, 400), (400, 400), (1, 400))
ROWS = 1024  # rows at a time, so that activations stay in a core's cache

Array = NDArray[np.float32]


@dataclass(frozen=True)
class OfaAccuracy:
    """Predicts top-1 accuracy, a share. ``layers`` are weights ``(out, in)`` and biases ``(out,)``, of `SHAPES`; ``space`` is `PRESET`
    at some of the resolutions in `OPTIONS`."""

    kind: ClassVar[str] = "accuracy-ofa"

    space: SearchSpace
    layers: tuple[tuple[Array, Array], ...]

    def fit(self, codes: Codes, y: Floats) -> Self:  # noqa: ARG002 (the protocol's names)
        """Refused: it is taken as it was published."""
        raise PredictorError("the accuracy predictor of Once-for-All's authors comes fitted; fit another kind to subnets of your own")

    def predict(self, codes: Codes) -> Prediction:
        """``(n, n_choices) int16 -> (n,)`` shares; the standard deviation is `RMSE` everywhere."""
        mean = np.empty(len(codes))
        for start in range(0, len(codes), ROWS):
            rows = slice(start, start + ROWS)
            mean[rows] = self._forward(encode(self.space, codes[rows]).astype(np.float32))
        return Prediction(mean, np.full(len(codes), RMSE))

    def _forward(self, x: Array) -> Array:
        """``(n, columns of encode) -> (n,)``."""
        *hidden, (weight, bias) = self._transposed
        for w, b in hidden:
            x = x @ w
            x += b
            np.maximum(x, 0, out=x)
        return np.asarray((x @ weight + bias)[:, 0])

    @cached_property
    def _transposed(self) -> tuple[tuple[Array, Array], ...]:
        """Layers as ``(in, out)``; the first takes the columns of `encode`, of which depths weigh nothing."""
        (weight, bias), *others = self.layers
        first = np.zeros((int(self.space.n_options.sum()), len(bias)), dtype=np.float32)
        column = 0
        for choice in self.space.choices:
            for position, option in enumerate(choice.options):
                known = _input(choice.name, position, option)
                if known is not None:
                    first[column] = weight[:, known]
                column += 1
        return ((first, bias), *((np.ascontiguousarray(w.T), b) for w, b in others))

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """What to store: the space and the layers."""
        arrays = {f"{kind}{i}": value for i, layer in enumerate(self.layers) for kind, value in zip(("weight", "bias"), layer, strict=True)}
        return {"space": self.space.id}, arrays

    @classmethod
    def of(cls, stored: StoredPredictor, space: SearchSpace) -> OfaAccuracy:
        """What `state` gave and a file kept; one of another space raises `PredictorError`."""
        stored.require(cls.kind, space=space.id)
        return cls(
            space,
            tuple(
                (
                    stored.array(f"weight{i}", shape=shape).astype(np.float32),
                    stored.array(f"bias{i}", shape=shape[:1]).astype(np.float32),
                )
                for i, shape in enumerate(SHAPES)
            ),
        )


def _input(choice: str, position: int, option: object) -> int | None:
    """The predictor's input for an option; None where it has none."""
    if choice == "resolution":
        return 120 + (int(str(option)) - 112) // 16
    stage, _, what = choice.partition(".")
    block, _, kind = what.partition(".")
    if kind not in ("kernel", "expand"):
        return None
    return {"kernel": 0, "expand": 60}[kind] + 3 * (4 * int(stage[1:]) + int(block[1:])) + position


def read_published(path: Path, *, resolutions: tuple[int, ...]) -> OfaAccuracy:
    """The published weights at ``path``: an ``.npz`` of ``0_weight``, ``0_bias``, ``2_weight`` … ``6_bias``, float32 of `SHAPES`.

    ``resolutions`` are those of the space to predict for. A file that is unreadable or holds anything else, and a resolution that the
    predictor was not fitted to, raise `PredictorError`.
    """
    unknown = sorted(set(resolutions) - set(OPTIONS.resolutions))
    if unknown or not resolutions:
        where = f"{unknown[0]} pixels" if unknown else "all of the preset's resolutions"
        known = ", ".join(map(str, OPTIONS.resolutions))
        raise PredictorError(f"{path}: was not fitted at {where}; set space.resolutions to some or all of [{known}]")
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as archive:  # numpy leaves a torn file open
            arrays = {name: archive[name] for name in archive.files}
    except (OSError, EOFError, ValueError, TypeError, AttributeError, zipfile.BadZipFile) as problem:
        raise PredictorError(f"{path}: not readable as npz: {' '.join(str(problem).split())[:120]}") from None
    wanted = {f"{2 * i}_{kind}": shape for i, (out, n) in enumerate(SHAPES) for kind, shape in (("weight", (out, n)), ("bias", (out,)))}
    if (found := {name: value.shape for name, value in arrays.items()}) != wanted:
        wrong = sorted(name for name in found.keys() | wanted.keys() if found.get(name) != wanted.get(name))
        raise PredictorError(
            f"{path}: not the accuracy predictor of Once-for-All's MobileNetV3: {len(wrong)} arrays are missing, unknown or of another "
            f"shape, first {', '.join(wrong[:3])}"
        )
    if not all(value.dtype == np.float32 and np.isfinite(value).all() for value in arrays.values()):
        raise PredictorError(f"{path}: its arrays must hold finite float32 numbers; get the file again")
    options = replace(OPTIONS, resolutions=resolutions)
    layers = tuple((arrays[f"{2 * i}_weight"], arrays[f"{2 * i}_bias"]) for i in range(len(SHAPES)))
    return OfaAccuracy(find_space(PRESET, options), layers)
