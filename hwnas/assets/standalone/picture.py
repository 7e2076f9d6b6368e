"""An image file as the input of a network, by the steps in preprocessing.json. Needs numpy; Pillow for anything but PNG."""

import json
import struct
import sys
import zlib
from pathlib import Path

import numpy as np

CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # samples a pixel, by the colour type of PNG


def load(path, steps):
    """The input for one image, float32, ``(1, C, H, W)`` or ``(1, H, W, C)`` as ``layout`` says."""
    pixels = _read(Path(path), steps["colour"], steps["size"]).astype(np.float32)
    x = (pixels / steps["scale"] - np.float32(steps["mean"])) / np.float32(steps["std"])
    x = x.astype(np.float32)[None]
    return x.transpose(0, 3, 1, 2) if steps["layout"] == "NCHW" else x


def show(logits, labels, top=5):
    """Print the most likely classes with their probabilities."""
    logits = np.asarray(logits, dtype=np.float64).ravel()
    share = np.exp(logits - logits.max())
    share /= share.sum()
    for index in np.argsort(-share, kind="stable")[:top]:
        print(f"{100 * share[index]:6.2f} %  {labels[index]}")


def main(run, folder):
    """The command line of the scripts beside this one: ``run(x)`` gives the logits."""
    if len(sys.argv) != 2:
        sys.exit(f"usage: python {sys.argv[0]} IMAGE")
    steps = json.loads((folder / "preprocessing.json").read_text())
    labels = (folder / "labels.txt").read_text().splitlines()
    try:
        x = load(sys.argv[1], steps)
    except (OSError, ValueError) as problem:
        sys.exit(f"error: {sys.argv[1]}: {problem}")
    show(run(x), labels)


def _read(path, colour, size):
    """Decoded, cropped to the largest centred square and resized, 8 bits a value, ``(size, size, C)``."""
    try:
        from PIL import Image, ImageOps
    except ImportError:
        return _resize(_square(_grey_or_rgb(_png(path.read_bytes()), colour)), size)
    image = ImageOps.exif_transpose(Image.open(path))
    if "A" in image.getbands() or "transparency" in image.info:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    image = image.convert(colour)
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    image = image.crop((left, top, left + side, top + side)).resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(image).reshape(size, size, -1)


def _png(data):
    """8-bit pixels of a PNG that is not interlaced, ``(H, W, 1..4)``."""
    if data[:8] != b"\x89PNG\r\n\x1a\n":
        raise ValueError("is no PNG file; install Pillow for other formats")
    at, packed, palette, alpha = 8, b"", None, b""
    while at + 8 <= len(data):
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        body = data[at + 8 : at + 8 + length]
        if kind == b"IHDR":
            width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", body)
        elif kind == b"PLTE":
            palette = np.frombuffer(body, np.uint8).reshape(-1, 3)
        elif kind == b"tRNS":
            alpha = body
        elif kind == b"IDAT":
            packed += body
        at += length + 12
    if depth != 8 or interlaced:
        raise ValueError("has not 8 bits a value, or is interlaced; install Pillow for such files")
    samples = CHANNELS[colour]
    lines = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(height, 1 + width * samples)
    pixels = _unfiltered(lines, samples).reshape(height, width, samples)
    if palette is None:
        return pixels
    opaque = np.full(len(palette), 255, np.uint8)
    opaque[: len(alpha)] = np.frombuffer(alpha, np.uint8)
    return np.concatenate([palette, opaque[:, None]], axis=1)[pixels[..., 0]]


def _unfiltered(lines, samples):
    """Lines of a PNG without their filters (PNG specification, section 9)."""
    above = np.zeros(lines.shape[1] - 1, np.int64)
    out = []
    for kind, *line in lines.tolist():
        now = np.array(line, np.int64)
        if kind == 2:
            now = now + above
        elif kind in (1, 3, 4):
            for i in range(len(now)):
                left = now[i - samples] if i >= samples else 0
                corner = above[i - samples] if i >= samples else 0
                now[i] = (now[i] + _predicted(kind, left, above[i], corner)) & 255
        above = now & 255
        out.append(above)
    return np.array(out, np.uint8)


def _predicted(kind, left, up, corner):
    if kind == 1:
        return left
    if kind == 3:
        return (left + up) // 2
    return min((left, up, corner), key=lambda near: abs(left + up - corner - near))


def _grey_or_rgb(pixels, colour):
    """Composited over white, grey by ITU-R 601-2 or RGB."""
    values = pixels.astype(np.float64)
    if pixels.shape[2] in (2, 4):
        alpha = values[..., -1:] / 255
        values = values[..., :-1] * alpha + 255 * (1 - alpha)
    if colour == "L" and values.shape[2] == 3:
        values = values @ np.array([[0.299], [0.587], [0.114]])
    if colour == "RGB" and values.shape[2] == 1:
        values = values.repeat(3, axis=2)
    return np.floor(values + 0.5)


def _square(values):
    height, width = values.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return values[top : top + side, left : left + side]


def _resize(values, size):
    """Bilinear with antialiasing: along the lines, then along the columns, rounded after each."""
    weights = _triangle(values.shape[0], size)
    across = np.clip(np.floor(np.einsum("ow,hwc->hoc", weights, values) + 0.5), 0, 255)
    return np.clip(np.floor(np.einsum("oh,hwc->owc", weights, across) + 0.5), 0, 255).astype(np.uint8)


def _triangle(before, after):
    """How much each value of a line counts for each of the new line, ``(after, before)``."""
    scale = before / after
    reach = max(scale, 1.0)
    centre = (np.arange(after) + 0.5) * scale
    weights = np.maximum(0.0, 1 - np.abs(np.arange(before)[None] + 0.5 - centre[:, None]) / reach)
    return weights / weights.sum(axis=1, keepdims=True)
