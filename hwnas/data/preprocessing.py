"""What has to be done to an image before a network sees it: the whole of it, in a form that travels with exported files.

From a file to the input of the network, in this order:

1. decode, apply EXIF orientation, bring into ``colour`` (``L`` grayscale or ``RGB``); transparency is composited over white;
2. crop the largest centred square: side ``min(W, H)``, left ``(W - side) // 2``, top ``(H - side) // 2``;
3. resize it to ``size`` x ``size``, bilinear with antialiasing (in Pillow ``resize((size, size), Resampling.BILINEAR)``), 8 bits a value;
4. ``x / scale`` (so that values lie in ``value_range``), then ``(x - mean) / std`` by channel, float32, in ``layout``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict

from hwnas.core.errors import DataError
from hwnas.core.serial import STRICT

MIN_STD = 1e-3  # less than a third of a grey level: the channel is the same everywhere


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """The steps above as values; `plain` turns it into JSON and `parse` back (`hwnas.core.serial`)."""

    size: int
    colour: Literal["L", "RGB"]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    layout: Literal["NCHW", "NHWC"] = "NCHW"
    crop: Literal["center-square"] = "center-square"
    resize: Literal["bilinear-antialias"] = "bilinear-antialias"
    alpha: Literal["over-white"] = "over-white"
    scale: float = 255.0
    value_range: tuple[float, float] = (0.0, 1.0)

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    def __post_init__(self) -> None:
        if self.size < 1:
            raise DataError(f"preprocessing: size must be at least 1, not {self.size}")
        if len(self.mean) != self.channels or len(self.std) != self.channels:
            raise DataError(f"preprocessing: {self.colour} needs {self.channels} value(s) of mean and std, not {self.mean} and {self.std}")
        if not all(np.isfinite(self.mean)) or not all(np.isfinite(s) and s > 0 for s in self.std):
            raise DataError(f"preprocessing: mean {self.mean} and std {self.std} must be finite, std above 0")
        if not (np.isfinite(self.scale) and self.scale > 0):
            raise DataError(f"preprocessing: scale must be above 0, not {self.scale}")

    @property
    def channels(self) -> int:
        """1 for grayscale, 3 for RGB."""
        return 1 if self.colour == "L" else 3

    def normalise(self, pixels: NDArray[Any]) -> NDArray[np.float32]:
        """Step 4: ``uint8 -> float32`` of the same shape, ``(…, C, H, W)`` for layout NCHW and ``(…, H, W, C)`` for NHWC."""
        axis = -3 if self.layout == "NCHW" else -1
        if pixels.dtype != np.uint8 or pixels.ndim < 3 or pixels.shape[axis] != self.channels:
            raise DataError(
                f"pixels of shape {pixels.shape} and type {pixels.dtype} are not uint8 {self.layout} with {self.channels} channel(s)"
            )
        shape = (-1, 1, 1) if self.layout == "NCHW" else (-1,)
        std = np.array(self.std)
        gain = (1.0 / (self.scale * std)).astype(np.float32).reshape(shape)
        offset = (np.array(self.mean) / std).astype(np.float32).reshape(shape)
        out = pixels.astype(np.float32)
        out *= gain
        out -= offset
        return out


def mean_and_std(levels: NDArray[np.float64], *, where: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of every channel on the scale of 0 to 1, from how often each value occurs, ``(C, 256)``.

    Rounded to six digits, so that they do not depend on the order of a sum. A channel that is the same everywhere gets 1 as its standard
    deviation; where all are, there is nothing to learn from and `DataError` is raised.
    """
    values = np.arange(256) / 255.0
    weights = levels / levels.sum(axis=1, keepdims=True)
    mean = weights @ values
    std = np.sqrt(np.maximum(weights @ values**2 - mean**2, 0.0))
    flat = std < MIN_STD
    if flat.all():
        raise DataError(f"{where}: all training images show one and the same flat colour; there is nothing to learn from")
    std = np.where(flat, 1.0, std)
    return tuple(round(float(m), 6) for m in mean), tuple(round(float(s), 6) for s in std)
