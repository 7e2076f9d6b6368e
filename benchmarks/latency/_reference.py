"""Published measurements as codes of spaces and milliseconds: NAS-Bench-201, FBNet, OFA (HELP, arXiv 2106.08630), HAT (arXiv 2005.14187).

They are found through ``HWNAS_REFERENCE_DATA``; where they are not, a benchmark ends with one line that says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import reference
from benchmarks.latency._families import CHAIN, LISTED
from hwnas.core.arch import Choice, Codes, SearchSpace
from hwnas.core.errors import DataError
from hwnas.core.predict import Floats
from hwnas.space.family import SpaceOptions, find_space
from hwnas.space.mobilenet_v3 import DEPTHS, EXPANDS, KERNELS
from hwnas.space.nas_bench_201 import parse_cell

NEAR_ZERO = 0.1
"""Rows below this share of their column's median are left out of scores: what does nothing has no relative error."""
PHONES_AND_CPUS = ("essential_ph_1", "gold_6240", "pixel3", "samsung_a50", "samsung_s7", "silver_4114", "silver_4210r")


@dataclass(frozen=True)
class Published:
    """Networks of one space and what they took on several devices, ms by column; ``flops_m`` where it was published."""

    space: SearchSpace
    codes: Codes
    columns: Mapping[str, Floats]
    flops_m: Floats | None = None

    def scored(self, column: str) -> NDArray[np.intp]:
        """Rows that scores count: not near zero."""
        times = self.columns[column]
        return np.flatnonzero(times >= NEAR_ZERO * np.median(times))


def physical(column: str) -> str:
    """The device of a column: ``titan_xp_32`` is ``titan_xp`` at batch size 32; phones and CPUs have one column each."""
    name, _, batch = column.rpartition("_")
    return name if batch in ("1", "32", "64", "256") and name not in ("essential_ph",) else column


@cache
def nas_bench_201() -> Published:
    """All 15,625 cells on 19 columns of 13 devices."""
    table = reference.columns("nasbench201/nb201_latency_help.parquet")
    accuracy = reference.columns("nasbench201/nb201_accuracy.parquet")
    space = find_space("nas-bench-201")
    codes = np.concatenate([parse_cell(space, text).codes for text in table["arch_str"]])
    if accuracy["arch_str"] != table["arch_str"]:
        raise DataError("the accuracy and latency files of NAS-Bench-201 list their cells in different orders")
    return Published(space, codes, _times(table, {"arch_index", "arch_str"}), np.array(accuracy["flops_m"]))


@cache
def ofa_gpus() -> Published:
    """5,000 subnets of the OFA MobileNetV3 space on three GPUs at three batch sizes."""
    table = reference.columns("ofa/ofa_latency_help.parquet")
    space = find_space("ofa-w1.0", SpaceOptions())
    stages, deep = 5, DEPTHS[-1]
    kernels = np.array([[KERNELS.index(int(k)) for k in row.split()] for row in table["ks"]]).reshape(-1, stages, deep)
    expands = np.array([[EXPANDS.index(int(e)) for e in row.split()] for row in table["e"]]).reshape(-1, stages, deep)
    depths = np.array([[DEPTHS.index(int(d)) for d in row.split()] for row in table["d"]])
    body = np.concatenate([depths[:, :, None], np.stack([kernels, expands], axis=3).reshape(len(depths), stages, 2 * deep)], axis=2)
    sizes = np.array([space.choices[0].options.index(int(r)) for r in table["r"]])
    codes = np.concatenate([sizes[:, None], body.reshape(len(body), -1)], axis=1).astype(np.int16)
    return _distinct(space, space.canonical(codes), _times(table, {"arch_index", "ks", "e", "d", "r"}))


@cache
def fbnet() -> Published:
    """5,000 chains of 22 operations on 20 columns; those of pixel3 and fpga are sums of block tables."""
    table = reference.columns("fbnet/fbnet_latency_help.parquet")
    codes = np.array([[int(op) for op in row.split()] for row in table["ops"]], dtype=np.int16)
    options = tuple(str(value) for value in range(int(codes.max()) + 1))
    space = SearchSpace(CHAIN, "fbnet", (3, 224, 224), tuple(Choice(f"l{layer}.op", options) for layer in range(codes.shape[1])))
    return _distinct(space, codes, _times(table, {"arch_index", "ops", "ops_str"}))


@cache
def hat() -> Published:
    """Encoder-decoder transformers by the features that were published, encoder and decoder together, one column a task and device."""
    table = reference.columns("hat/hat_transformer_latency.parquet")
    names = [name for name in table if name.split("_")[0] in ("encoder", "decoder")]
    features = np.array([table[name] for name in names], dtype=np.float64).T
    options = [tuple(float(v) for v in np.unique(column)) for column in features.T]
    codes = np.stack([np.searchsorted(o, column) for o, column in zip(options, features.T, strict=True)], axis=1).astype(np.int16)
    space = SearchSpace(LISTED, "hat", (1, 1, 1), tuple(Choice(name, o) for name, o in zip(names, options, strict=True)))
    total = np.array(table["latency_mean_encoder"]) + np.array(table["latency_mean_decoder"])
    labels = np.array([f"{task}/{device}" for task, device in zip(table["task"], table["device"], strict=True)])
    columns = {label: np.where(labels == label, total, np.nan) for label in sorted(set(labels))}
    return Published(space, codes, columns)


def _times(table: Mapping[str, list[Any]], names: set[str]) -> dict[str, Floats]:
    return {name: np.array(values, dtype=np.float64) for name, values in table.items() if name not in names}


def _distinct(space: SearchSpace, codes: Codes, columns: Mapping[str, Floats]) -> Published:
    """Each architecture once: the first of those that are the same."""
    _, first = np.unique(codes, axis=0, return_index=True)
    rows = np.sort(first)
    return Published(space, codes[rows], {name: times[rows] for name, times in columns.items()})
