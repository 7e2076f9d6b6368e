"""The preprocessing that travels with exported files."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas.core.errors import ConfigError, DataError
from hwnas.core.serial import canonical_json, parse
from hwnas.data import Preprocessing
from hwnas.data.preprocessing import mean_and_std

RGB = Preprocessing(size=8, colour="RGB", mean=(0.5, 0.4, 0.3), std=(0.25, 0.2, 0.1))


def test_normalise_is_the_formula_in_both_layouts() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 3, 8, 8), dtype=np.uint8)
    expected = (pixels / 255.0 - np.array(RGB.mean)[:, None, None]) / np.array(RGB.std)[:, None, None]
    channels_first = RGB.normalise(pixels)
    assert channels_first.dtype == np.float32
    np.testing.assert_allclose(channels_first, expected, atol=1e-5)
    channels_last = replace(RGB, layout="NHWC").normalise(pixels.transpose(0, 2, 3, 1))
    assert np.array_equal(channels_last.transpose(0, 3, 1, 2), channels_first)
    assert np.array_equal(RGB.normalise(pixels[0]), channels_first[0])


@pytest.mark.parametrize("pixels", [np.zeros((2, 1, 8, 8), np.uint8), np.zeros((3, 8, 8), np.float32), np.zeros((3, 8), np.uint8)])
def test_normalise_refuses_what_it_was_not_made_for(pixels: Any) -> None:
    with pytest.raises(DataError, match="are not uint8 NCHW with 3"):
        RGB.normalise(pixels)


def test_it_survives_json() -> None:
    assert parse(Preprocessing, json.loads(canonical_json(RGB)), where="x") == RGB
    with pytest.raises(ConfigError, match="did you mean 'std'"):
        parse(Preprocessing, {**json.loads(canonical_json(RGB)), "stdd": [1.0]}, where="x")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"size": 0}, "size"),
        ({"mean": (0.5,)}, "RGB needs 3"),
        ({"colour": "L"}, "L needs 1"),
        ({"std": (0.1, 0.0, 0.1)}, "above 0"),
        ({"mean": (float("nan"), 0.0, 0.0)}, "finite"),
        ({"scale": 0.0}, "scale"),
    ],
)
def test_impossible_values(change: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError, match=words):
        replace(RGB, **change)


@given(st.lists(st.integers(0, 255), min_size=2, max_size=50).filter(lambda values: len(set(values)) > 1))
def test_mean_and_std_of_counts_are_those_of_the_values(values: list[int]) -> None:
    mean, std = mean_and_std(np.bincount(values, minlength=256).astype(float)[None], where="x")
    assert mean[0] == pytest.approx(np.mean(values) / 255, abs=1e-6)
    expected = np.std(values) / 255
    if expected > 1.1e-3:
        assert std[0] == pytest.approx(expected, abs=1e-6)


def test_a_flat_channel_is_left_as_it_is_and_flat_data_refused() -> None:
    levels = np.zeros((2, 256))
    levels[0, [3, 90]] = 0.5
    levels[1, 7] = 1.0
    assert mean_and_std(levels, where="x")[1][1] == 1.0
    with pytest.raises(DataError, match=r"^x: .*flat colour"):
        mean_and_std(levels[1:], where="x")
