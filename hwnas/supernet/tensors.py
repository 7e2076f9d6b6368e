"""Batches of images as tensors, and how many threads torch takes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hwnas.core.errors import ConfigError


def channels_last(images: NDArray[np.float32]) -> Tensor:
    """``(N, C, H, W) float32`` as a tensor in channels-last memory format, in which torch's convolutions on a CPU are fastest.

    With one channel the two formats differ in nothing but the strides, from which every following layer takes its own format.
    """
    return torch.empty(images.shape, memory_format=torch.channels_last).copy_(torch.from_numpy(images))


@contextmanager
def threads(n: int) -> Iterator[None]:
    """Inside, torch computes with ``n`` threads. The number is part of what decides the last bits of a sum."""
    if n < 1:
        raise ConfigError(f"torch needs at least 1 thread, not {n}")
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)
