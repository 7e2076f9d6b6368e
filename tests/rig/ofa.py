"""The published parity fixture: random weights, and what the reference implementation of Once-for-All computes with them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.reference import DATA
from hwnas.core.arch import Architecture, SearchSpace

FIXTURE = DATA / "ofa_parity" / "ofa_mbv3_parity.npz"
PREDICTOR = DATA / "ofa" / "ofa_mbv3_w1.2_accuracy_predictor.npz"

Arrays = Mapping[str, NDArray[Any]]


def read_fixture() -> Arrays:
    """Every array by name."""
    with np.load(FIXTURE, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def state_of(fixture: Arrays) -> dict[str, Tensor]:
    """The reference's state dict, under its own keys."""
    kinds = {"f": np.float32, "i": np.int64}
    return {
        name.removeprefix("state/"): torch.from_numpy(np.array(array, dtype=kinds[array.dtype.kind]))
        for name, array in fixture.items()
        if name.startswith("state/")
    }


def as_published(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same state dict as official files spell it."""
    return {name.replace(".conv.", ".mobile_inverted_conv.", 1) if name.startswith("blocks.") else name: v for name, v in state.items()}


def settings_of(fixture: Arrays) -> list[dict[str, Any]]:
    """The subnets of the fixture: ``name``, ``ks``, ``e``, ``d``, ``params``."""
    listed: list[dict[str, Any]] = json.loads(fixture["meta_json"].tobytes())["subnets"]
    return listed


def uniform(kernel: int, expand: int, depth: int) -> dict[str, Any]:
    """The subnet with the same choices everywhere, as `settings_of` gives them."""
    return {"ks": [kernel] * 20, "e": [expand] * 20, "d": [depth] * 5}


SORTED = {"min": uniform(3, 3, 2), "k7_e4_d4": uniform(7, 4, 4)}
"""The subnets that the fixture has logits of after channel sorting."""


def architecture(space: SearchSpace, setting: Mapping[str, Any], resolution: int) -> Architecture:
    """The subnet that ``ks``, ``e`` and ``d`` describe."""
    values = {"resolution": resolution}
    for s, depth in enumerate(setting["d"]):
        values[f"s{s}.depth"] = depth
        for b in range(depth):
            values[f"s{s}.b{b}.kernel"] = setting["ks"][4 * s + b]
            values[f"s{s}.b{b}.expand"] = setting["e"][4 * s + b]
    return space.parse(values)
