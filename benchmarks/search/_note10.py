"""The published Note10 block table and OFA's accuracy predictor as the models of a search.

Table and predictor: Cai et al. 2020, Once-for-All (arXiv 1908.09791), as open files in the folder of reference data.
"""

from __future__ import annotations

import csv

import numpy as np

from benchmarks.reference import published
from hwnas.core.arch import Block, SearchSpace
from hwnas.latency.additive import AdditiveLatency
from hwnas.latency.scale import Fit
from hwnas.search.solver import Models
from hwnas.space.family import blockwise
from hwnas.supernet.ofa_predictor import read_published

SIZES = (160, 176, 192, 208, 224)
BUDGETS_MS = (15.0, 20.0, 25.0, 30.0, 40.0, 50.0, 60.0)


def models(sizes: tuple[int, ...] = SIZES) -> Models:
    """Both models of ``ofa-w1.2`` at ``sizes``: milliseconds are sums of the table, accuracies are what OFA's predictor says."""
    accuracy = read_published(published("ofa/ofa_mbv3_w1.2_accuracy_predictor.npz"), resolutions=sizes)
    return Models(accuracy.space, _latency(accuracy.space), accuracy)


def _latency(space: SearchSpace) -> AdditiveLatency:
    with published("ofa/note10_block_lut.csv").open(newline="") as file:
        names = ("op", "input", "output", "expand", "kernel", "stride", "idskip", "se", "hs")
        rows = {tuple(row[name] for name in names if row[name]): float(row["mean_ms"]) for row in csv.DictReader(file)}
    times_ms = np.array([sum(rows[key] for key in _keys(block)) for block in blockwise(space).vocabulary(space)])
    # the published sums are used as they are: no scale, no margin
    plain = Fit(scale=1.0, intercept_ms=0.0, relative_std=0.0, relative_margin=0.0, residuals=np.zeros(0))
    return AdditiveLatency(space, {"device": "note10", "runtime": "tflite"}, "mean", "mean", 0.0, times_ms, scaling=plain)


def _keys(block: Block) -> tuple[tuple[str, ...], ...]:
    """The published rows that one block is made of."""
    channels, size, _ = block.in_shape
    params = dict(block.params)
    given = f"{size}x{size}x{channels}"
    if block.op == "head":
        mix = params["mix"]
        return ("AvgPool2D", given, f"1x1x{channels}"), ("Conv_2", f"1x1x{channels}", f"1x1x{mix}"), ("Logits", f"1x1x{mix}", "1000")
    if block.op == "stem":
        return (("Conv", given, f"{size // 2}x{size // 2}x{params['out']}"),)
    if block.op == "final_expand":
        return (("Conv_1", given, f"{size}x{size}x{params['out']}"),)
    after = (size - 1) // int(params["s"]) + 1
    flags = (str(int("res" in params)), str(int("se" in params)), str(int(params["act"] == "hswish")))
    return (("expanded_conv", given, f"{after}x{after}x{params['out']}", str(params["mid"]), str(params["k"]), str(params["s"]), *flags),)
