"""Block tables that others published, as tables of this format: rows of OFA and ProxylessNAS become blocks of our spaces.

A row names an operation by its shapes, ``input`` and ``output`` as ``HxWxC``: ``Conv`` (the stem), ``expanded_conv`` (an inverted
residual), ``Conv_1`` (final expand), then ``AvgPool2D``, ``Conv_2`` and ``Logits``, which are our head together, or ``Logits`` alone with
the pooling in it. ``expand`` is a ratio (ProxylessNAS, arXiv 1812.00332) or the number of channels after expansion (OFA, arXiv 1908.09791).
Rows that say whether there is an h-swish are of MobileNetV3, whose stem and final expand have one; others are of ProxylessNAS and ReLU6.

A block that was measured at several input sizes of the network is pooled (counts add up, mean and variance are those of all runs together),
and each of its measurements is kept beside that under the key of `hwnas.latency.table.key_at`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hwnas.core.arch import Block
from hwnas.core.device import Published
from hwnas.core.errors import TableError
from hwnas.latency.table import key_at
from hwnas.space.mobilenet_v3 import BlockSpec, halved, make_divisible, mbconv

OPS = ("Conv", "Conv_1", "Conv_2", "AvgPool2D", "Logits", "expanded_conv")
FLAGS = ("idskip", "se", "hs")
NUMBERS = ("expand", "kernel", "stride")


@dataclass(frozen=True, slots=True)
class Row:
    """One measured operation. ``where`` names file and place; shapes are ``(H, W, C)``; ``values`` are those of `NUMBERS` and `FLAGS`."""

    where: str
    resolution: int
    op: str
    source: tuple[int, int, int]
    target: tuple[int, int, int]
    values: dict[str, int]
    published: Published


@dataclass(frozen=True, slots=True)
class Imported:
    """Blocks by key, and rows that are of no block here, as ``where: why``."""

    entries: dict[str, Published]
    unused: tuple[str, ...]
    resolutions: tuple[int, ...]


def shape(text: str, *, where: str) -> tuple[int, int, int]:
    """``HxWxC``, or ``C`` alone for one pixel."""
    words = text.split("x")
    if not all(word.isascii() and word.isdigit() and int(word) > 0 for word in words) or len(words) not in (1, 3):
        raise TableError(f"{where}: {text!r} is no shape; write it as HxWxC, like 112x112x16")
    sizes = [int(word) for word in words]
    return (1, 1, sizes[0]) if len(sizes) == 1 else (sizes[0], sizes[1], sizes[2])


def blocks_from(rows: Sequence[Row]) -> Imported:
    """What ``rows`` measured, by the keys of our blocks.

    Two rows of the same operation at the same resolution, shapes that do not fit each other, and a head of which a part is missing raise
    `TableError` that names file and row.
    """
    _require_once(rows)
    found: dict[str, dict[int, Published]] = {}
    unused = []
    v3 = any("hs" in row.values for row in rows)
    for row in rows:
        if row.op in ("AvgPool2D", "Conv_2") or (row.op == "Logits" and row.source[0] == 1):
            continue
        block = _block(row, act="hswish" if v3 else "relu6")
        if block is None:
            unused.append(f"{row.where}: no residual although input and output are alike")
        else:
            found.setdefault(block.key, {})[row.resolution] = row.published
    for resolution, block, published in _heads(rows):
        found.setdefault(block.key, {})[resolution] = published
    entries = {key: _pooled(list(sizes.values())) for key, sizes in found.items()}
    for key, sizes in found.items():
        entries |= {key_at(key, size): published for size, published in sizes.items() if len(sizes) > 1}
    return Imported(entries, tuple(unused), tuple(sorted({row.resolution for row in rows})))


def _require_once(rows: Iterable[Row]) -> None:
    seen: dict[tuple[object, ...], str] = {}
    for row in rows:
        what = (row.resolution, row.op, row.source, row.target, tuple(sorted(row.values.items())))
        if what in seen:
            raise TableError(f"{row.where}: the same block as {seen[what]} is measured a second time; leave one of them out")
        seen[what] = row.where


def _block(row: Row, *, act: str) -> Block | None:
    """The block of a row; None where it is none of ours."""
    (height, width, channels), (out_height, _, out) = row.source, row.target
    given = (channels, height, width)
    if row.op == "Logits":
        return Block("head", given, (("classes", out),))
    if row.op == "Conv_1":
        _require_size(row, 1)
        return Block("final_expand", given, (("out", out), ("act", act)))
    stride = row.values.get("stride", round(height / out_height))
    _require_size(row, stride)
    if row.op == "Conv":
        return Block("stem", given, (("out", out), ("k", 3), ("s", stride), ("act", act)))
    missing = [name for name in (*NUMBERS, "idskip") if name not in row.values]
    if missing:
        raise TableError(f"{row.where}: {missing[0]} of an expanded_conv is missing")
    if height != width:
        raise TableError(f"{row.where}: input {height}x{width} is not square, as those of our blocks are")
    # no number of channels after expansion is below that before it, and no ratio is as large
    mid = row.values["expand"] if row.values["expand"] >= channels else make_divisible(channels * row.values["expand"])
    hswish = row.values.get("hs")
    own = act if hswish is None else ("hswish" if hswish else "relu")
    spec = BlockSpec(0, 0, channels, out, mid, row.values["kernel"], stride, own, bool(row.values.get("se", 0)))
    if row.values["idskip"] and not spec.residual:
        raise TableError(f"{row.where}: idskip 1, but input and output cannot be added; is a shape or the stride wrong?")
    return mbconv(spec, height) if bool(row.values["idskip"]) == spec.residual else None


def _require_size(row: Row, stride: int) -> None:
    fits = stride > 0 and all(halved(size, stride) == out for size, out in zip(row.source[:2], row.target[:2], strict=True))
    if not fits:
        text = ["x".join(map(str, each)) for each in (row.source, row.target)]
        raise TableError(f"{row.where}: {text[0]} to {text[1]} is not what stride {stride} gives")


def _heads(rows: Iterable[Row]) -> list[tuple[int, Block, Published]]:
    """Pooling, feature mix and classifier of each resolution as one block: means and variances add up, the rarest count stands."""
    parts: dict[tuple[int, str, int], Row] = {}
    ends = []
    for row in rows:
        if row.op == "AvgPool2D":
            parts[row.resolution, row.op, row.source[2]] = row
        elif row.op == "Conv_2":
            parts[row.resolution, row.op, row.target[2]] = row
        elif row.op == "Logits" and row.source[0] == 1:
            ends.append(row)
    heads = []
    for row in ends:
        mix = _part(parts, row, "Conv_2", row.source[2])
        pool = _part(parts, row, "AvgPool2D", mix.source[2])
        height, width, channels = pool.source
        block = Block("head", (channels, height, width), (("mix", mix.target[2]), ("classes", row.target[2])))
        heads.append((row.resolution, block, _in_a_row([pool.published, mix.published, row.published])))
    return heads


def _part(parts: dict[tuple[int, str, int], Row], row: Row, op: str, channels: int) -> Row:
    found = parts.get((row.resolution, op, channels))
    if found is None:
        raise TableError(f"{row.where}: the {op} with {channels} channels that the head at {row.resolution} px needs is not in the table")
    return found


def _in_a_row(parts: Sequence[Published]) -> Published:
    spreads = [part.std_ms for part in parts]
    known = [std for std in spreads if std is not None]
    std = math.hypot(*known) if len(known) == len(spreads) else None
    return Published(min(part.count for part in parts), math.fsum(part.mean_ms for part in parts), std)


def _pooled(parts: Sequence[Published]) -> Published:
    if len(parts) == 1:
        return parts[0]
    count = sum(part.count for part in parts)
    mean = math.fsum(part.count * part.mean_ms for part in parts) / count
    if any(part.std_ms is None for part in parts):
        return Published(count, mean)
    variance = math.fsum(part.count * ((part.std_ms or 0.0) ** 2 + (part.mean_ms - mean) ** 2) for part in parts) / count
    return Published(count, mean, math.sqrt(variance))
