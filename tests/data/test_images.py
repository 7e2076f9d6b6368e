"""One image to pixels: orientation, colour, crop and resizing."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from hwnas.core.errors import UsageError
from hwnas.data.images import from_array, read_image, square, square_box, strict_decoding


def read(path: Path) -> Image.Image:
    with strict_decoding():
        return read_image(path, max_pixels=10**6)


@pytest.mark.parametrize(("orientation", "turn"), [(1, 0), (3, 2), (6, 3), (8, 1)])
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int, turn: int) -> None:
    stored = np.zeros((16, 32), dtype=np.uint8)
    stored[:8, :16] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(stored).save(tmp_path / "turned.jpg", exif=exif, quality=100)
    shown = np.asarray(read(tmp_path / "turned.jpg"))
    assert np.array_equal(shown > 127, np.rot90(stored, turn) > 127)


def test_damaged_exif_is_no_reason_to_refuse(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("L", (8, 4)).save(tmp_path / "odd.jpg", exif=exif.tobytes()[:-12])
    assert read(tmp_path / "odd.jpg").mode == "L"


@pytest.mark.parametrize(
    ("colour", "mode", "expected"),
    [
        ((10, 20, 30, 0), "RGBA", (255, 255, 255)),
        ((10, 20, 30, 255), "RGBA", (10, 20, 30)),
        ((0, 0, 0, 51), "RGBA", (204, 204, 204)),
        ((0, 51), "LA", 204),
        (1, "1", 255),
    ],
)
def test_colours(tmp_path: Path, colour: Any, mode: str, expected: Any) -> None:
    Image.new(mode, (3, 3), colour).save(tmp_path / "x.png")
    assert read(tmp_path / "x.png").getpixel((1, 1)) == expected


def test_palettes_become_rgb_and_their_transparent_entry_white(tmp_path: Path) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([200, 0, 0, 0, 100, 0])
    image.putpixel((1, 0), 1)
    image.save(tmp_path / "opaque.png")
    image.save(tmp_path / "clear.png", transparency=1)
    assert [read(tmp_path / "opaque.png").getpixel((x, 0)) for x in (0, 1)] == [(200, 0, 0), (0, 100, 0)]
    assert [read(tmp_path / "clear.png").getpixel((x, 0)) for x in (0, 1)] == [(200, 0, 0), (255, 255, 255)]


def test_transparent_grey_of_a_png_becomes_white(tmp_path: Path) -> None:
    Image.new("L", (2, 2), 7).save(tmp_path / "grey.png", transparency=7)
    assert read(tmp_path / "grey.png").mode == "L"
    assert read(tmp_path / "grey.png").getpixel((0, 0)) == 255


def test_the_first_view_of_a_camera_file_is_read(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8), "white").save(tmp_path / "two.jpg", "MPO", save_all=True, append_images=[Image.new("RGB", (8, 8))])
    with Image.open(tmp_path / "two.jpg") as stored:
        assert (stored.format, getattr(stored, "n_frames", 1)) == ("MPO", 2)
    assert read(tmp_path / "two.jpg").getpixel((4, 4)) == (255, 255, 255)


def test_cmyk_becomes_rgb(tmp_path: Path) -> None:
    Image.new("CMYK", (8, 8), (0, 0, 0, 0)).save(tmp_path / "print.jpg")
    assert read(tmp_path / "print.jpg").getpixel((4, 4)) == (255, 255, 255)


@given(st.integers(1, 60), st.integers(1, 60))
def test_the_box_is_the_largest_centred_square(width: int, height: int) -> None:
    left, top, right, bottom = square_box(width, height)
    assert right - left == bottom - top == min(width, height)
    assert 0 <= (width - right) - left <= 1
    assert 0 <= (height - bottom) - top <= 1


def test_nothing_outside_the_square_shows() -> None:
    pixels = np.full((10, 30, 1), 255, dtype=np.uint8)
    pixels[:, 10:20] = 100
    assert (square(from_array(pixels), resolution=4) == 100).all()
    assert (square(from_array(pixels.transpose(1, 0, 2)), resolution=23) == 100).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_its_own_resolution_leaves_pixels_alone(channels: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 9, channels), dtype=np.uint8)
    assert np.array_equal(square(from_array(pixels), resolution=9), pixels.transpose(2, 0, 1))


def test_shrinking_averages_instead_of_skipping_pixels() -> None:
    stripes = np.zeros((64, 64, 1), dtype=np.uint8)
    stripes[:, ::2] = 200
    assert np.abs(square(from_array(stripes), resolution=8).astype(int)[:, :, 1:-1] - 100).max() <= 3


def test_without_pillow_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    real = builtins.__import__

    def no_pillow(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.split(".")[0] == "PIL":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", no_pillow)
    with pytest.raises(UsageError, match=r"hwnas\[train\]"), strict_decoding():
        read_image(tmp_path / "x.png", max_pixels=1)
