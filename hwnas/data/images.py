"""One image file or array to pixels: decoding, orientation, colour, centre crop, resizing. The only module that needs Pillow.

A file is read as JPEG or PNG by its content, whatever its name says. EXIF orientation is applied. What comes out is 8-bit grayscale
(``L``) or ``RGB``: palettes become RGB, CMYK becomes RGB, one-bit images become grayscale, and transparency is composited over white, as a
page would show it. 16-bit and other modes are refused, because scaling them is a decision for whoever knows what the values mean.
"""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hwnas.core.errors import DataError, UsageError

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

FORMATS = ("JPEG", "PNG")  # the JPEG of a camera that stores a second view behind the first (MPO) is read as its first
SUFFIXES = (".jpg", ".jpeg", ".png")
MODES = {"L": "L", "1": "L", "LA": "L", "La": "L", "RGB": "RGB", "RGBA": "RGB", "RGBa": "RGB", "P": "RGB", "PA": "RGB", "CMYK": "RGB"}
Pixels8 = NDArray[np.uint8]


def pillow_version() -> str:
    """Pillow's version, which decides pixels to the last bit; `UsageError` where it is not installed."""
    try:
        import PIL
    except ImportError:
        raise UsageError("reading or resizing images needs Pillow; install it with: pip install 'hwnas[train]'") from None
    return PIL.__version__


@contextmanager
def strict_decoding() -> Iterator[None]:
    """Inside, Pillow's warning of a decompression bomb is an error. Enter it once around all threads: filters are the process's."""
    try:
        from PIL import Image
    except ImportError:  # arrays at their own size need no decoding; whatever does need it says so
        yield
        return

    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        # an image whose EXIF block is damaged is shown as stored
        warnings.filterwarnings("ignore", message=".*corrupt EXIF.*")
        yield


def read_image(path: Path, *, max_pixels: int) -> Picture:
    """The upright image in ``path``, mode ``L`` or ``RGB``; anything that cannot be shown whole raises `DataError` naming the file."""
    pillow_version()
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(path, formats=FORMATS) as opened:
            if opened.width * opened.height > max_pixels:
                raise DataError(f"{path}: {opened.width}x{opened.height} is more than {max_pixels:,} pixels; make it smaller")
            if opened.mode not in MODES:
                raise DataError(f"{path}: pixel format '{opened.mode}' is not read; store 8-bit grayscale or RGB")
            opened.load()
            return _flat(ImageOps.exif_transpose(opened))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise DataError(f"{path}: so many pixels that it may be a decompression bomb; make it smaller") from None
    except UnidentifiedImageError:
        raise DataError(f"{path}: not a JPEG or PNG image; replace or remove it") from None
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, zlib.error, MemoryError) as problem:
        raise DataError(f"{path}: corrupt or truncated image ({_reason(problem)}); replace or remove it") from None


def _reason(problem: BaseException) -> str:
    if isinstance(problem, OSError) and problem.strerror:
        return problem.strerror
    return " ".join(str(problem).split()) or type(problem).__name__


def _flat(image: Picture) -> Picture:
    """``L`` or ``RGB``; transparency over white."""
    from PIL import Image

    target = MODES[image.mode]
    if image.mode in ("LA", "La", "RGBA", "RGBa", "PA") or "transparency" in image.info:
        seen = image.convert("RGBA")
        page = Image.new("RGBA", seen.size, (255, 255, 255, 255))
        return Image.alpha_composite(page, seen).convert(target)
    return image if image.mode == target else image.convert(target)


def from_array(pixels: Pixels8) -> Picture:
    """``(H, W, C) uint8`` with C of 1 or 3 as an image."""
    pillow_version()
    from PIL import Image

    return Image.fromarray(np.ascontiguousarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels))


def square_box(width: int, height: int) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of the largest centred square; an odd pixel more stays right or below."""
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    return left, top, left + side, top + side


def square(image: Picture, *, resolution: int) -> Pixels8:
    """The centre of ``image`` at ``resolution``: cropped to a square, resized with antialiased bilinear, ``(C, R, R) uint8``."""
    from PIL import Image

    box = square_box(image.width, image.height)
    cropped = image if box == (0, 0, image.width, image.height) else image.crop(box)
    # cropped first and resized then: with resize(box=...) the filter would reach pixels outside the square
    sized = cropped.resize((resolution, resolution), Image.Resampling.BILINEAR)
    pixels = np.asarray(sized, dtype=np.uint8)
    return np.ascontiguousarray(pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1))
