"""What a block has to compute, from its key alone: enough to see whether its time can be."""

from __future__ import annotations

import re
from dataclasses import dataclass

from hwnas.latency.table import base_key
from hwnas.space.mobilenet_v3 import halved, make_divisible

_SHAPE = re.compile(r"in(\d+)x(\d+)x(\d+)\Z")
_NUMBER = re.compile(r"(out|k|s|mid|mix|classes)(\d+)\Z")


@dataclass(frozen=True, slots=True)
class Work:
    """A block's operation, its numbers by name, its other words, and multiply-accumulates and elements by the part that needs them.

    ``elements`` are those read and written, ``weights`` the parameters.
    """

    op: str
    size: int
    numbers: dict[str, int]
    words: tuple[str, ...]
    dense_macs: int
    depthwise_macs: int
    elements: int
    weights: int

    @property
    def macs(self) -> int:
        """All of them."""
        return self.dense_macs + self.depthwise_macs

    def others(self, name: str) -> tuple[object, ...]:
        """Everything but the number ``name``: what two blocks share that differ in it alone."""
        rest = tuple(sorted((key, value) for key, value in self.numbers.items() if key != name))
        return (self.op, self.size, rest, self.words)


def work_of(key: str) -> Work | None:
    """The work of the block ``key`` names; None of an operation that is not known here."""
    op, *words = base_key(key).split("-")
    shape = _SHAPE.match(words[0]) if words else None
    if shape is None:
        return None
    channels, height, width = (int(n) for n in shape.groups())
    found = {word: _NUMBER.match(word) for word in words[1:]}
    numbers = {match[1]: int(match[2]) for match in found.values() if match} | {"in": channels}
    rest = tuple(word for word, match in found.items() if match is None)
    try:
        dense, depthwise, elements, weights = _parts(op, numbers, rest, height * width, (height, width))
    except KeyError:
        return None
    return Work(op, height, numbers, rest, dense, depthwise, elements, weights)


def _parts(op: str, n: dict[str, int], words: tuple[str, ...], pixels: int, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Dense and depthwise multiply-accumulates, elements, weights; a number that is missing or an unknown operation raises ``KeyError``."""
    channels = n["in"]
    if op == "head":
        mixed = n.get("mix", channels)
        dense = (channels * mixed if "mix" in n else 0) + mixed * n["classes"]
        return dense, 0, channels * pixels, dense
    left = halved(size[0], n.get("s", 1)) * halved(size[1], n.get("s", 1))
    if op == "final_expand":
        return channels * n["out"] * pixels, 0, (channels + n["out"]) * pixels, channels * n["out"]
    if op == "stem":
        weights = channels * n["out"] * n["k"] ** 2
        return weights * left, 0, channels * pixels + n["out"] * left, weights
    if op != "mbconv":
        raise KeyError(op)
    mid, out = n["mid"], n["out"]
    expand = channels * mid if mid != channels else 0
    squeeze = 2 * mid * make_divisible(mid // 4) if "se" in words else 0
    dense = expand * pixels + mid * out * left + squeeze
    elements = (channels + (mid if expand else 0)) * pixels + (mid * (2 if squeeze else 1) + out) * left
    return dense, mid * n["k"] ** 2 * left, elements, expand + mid * n["k"] ** 2 + mid * out + squeeze
