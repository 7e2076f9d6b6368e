"""Two fixed graphs that a measuring session needs beside its models, to be written in either format.

`probe_graph` is of the same kind of operations as what is timed, so that it slows down when they do: on a core whose hyper-thread
sibling is busy, blocks take 1.5 times as long, and so does this chain, while a dense convolution in LiteRT takes 1.1 times as long and
sees next to nothing. `overhead_graph` does next to nothing: its time is what a call of the runtime costs.
"""

from __future__ import annotations

import numpy as np

from hwnas.export.graph import INPUT, OUTPUT, Activation, Conv, Graph, Op

PROBE_CHANNELS = 64
PROBE_SIDE = 8
PROBE_PAIRS = 16
PAGE_PAIRS = 4
"""For a runtime in a browser, where the same work takes several times as long: a long probe is disturbed too often."""


def probe_graph(*, seed: int = 0, pairs: int = PROBE_PAIRS) -> Graph:
    """``pairs`` of depthwise 3x3 and pointwise convolutions in turn, by default 4.8 MMAC; about 0.1 ms on one core of a current x86."""
    rng = np.random.default_rng(seed)
    ops: list[Op] = []
    source = INPUT
    for layer in range(2 * pairs):
        pointwise = layer % 2 == 1
        shape = (PROBE_CHANNELS, PROBE_CHANNELS, 1, 1) if pointwise else (PROBE_CHANNELS, 1, 3, 3)
        fan_in = shape[1] * shape[2] * shape[3]
        weight = rng.standard_normal(shape).astype(np.float32) * np.float32((2 / fan_in) ** 0.5)
        bias = np.zeros(PROBE_CHANNELS, dtype=np.float32)
        pad = 0 if pointwise else 1
        conv = Conv(f"conv{layer}", (source,), weight, bias, padding=(pad,) * 4, groups=1 if pointwise else PROBE_CHANNELS)
        source = OUTPUT if layer == 2 * pairs - 1 else f"relu{layer}"
        ops += [conv, Activation(source, (conv.name,), "relu")]
    return Graph((1, PROBE_CHANNELS, PROBE_SIDE, PROBE_SIDE), tuple(ops))


def overhead_graph() -> Graph:
    """One relu of one number."""
    return Graph((1, 1, 1, 1), (Activation(OUTPUT, (INPUT,), "relu"),))
