"""Batch norm statistics of a subnet: recomputed on training images, because those of the supernet are of no subnet in particular.

While images pass, every batch norm normalises by the statistics of the batch (biased variance); kept are the means over all images of the
batches' means and variances (Yu & Huang 2019, arXiv 1903.05134; in these numbers as Once-for-All does it, arXiv 1908.09791).
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from hwnas.core.errors import DataError

Statistics = tuple[tuple[Tensor, Tensor, Tensor], ...]
"""Mean, variance and number of batches of every batch norm of a module, in its order."""


def recalibrate(module: nn.Module, batches: Iterable[Tensor], *, outputs: list[Tensor] | None = None) -> None:
    """Set the running statistics of every ``nn.BatchNorm2d`` from ``batches`` of normalised images, each ``(N, C, R, R) float32``.

    Afterwards ``num_batches_tracked`` is the number of batches, which is how an exporter knows, and the module is in evaluation mode.
    ``outputs`` takes what the module made of each batch: recalibrating what follows it with those is recalibrating both as one.
    """
    probes = [_Probe(norm) for norm in _norms(module)]
    images = count = 0
    module.train()
    try:
        with torch.no_grad():
            for batch in batches:
                made = module(batch)
                if outputs is not None:
                    outputs.append(made)
                for probe in probes:
                    probe.add(len(batch))
                images += len(batch)
                count += 1
    finally:
        for probe in probes:
            probe.remove()
        module.eval()
    if not images:
        raise DataError("batch norm cannot be recalibrated without images")
    for probe in probes:
        probe.store(images, count)


def statistics_of(module: nn.Module) -> Statistics:
    """What `recalibrate` found out."""
    return tuple((n.running_mean.clone(), n.running_var.clone(), n.num_batches_tracked.clone()) for n in _norms(module))  # type: ignore[union-attr]


def restore(module: nn.Module, statistics: Statistics) -> None:
    """Give ``module`` statistics that `recalibrate` found for one like it."""
    for norm, (mean, var, count) in zip(_norms(module), statistics, strict=True):
        norm.load_state_dict({**norm.state_dict(), "running_mean": mean, "running_var": var, "num_batches_tracked": count})


def _norms(module: nn.Module) -> list[nn.BatchNorm2d]:
    return [each for each in module.modules() if isinstance(each, nn.BatchNorm2d)]


class _Probe:
    """Sums the statistics of one batch norm over batches. With momentum 1 its running statistics are those of the last batch."""

    def __init__(self, norm: nn.BatchNorm2d) -> None:
        self.norm, self.momentum, self.values = norm, norm.momentum, 0
        self.mean = torch.zeros_like(norm.weight, requires_grad=False)
        self.var = torch.zeros_like(norm.weight, requires_grad=False)
        self.hook = norm.register_forward_pre_hook(self._count)
        norm.momentum = 1.0

    def _count(self, _module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self.values = inputs[0].numel() // self.norm.num_features

    def add(self, images: int) -> None:
        """Add the last batch, of ``images`` images."""
        mean, var = self.norm.running_mean, self.norm.running_var
        if mean is None or var is None:
            raise TypeError("a batch norm without running statistics cannot be recalibrated")
        self.mean += mean * images
        # torch normalises by the biased variance but keeps the unbiased one
        self.var += var * (images * (self.values - 1) / self.values)

    def remove(self) -> None:
        """Leave the batch norm as it was found."""
        self.hook.remove()
        self.norm.momentum = self.momentum

    def store(self, images: int, count: int) -> None:
        """Make the means over ``images`` images the running statistics."""
        self.norm.load_state_dict(
            {
                **self.norm.state_dict(),
                "running_mean": self.mean / images,
                "running_var": self.var / images,
                "num_batches_tracked": torch.tensor(count),
            }
        )
