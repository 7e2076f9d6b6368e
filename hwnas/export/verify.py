"""What must hold before an exported file is trusted: it answers like its source, and it is accurate by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict

from hwnas.core.errors import DataError, VerificationError
from hwnas.core.result import Artifact
from hwnas.core.serial import STRICT
from hwnas.export.exporter import Exporter, Images

TOLERANCE = 1e-4


@dataclass(frozen=True, slots=True)
class ParityLimit:
    """What a file may be off: logits by ``tolerance`` of the largest absolute one (or of 1), the best class on all but ``1 - top1``.

    Where ``tolerance`` is None, logits may be off by anything that leaves the best class.
    """

    tolerance: float | None = TOLERANCE
    top1: float = 0.0


PARITY_LIMITS: Mapping[str, ParityLimit] = MappingProxyType(
    {
        "fp32": ParityLimit(),
        "fp16": ParityLimit(2e-2, 0.995),
        "bf16": ParityLimit(8 * 2e-2, 0.9),
        "int8": ParityLimit(None),
        "int8_dynamic": ParityLimit(None),
    }
)
"""By precision. bf16 has three bits less than fp16; files of 8 bits are held to an agreement and an accuracy that recipes set."""


@dataclass(frozen=True, slots=True)
class Parity:
    """How far a file's logits are from its source's, over ``samples`` inputs.

    ``limit`` is the largest ``max_abs`` allowed (None: any), ``top1_limit`` the smallest ``top1_agreement``. ``psnr_db`` is relative to
    the largest absolute reference, None when nothing differs.
    """

    max_abs: float
    limit: float | None
    psnr_db: float | None
    top1_agreement: float
    samples: int
    top1_limit: float = 0.0

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    @property
    def within_limit(self) -> bool:
        """Whether no logit is further off than allowed, and the best class is the same often enough."""
        return (self.limit is None or self.max_abs <= self.limit) and self.top1_agreement >= self.top1_limit


def parity(reference: NDArray[np.float32], outputs: NDArray[np.float32], *, limit: ParityLimit = PARITY_LIMITS["fp32"]) -> Parity:
    """Compare ``outputs (n, K)`` with ``reference (n, K)``; the limit is ``limit.tolerance * max(1, largest absolute reference)``.

    One image may always be classified otherwise where ``limit.top1`` allows for some: of 100 images none is half a per cent.

    Different shapes, no samples, or a NaN or infinity on either side raise `VerificationError`.
    """
    if reference.shape != outputs.shape or reference.size == 0:
        raise VerificationError(f"outputs of shape {outputs.shape} cannot be compared with a reference of shape {reference.shape}")
    if not (np.isfinite(reference).all() and np.isfinite(outputs).all()):
        raise VerificationError("the outputs hold NaN or infinity")
    n = len(reference)
    wanted, got = (array.reshape(n, -1).astype(np.float64) for array in (reference, outputs))
    peak = float(np.abs(wanted).max())
    rms = float(np.sqrt(np.mean((wanted - got) ** 2)))
    return Parity(
        max_abs=float(np.abs(wanted - got).max()),
        limit=None if limit.tolerance is None else limit.tolerance * max(1.0, peak),
        psnr_db=float(20 * np.log10(peak / rms)) if rms > 0 and peak > 0 else None,
        top1_agreement=float(np.mean(wanted.argmax(1) == got.argmax(1))),
        samples=n,
        top1_limit=max(0.0, min(limit.top1, 1 - 1 / n)),
    )


def require_parity(figures: Parity, *, what: str) -> None:
    """Raise `VerificationError`, naming ``what``, when the figures are over their limit."""
    if not figures.within_limit:
        raise VerificationError(
            f"{what}: outputs differ from the network by {figures.max_abs:.3g}{_over(figures)};"
            f" top-1 agreement {figures.top1_agreement:.1%} over {figures.samples} images{_under(figures)}"
        )


def _over(figures: Parity) -> str:
    limit = figures.limit
    return f", more than the {limit:.3g} allowed" if limit is not None and figures.max_abs > limit else ""


def _under(figures: Parity) -> str:
    return f", less than the {figures.top1_limit:.1%} needed" if figures.top1_agreement < figures.top1_limit else ""


def accuracy(exporter: Exporter, artifact: Artifact, images: Images, labels: NDArray[np.integer[Any]]) -> float:
    """Share of ``images (n, C, H, W)`` that the file itself classifies as ``labels (n,)`` say."""
    if len(images) != len(labels):
        raise DataError(f"{len(images)} images and {len(labels)} labels do not belong together")
    logits = exporter.run(artifact, images)[0]
    return float(np.mean(logits.reshape(len(images), -1).argmax(1) == labels))
