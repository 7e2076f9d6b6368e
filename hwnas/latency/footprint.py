"""What networks need besides time: parameters, multiply-accumulates, bytes of weights, and memory for activations, from their blocks.

Parameters are those of the module that is trained (batch norm's scale and shift counted); bytes of weights those of the file that is
written (batch norm folded). Peak memory is of one image, layer by layer: what a layer reads and writes, and what a residual keeps alive
meanwhile, the largest over the layers (Lin et al. 2020, MCUNet, arXiv 2007.10319), where nothing is computed in place or in patches.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hwnas.core.arch import Block, Codes, SearchSpace
from hwnas.core.errors import PredictorError
from hwnas.core.predict import Floats
from hwnas.core.registry import require_known
from hwnas.latency.blocksums import padded, sum_over_blocks
from hwnas.latency.blockwork import Work, work_of
from hwnas.space.family import blockwise
from hwnas.space.mobilenet_v3 import halved, make_divisible

BYTES = {"fp32": 4, "fp16": 2, "bf16": 2, "int8": 1, "int8_dynamic": 1}
"""Bytes of a weight and, but for those in `_KEPT_FLOAT`, of an activation, by precision."""
_KEPT_FLOAT = {"int8_dynamic": 4}
"""Bytes of an activation where activations are not kept in the type of the weights."""
_INT8_CHANNEL_BYTES = 8
"""Of an output channel of an 8-bit layer: a bias of 32 bits and a scale."""
UNITS: Mapping[str, str] = {"params": "", "macs": "", "flops": "", "size": "B", "peak_memory": "B"}
"""What can be limited, and in which unit; a FLOP is half of a multiply-accumulate."""
_CHUNK = 4096


@dataclass(frozen=True)
class Footprint:
    """The needs of every network of a blockwise space at one precision, vectorised over codes."""

    space: SearchSpace
    precision: str = "fp32"

    def __post_init__(self) -> None:
        require_known("precision", self.precision, BYTES)

    def cost(self, name: str, codes: Codes) -> Floats:
        """One of `UNITS`, ``(n, n_choices) int16 -> (n,)``; an unknown name raises `UnknownNameError`."""
        require_known("limit", name, UNITS)
        if name == "peak_memory":
            return self._largest(codes)
        return sum_over_blocks(self.space, codes, padded(self._sums[name]))

    def above(self, codes: Codes, level: float) -> Floats:
        """How many blocks need more than ``level`` bytes for activations, ``(n,)``: a sum, and 0 exactly where the peak is at most that."""
        return sum_over_blocks(self.space, codes, padded((self._peaks > level).astype(np.float64)))

    @cached_property
    def levels(self) -> Floats:
        """Every peak that a block has, ascending, bytes."""
        return np.unique(self._peaks)

    @cached_property
    def _works(self) -> tuple[tuple[Block, Work], ...]:
        listed = []
        for block in blockwise(self.space).vocabulary(self.space):
            work = work_of(block.key)
            if work is None:
                raise PredictorError(f"space '{self.space.name}': what block {block.key} computes is not known, only its time")
            listed.append((block, work))
        return tuple(listed)

    @cached_property
    def _sums(self) -> Mapping[str, Floats]:
        """Of every block of the vocabulary, ``(V,)``, what adds up over a network."""
        works = [work for _, work in self._works]
        channels = [_channels(work) for work in works]
        weights = np.array([work.weights for work in works], dtype=np.float64)
        normed, biased = np.array([c[0] for c in channels]), np.array([c[1] for c in channels])
        macs = np.array([work.macs for work in works], dtype=np.float64)
        width = BYTES[self.precision]
        a_channel = _INT8_CHANNEL_BYTES if width == 1 else width
        return {
            "params": weights + 2.0 * normed + biased,
            "macs": macs,
            "flops": 2 * macs,
            "size": width * weights + a_channel * (normed + biased),
        }

    @cached_property
    def _peaks(self) -> Floats:
        width = _KEPT_FLOAT.get(self.precision, BYTES[self.precision])
        return np.array([_peak(block, work) for block, work in self._works], dtype=np.float64) * width

    def _largest(self, codes: Codes) -> Floats:
        rows = padded(self._peaks)
        family = blockwise(self.space)
        parts = [rows[family.block_ids(self.space, codes[i : i + _CHUNK])].max(axis=1) for i in range(0, len(codes), _CHUNK)]
        return np.concatenate(parts) if parts else np.zeros(0)


def _channels(work: Work) -> tuple[int, int]:
    """Channels that are normalised, and biases of their own, over the layers of a block."""
    n = work.numbers
    if work.op == "head":
        return 0, n["classes"]
    if work.op != "mbconv":
        return n["out"], 0
    expanded = n["mid"] if n["mid"] != n["in"] else 0
    gate = n["mid"] + make_divisible(n["mid"] // 4) if "se" in work.words else 0
    return expanded + n["mid"] + n["out"], gate


def _peak(block: Block, work: Work) -> int:
    """Elements alive during the layer of a block that needs most of them."""
    n = work.numbers
    channels, height, width = block.in_shape
    before, after = height * width, halved(height, n.get("s", 1)) * halved(width, n.get("s", 1))
    given = channels * before
    if work.op == "head":
        return given + channels
    if work.op != "mbconv":
        return given + n["out"] * after
    wide, narrow, out = n["mid"] * before, n["mid"] * after, n["out"] * after
    kept = given if "res" in work.words else 0
    first = given + wide if n["mid"] != channels else 0
    depthwise = (wide + kept if n["mid"] != channels else given) + narrow
    gated = 2 * narrow + n["mid"] + kept if "se" in work.words else 0
    added = kept + 2 * out if kept else 0
    return max(first, depthwise, gated, narrow + out + kept, added)
