"""How exported files answer beside the subnet that they are of, and what they may differ by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from hwnas.core.errors import VerificationError
from hwnas.core.result import Artifact
from hwnas.core.serial import plain
from hwnas.data.collection import Labels
from hwnas.export.exporter import EIGHT_BITS, Exporter, Images
from hwnas.export.verify import PARITY_LIMITS, ParityLimit, parity, require_parity
from hwnas.pipeline.filespec import FileSpec
from hwnas.recipe import Int8Limits


def answers_of(module: nn.Module, images: Images) -> np.ndarray[Any, Any]:
    """Logits of the subnet in torch, ``(n, K)``."""
    with torch.inference_mode():
        answers: np.ndarray[Any, Any] = module(torch.from_numpy(images)).numpy()
    return answers


def is_enough(
    exporter: Exporter, limits: Int8Limits, images: Images, labels: Labels, reference: np.ndarray[Any, Any], artifact: Artifact
) -> bool:
    """Whether an 8-bit file costs no more than its limits allow, against ``reference``'s logits."""
    answers = exporter.run(artifact, images)[0]
    agreement = float((np.argmax(answers, axis=1) == np.argmax(reference, axis=1)).mean())
    return _top1(reference, labels) - _top1(answers, labels) <= limits.max_accuracy_drop and agreement >= limits.min_top1_agreement


def compared(
    module: nn.Module, exporter: Exporter, artifacts: Mapping[str, Artifact], images: Images, labels: Labels, wanted: FileSpec
) -> dict[str, Any]:
    """How the files answer ``images (n, C, H, W)``, beside the subnet in torch; raises `VerificationError` as `built` says."""
    reference = answers_of(module, images)
    outputs = exporter.run(artifacts["main"], images)[0]
    figures = parity(reference, outputs, limit=_limit(wanted.precision, wanted.limits))
    facts: dict[str, Any] = {
        "parity": plain(figures),
        "accuracy_val": _top1(outputs, labels),
        "accuracy_val_torch": _top1(reference, labels),
    }
    what = f"{wanted.runtime}: subnet {artifacts['main'].arch_id}"
    if wanted.precision in EIGHT_BITS and wanted.limits is not None:
        drop = facts["accuracy_val_torch"] - facts["accuracy_val"]
        require_int8(wanted.limits, drop=drop, agreement=figures.top1_agreement, what=what, precision=wanted.precision)
    else:
        require_parity(figures, what=what if wanted.precision == "fp32" else f"{what} in {wanted.precision}")
    if "int8" in artifacts:
        quantised = exporter.run(artifacts["int8"], images)[0]
        beside = parity(outputs, quantised, limit=_limit("int8", wanted.limits))
        facts["int8"] = {"parity": plain(beside), "accuracy_val": _top1(quantised, labels)}
    return facts


def _limit(precision: str, limits: Int8Limits | None) -> ParityLimit:
    """What a file of ``precision`` is held to: 8 bits to the agreement that the recipe sets."""
    limit = PARITY_LIMITS[precision]
    return limit if limits is None or precision not in EIGHT_BITS else replace(limit, top1=limits.min_top1_agreement)


def require_int8(limits: Int8Limits, *, drop: float, agreement: float, what: str, precision: str = "int8") -> None:
    """Raise `VerificationError`, naming ``what``, where an 8-bit file costs more than its limits allow.

    ``drop`` of accuracy and ``agreement`` of top-1 are shares, both against the subnet in torch on the validation part.
    """
    if drop > limits.max_accuracy_drop or agreement < limits.min_top1_agreement:
        raise VerificationError(
            f"{what} in {precision}: accuracy drops by {100 * drop:.1f} points (at most {100 * limits.max_accuracy_drop:.1f} allowed), "
            f"top-1 agrees on {100 * agreement:.1f} % of images (at least {100 * limits.min_top1_agreement:.1f} needed); "
            "take fp32 or change [int8] of the recipe"
        )


def _top1(logits: np.ndarray[Any, Any], labels: np.ndarray[Any, Any]) -> float:
    return float((np.argmax(logits, axis=1) == labels).mean())
