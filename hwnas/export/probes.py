"""Two fixed graphs that a measuring session needs beside its models, to be written in either format.

`probe_graph` is bound by arithmetic throughput, so its time tells a quiet machine from a busy one. `overhead_graph` does next to nothing:
its time is what a call of the runtime costs.
"""

from __future__ import annotations

import numpy as np

from hwnas.export.graph import INPUT, OUTPUT, Activation, Conv, Graph, Op

PROBE_CHANNELS = 32
PROBE_SIDE = 16
PROBE_LAYERS = 3


def probe_graph(*, seed: int = 0) -> Graph:
    """A chain of dense 3x3 convolutions, 7.1 MMAC; 0.1 to 0.2 ms on one core of a current x86."""
    rng = np.random.default_rng(seed)
    ops: list[Op] = []
    source = INPUT
    for layer in range(PROBE_LAYERS):
        shape = (PROBE_CHANNELS, PROBE_CHANNELS, 3, 3)
        weight = rng.standard_normal(shape).astype(np.float32) * np.float32((2 / (PROBE_CHANNELS * 9)) ** 0.5)
        conv = Conv(f"conv{layer}", (source,), weight, np.zeros(PROBE_CHANNELS, dtype=np.float32), padding=(1, 1, 1, 1))
        source = OUTPUT if layer == PROBE_LAYERS - 1 else f"relu{layer}"
        ops += [conv, Activation(source, (conv.name,), "relu")]
    return Graph((1, PROBE_CHANNELS, PROBE_SIDE, PROBE_SIDE), tuple(ops))


def overhead_graph() -> Graph:
    """One relu of one number."""
    return Graph((1, 1, 1, 1), (Activation(OUTPUT, (INPUT,), "relu"),))
