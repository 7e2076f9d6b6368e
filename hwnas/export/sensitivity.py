"""Which layers of a network an 8-bit file should leave in float: those whose quantisation, alone, changes its answers most.

One layer at a time is quantised and all others stay float (Wu et al. 2020, arXiv:2004.09602, section 5); the mean squared difference of the
logits ranks the layers.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from hwnas.core.result import Artifact
from hwnas.export.exporter import Exporter, ExportSpec, Images
from hwnas.export.graph import Conv, Graph, Linear

IMAGES = 32
"""That calibrate, and are answered, for each layer."""


def layers_of(graph: Graph) -> tuple[str, ...]:
    """The layers that have weights, in the order in which they run."""
    return tuple(op.name for op in graph.ops if isinstance(op, Conv | Linear))


def sensitivities(exporter: Exporter, graph: Graph, spec: ExportSpec, images: Images) -> dict[str, float]:
    """By layer, the mean squared change of the logits on ``images (n, C, H, W)`` when that layer alone is of 8 bits; the worst first."""
    layers, few = layers_of(graph), images[:IMAGES]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"layer.{exporter.format}"
        single = replace(spec, precision="fp32", calibration=None, kept_float=frozenset())
        reference = exporter.run(exporter.export(graph, single, path), few)[0]
        found = {}
        for layer in layers:
            alone = replace(spec, precision="int8", calibration=few, kept_float=frozenset(layers) - {layer})
            answers = exporter.run(exporter.export(graph, alone, path), few)[0]
            found[layer] = float(np.mean((answers.astype(np.float64) - reference) ** 2))
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def with_float_layers(
    exporter: Exporter, graph: Graph, spec: ExportSpec, out: Path, *, most: int, enough: Callable[[Artifact], bool], images: Images
) -> tuple[Artifact, tuple[str, ...]]:
    """The 8-bit file at ``out``, and which layers stay float in it: none where that is ``enough``, else as few of the worst as are.

    1, 2, 4 and so on up to ``most`` are tried. Where that is not enough either, no layer is kept.
    """
    spec = replace(spec, precision="int8", kept_float=frozenset())
    plain = exporter.export(graph, spec, out)
    if most < 1 or enough(plain):
        return plain, ()
    worst = list(sensitivities(exporter, graph, spec, images))
    for count in _counts(min(most, len(worst) - 1)):
        kept = tuple(worst[:count])
        mixed = exporter.export(graph, replace(spec, kept_float=frozenset(kept)), out)
        if enough(mixed):
            return mixed, kept
    return exporter.export(graph, spec, out), ()


def _counts(most: int) -> Sequence[int]:
    return sorted({*(2**power for power in range(most.bit_length()) if 2**power <= most), most} - {0})
