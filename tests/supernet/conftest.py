"""A small space and a small real data set, so that training takes a second."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

import hwnas.supernet.mobilenet_v3  # noqa: F401 (registers)
from hwnas.core.arch import constants_of, with_constants
from hwnas.data.load import Limits, load_dataset
from hwnas.space.family import SpaceOptions, find_space


@pytest.fixture(scope="session")
def space():
    """``tiny-32`` with a few channels and two small resolutions."""
    full = find_space("tiny-32")
    small = find_space("tiny-32", SpaceOptions(resolutions=full.choices[0].options[:2]))
    constants = constants_of(small)
    stages = [{**stage, "width": 8} for stage in constants["stages"]]
    return replace(small, constants=with_constants(**{**constants, "stem": 8, "stages": stages, "final_expand": 16, "feature_mix": 16}))


@pytest.fixture(scope="session")
def data():
    return load_dataset("fashion-mnist", root=Path(), seed=0, limits=Limits(train=96, val=100, test=50))


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
