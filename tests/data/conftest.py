from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

Make = Callable[..., Path]


def picture(seed: int, *, size: tuple[int, int] = (12, 10), mode: str = "RGB") -> Image.Image:
    """An image of noise, different for every seed."""
    width, height = size
    channels = {"L": 1, "RGB": 3}[mode]
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)
    return Image.fromarray(pixels[:, :, 0] if channels == 1 else pixels)


@pytest.fixture
def photos(tmp_path: Path) -> Make:
    """Write ``photos/<class>/<n>.<suffix>`` of noise and return ``photos``."""

    def make(
        counts: dict[str, int] | None = None, *, mode: str = "RGB", suffix: str = ".png", base: str = "photos", first: int = 0
    ) -> Path:
        root = tmp_path / base
        for position, (name, count) in enumerate((counts or {"cat": 8, "dog": 8}).items()):
            (root / name).mkdir(parents=True)
            for number in range(count):
                picture(first + 1000 * position + number, mode=mode).save(root / name / f"{number:03}{suffix}")
        return root

    return make
