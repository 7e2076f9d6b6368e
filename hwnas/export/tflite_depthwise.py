"""Large depthwise kernels as sums of small ones, because XNNPACK, which runs TFLite's float and int8 layers, is fast only up to 25 taps.

Its depthwise microkernels take at most 25 taps, of any shape: an output pixel of 96 channels takes 0.13 us with 1x25 and 1.8 us with
1x26. On one thread of an x86 core with ai-edge-litert 2.3 (microseconds, 10th percentile, float32), a 7x7 layer as it is and as the sum
of its rows 3 + 3 + 1, next to a 5x5:

| layer        | 7x7  | 3 + 3 + 1 | 5x5 |
|--------------|------|-----------|-----|
| 96 x 6x6     | 119  | 12        | 5   |
| 96 x 6x6 /2  | 42   | 4         | 2   |
| 96 x 14x14   | 614  | 87        | 26  |
| 96 x 14x14/2 | 147  | 25        | 9   |
| 96 x 28x28   | 2516 | 413       | 122 |
| 480 x 14x14  | 2977 | 610       | 215 |
| 960 x 7x7    | 1666 | 312       | 115 |

So the split wins at every size, and a whole network of 7x7 kernels takes a fourth to a fifth of its time in float32 and a twentieth in
int8, where the split costs 1 to 2 dB, as each part is rounded. What it slows down, by two, is int8 in tflite-runtime 2.14 on x86, which
is slower there than float32 with or without it.

Rows are cut because they lie next to each other in NHWC, as many to a part as fit: 3 + 3 + 1 beats 2 + 3 + 2, whose last part does not
fit the microkernel of 9 taps. Slower: quadrants (a third), one padded copy for all parts (a tenth to twice). Dilated parts, which need
no slices, are as fast but need a newer version of the operator.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from hwnas.export.graph import Conv

MAX_TAPS = 25
"""The most taps of XNNPACK's depthwise microkernels."""


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A depthwise convolution of the ``rows`` of the input from row ``begin`` on, whose output is one summand."""

    conv: Conv
    begin: int
    rows: int


def row_parts(conv: Conv, sides: tuple[int, int], out: tuple[int, int]) -> list[Part]:
    """Parts of at most `MAX_TAPS` taps whose sum is ``conv``, a depthwise one, on an input of ``sides (H, W)`` with outputs ``out``.

    The first has the bias. One part means that nothing is to be split: the kernel is small, or was once the taps that see nothing but
    padding were left out, or has rows that are longer than `MAX_TAPS`.
    """
    if _taps(conv) <= MAX_TAPS:
        return [Part(conv, 0, sides[0])]
    conv = _without_blind_taps(conv, sides, out)
    group = MAX_TAPS // conv.weight.shape[3]
    if group == 0 or _taps(conv) <= MAX_TAPS:
        return [Part(conv, 0, sides[0])]
    return list(_rows(conv, group, sides[0], out[0]))


def _taps(conv: Conv) -> int:
    height, width = conv.weight.shape[2:]
    return int(height * width)


def _without_blind_taps(conv: Conv, sides: tuple[int, int], out: tuple[int, int]) -> Conv:
    """The same without the outer rows and columns of the kernel that no input ever meets, as on maps smaller than the kernel."""
    top, left, bottom, right = conv.padding
    kernel = conv.weight.shape[2:]
    first = [min(max(0, before - (o - 1) * s), k - 1) for before, o, s, k in zip((top, left), out, conv.stride, kernel, strict=True)]
    last = [min(k, before + side) for k, before, side in zip(kernel, (top, left), sides, strict=True)]
    weight = conv.weight[:, :, first[0] : last[0], first[1] : last[1]]
    after = [p - (k - end) for p, k, end in zip((bottom, right), kernel, last, strict=True)]
    return replace(conv, weight=weight, padding=(top - first[0], left - first[1], after[0], after[1]))


def _rows(conv: Conv, group: int, side: int, out: int) -> Iterator[Part]:
    """``conv`` cut into groups of kernel rows, each with the rows of the input that it reads and the zeros that are missing."""
    top, left, _, right = conv.padding
    stride, kernel = conv.stride[0], conv.weight.shape[2]
    for i, start in enumerate(range(0, kernel, group)):
        stop = min(start + group, kernel)
        begin = max(start - top, 0)
        end = (out - 1) * stride - top + stop
        surplus = side - end
        if begin == 0 and 0 < surplus < stride:  # too few rows to make another output, so that the slice can be saved
            end = side
        yield Part(
            replace(
                conv,
                name=f"{conv.name}.rows{start}",
                weight=conv.weight[:, :, start:stop],
                bias=np.zeros_like(conv.bias) if i else conv.bias,
                padding=(max(top - start, 0), left, max(end - side, 0), right),
            ),
            begin,
            min(end, side) - begin,
        )
