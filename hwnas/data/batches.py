"""Batches and augmentation in numpy: stateless, so that training can go on at any epoch with the same batches.

Flip and shift (pad and crop) are the usual augmentation of small images, e.g. He et al. 2016, doi:10.1109/CVPR.2016.90, section 4.2.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from hwnas.core.errors import DataError
from hwnas.data.images import Pixels8


def batches(n: int, *, batch: int, seed: int, epoch: int, drop_last: bool = False) -> Iterator[NDArray[np.int64]]:
    """Positions of the images of each batch of one epoch, ``(<= batch,) int64``: a permutation of ``range(n)`` in pieces.

    Depends on the arguments alone. ``drop_last`` leaves out the last piece where it is not full (batch norm dislikes small ones).
    """
    if n < 0 or batch < 1 or seed < 0 or epoch < 0:
        raise DataError(f"batches need n >= 0, batch >= 1, seed >= 0 and epoch >= 0, not {n}, {batch}, {seed} and {epoch}")
    if drop_last and n < batch:
        raise DataError(f"{n} images do not fill one batch of {batch}; use a smaller batch")
    order = np.random.default_rng([seed, epoch]).permutation(n)
    stop = n - n % batch if drop_last else n
    return (order[start : start + batch] for start in range(0, stop, batch))


def augment(batch: Pixels8, rng: np.random.Generator, *, flip: bool = True, pad: int | None = None) -> Pixels8:
    """Each image flipped left to right with probability 1/2 and shifted by up to ``pad`` pixels in each direction.

    ``(N, C, H, W) uint8`` to a new array of the same shape. ``pad`` is an eighth of the height unless given; what a shift uncovers is 0.
    Turn ``flip`` off where left and right differ in meaning (digits, text).
    """
    if batch.ndim != 4 or batch.dtype != np.uint8:
        raise DataError(f"augment takes (N, C, H, W) uint8, not {batch.shape} {batch.dtype}")
    n, _, height, width = batch.shape
    reach = height // 8 if pad is None else pad
    if reach < 0:
        raise DataError(f"pad must not be negative, not {reach}")
    # drawn always, so that one option does not change what the other draws
    mirrored = rng.random(n) < 0.5
    rows, columns = rng.integers(0, 2 * reach + 1, size=(2, n))
    padded = np.pad(batch, ((0, 0), (0, 0), (reach, reach), (reach, reach)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (height, width), axis=(2, 3))
    out: Pixels8 = windows[np.arange(n), :, rows, columns]
    if flip:
        out[mirrored] = out[mirrored, :, :, ::-1]
    return out
