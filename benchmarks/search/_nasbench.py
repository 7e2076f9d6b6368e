"""NAS-Bench-201 and NAS-Bench-Macro as spaces with everything measured: what a search is compared with is the truth.

NAS-Bench-201: Dong & Yang 2020 (arXiv 2001.00326), latencies by Lee et al. 2021 (HELP, arXiv 2106.08630). NAS-Bench-Macro: Su et al. 2021
(arXiv 2103.11922). Both are parquet files in the folder of reference data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.reference import columns
from hwnas.core.arch import Choice, Codes, SearchSpace
from hwnas.core.errors import DataError
from hwnas.core.predict import Floats
from hwnas.space.family import find_space
from hwnas.space.nas_bench_201 import parse_cell

DEVICES = ("samsung_a50", "gold_6240", "2080ti_256")


@dataclass(frozen=True)
class Macro:
    """All of NAS-Bench-Macro: ``codes (6561, 8)``, mean accuracy in %, multiply-adds."""

    space: SearchSpace
    codes: Codes
    accuracy: Floats
    flops: Floats


@dataclass(frozen=True)
class Cells:
    """All of NAS-Bench-201: ``codes (15625, 6)``, CIFAR-10 test accuracy after 200 epochs in %, latency in ms by device."""

    space: SearchSpace
    codes: Codes
    accuracy: Floats
    latency_ms: Mapping[str, Floats]


def macro() -> Macro:
    """Read NAS-Bench-Macro."""
    table = columns("macro/nas_bench_macro_cifar10.parquet", ("arch", "mean_acc", "flops"))
    space = SearchSpace("nasbench", "macro", (3, 32, 32), tuple(Choice(f"layer{i}", ("skip", "mb3", "mb6")) for i in range(8)))
    codes = np.array([[int(digit) for digit in arch] for arch in table["arch"]], dtype=np.int16)
    return Macro(space, codes, np.array(table["mean_acc"]), np.array(table["flops"], dtype=np.float64))


def cells() -> Cells:
    """Read NAS-Bench-201."""
    accuracy = columns("nasbench201/nb201_accuracy.parquet", ("arch_index", "arch_str", "cifar10_test_200ep"))
    latency = columns("nasbench201/nb201_latency_help.parquet", ("arch_index", *DEVICES))
    if accuracy["arch_index"] != latency["arch_index"]:
        raise DataError("nasbench201: the two files list their cells in different order")
    space = find_space("nas-bench-201")
    codes = np.concatenate([parse_cell(space, text).codes for text in accuracy["arch_str"]])
    return Cells(space, codes, np.array(accuracy["cifar10_test_200ep"]), {name: np.array(latency[name]) for name in DEVICES})


def position(space: SearchSpace, known: Codes) -> NDArray[np.intp]:
    """Where each architecture of a space without conditions is in ``known``, by its rank among all codes."""
    where = np.empty(space.size, dtype=np.intp)
    where[ranks(space, known)] = np.arange(len(known))
    return where


def ranks(space: SearchSpace, codes: Codes) -> NDArray[np.intp]:
    """The rank of each code among all of a space without conditions, ``(n,)``."""
    found: NDArray[np.intp] = np.ravel_multi_index(tuple(codes.T), tuple(space.n_options.tolist()))
    return found
