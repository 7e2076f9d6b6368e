"""Weights in 16 bits (IEEE 754 binary16)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwnas.core.errors import VerificationError


def as_half(name: str, value: NDArray[np.float32]) -> NDArray[np.float16]:
    """``value`` rounded to float16, little endian; one beyond its range (65,504) raises `VerificationError`, naming the tensor ``name``."""
    with np.errstate(over="ignore"):
        half = np.asarray(value).astype("<f2")
    if not np.isfinite(half).all():
        raise VerificationError(f"'{name}' holds {float(np.abs(value).max()):.3g}, more than float16 reaches; take fp32 or int8")
    return half
