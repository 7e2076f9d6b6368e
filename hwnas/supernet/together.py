"""Subnets recalibrated and run one after the other, where what several begin with is computed once.

What a part of a subnet makes of the images, in recalibration as well as afterwards, depends on itself and the parts before it alone. So
what came out of the parts that a subnet shares with the next one is kept, and the next one goes on from there, with the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from hwnas.core.errors import ConfigError
from hwnas.supernet.calibrate import Statistics, recalibrate, statistics_of

Batches = Callable[[], Iterable[Tensor]]
"""Normalised images, ``(N, C, R, R) float32`` a batch; called again, the same."""


@dataclass(frozen=True, slots=True)
class _Level:
    """What the first parts made of the images to recalibrate with and of those to run, and their statistics."""

    calibration: list[Tensor]
    images: list[Tensor]
    statistics: Statistics


class Together:
    """Recalibrates and runs subnets of one supernet and one resolution; order them by the names of their parts."""

    def __init__(self, calibration: Batches, images: Batches) -> None:
        self._calibration, self._images = calibration, images
        self._names: Sequence[str] = ()
        self._levels: dict[int, _Level] = {}

    def run(self, names: Sequence[str], parts: Sequence[nn.Module], *, keep: int) -> tuple[Iterator[Tensor], Statistics]:
        """The outputs for every batch of images, and the statistics of the whole chain; subnets with names in common share weights.

        ``keep``: what came out of so many parts is kept for the next subnet (0 = no more than is kept already).
        """
        shared = common(self._names, names)
        self._levels = {depth: level for depth, level in self._levels.items() if depth <= shared}
        self._names = names
        start = max(self._levels, default=0)
        below = self._levels.get(start)
        calibration, images = (below.calibration, below.images) if below else (self._calibration(), self._images())
        statistics = below.statistics if below else ()
        for first, last in pairwise(sorted({start, max(start, min(keep, len(parts) - 1)), len(parts)})):
            section = nn.Sequential(*parts[first:last])
            kept: list[Tensor] | None = None if last == len(parts) else []
            recalibrate(section, calibration, outputs=kept)
            statistics += statistics_of(section)
            if kept is None:
                return _outputs(section, images), statistics
            calibration, images = kept, list(_outputs(section, images))
            self._levels[last] = _Level(calibration, images, statistics)
        raise ConfigError("a subnet with no parts cannot be run")


def common(one: Sequence[str], other: Sequence[str]) -> int:
    """How many names both begin with."""
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _outputs(module: nn.Module, batches: Iterable[Tensor]) -> Iterator[Tensor]:
    with torch.inference_mode():
        for batch in batches:
            yield module(batch)
