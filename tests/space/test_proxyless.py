"""What is special about the ProxylessNAS family; what all families keep to is tested in test_family.py."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.core.errors import ConfigError, UnknownNameError
from hwnas.space.family import FAMILIES, SpaceOptions, blocks_of, blockwise, family_of, find_space
from hwnas.space.mobilenet_v3 import halved
from hwnas.space.moves import sample
from hwnas.space.proxyless import plan_of

SPACE = find_space("proxyless")


def test_the_space_has_the_published_shape() -> None:
    # Cai et al. 2019: six stages of 4, 4, 4, 4, 4 and 1 blocks, each of six kinds; those after a stage's first may be left out
    assert [(s.width, s.stride) for s in plan_of(SPACE).stages] == [(24, 2), (40, 2), (80, 2), (96, 1), (192, 2), (320, 1)]
    assert not any(stage.se for stage in plan_of(SPACE).stages)
    assert sum(c.name.endswith("kernel") for c in SPACE.choices) == 21
    assert SPACE.size == (6 + 6**2 + 6**3 + 6**4) ** 5 * 6


def test_the_number_of_blocks_to_measure() -> None:
    # six kinds of each stage's first block and of its others (the last stage has none), stem, first block, final expand and head
    assert len(blockwise(SPACE).vocabulary(SPACE)) == 6 * (6 + 5) + 4


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32 - 1))
def test_blocks_are_those_of_the_choices_and_fit_together(seed: int) -> None:
    code = sample(SPACE, 1, np.random.default_rng(seed))[0]
    values, blocks = SPACE.values(code), blocks_of(SPACE, SPACE.architecture(code))
    assert (blocks[0].key, blocks[1].key) == ("stem-in3x224x224-out32-k3-s2-relu6", "mbconv-in32x112x112-out16-k3-mid32-s1-relu6")
    assert blocks[-1].key == "head-in1280x7x7-classes1000"
    expected = [
        (int(values[f"s{s}.b{b}.kernel"]), int(values[f"s{s}.b{b}.expand"]), b) for s in range(6) for b in range(int(values[f"s{s}.depth"]))
    ]
    assert [(b.get("k"), int(b.get("mid")) // b.in_shape[0]) for b in blocks[2:-2]] == [(k, e) for k, e, _ in expected]
    assert [b.get("s") == 1 and b.in_shape[0] == b.get("out") for b in blocks[2:-2]] == [position > 0 for *_, position in expected]
    for before, after in pairwise(blocks):
        assert after.in_shape[0] == before.get("out")
        assert after.in_shape[1] == halved(before.in_shape[1], int(dict(before.params).get("s", 1)))


def test_the_vocabulary_is_sorted_distinct_and_all_used() -> None:
    words = blockwise(SPACE).vocabulary(SPACE)
    assert [b.key for b in words] == sorted({b.key for b in words})
    ids = blockwise(SPACE).block_ids(SPACE, sample(SPACE, 4000, np.random.default_rng(0)))
    assert ids.dtype == np.int32
    assert set(np.unique(ids)) == set(range(-1, len(words)))


def test_groups_cover_the_choices_of_the_stages_once() -> None:
    assert [p for g in blockwise(SPACE).groups(SPACE) for p in g.choices] == list(range(1, len(SPACE.choices)))


def test_an_architecture_is_described_by_its_blocks() -> None:
    smallest, largest = family_of(SPACE).extremes(SPACE)
    assert family_of(SPACE).describe(SPACE, smallest) == "224 px, 3x3, 3x3, 3x3, 3x3, 3x3, 3x3"
    assert family_of(SPACE).describe(SPACE, largest).endswith(", 7x6 7x6 7x6 7x6, 7x6")


def test_options_that_are_none_of_the_space_are_refused() -> None:
    assert find_space("proxyless", SpaceOptions(classes=10)).id != SPACE.id
    assert find_space("proxyless", SpaceOptions(resolutions=(224,))).id == SPACE.id
    with pytest.raises(ConfigError, match="space 'proxyless' has no resolution 192; it has 224"):
        find_space("proxyless", SpaceOptions(resolutions=(192,)))
    with pytest.raises(ConfigError, match="at least 1 channel and 2 classes"):
        find_space("proxyless", SpaceOptions(channels=0))
    with pytest.raises(UnknownNameError, match="unknown space 'proxylss'"):
        FAMILIES.get("proxyless").space("proxylss")
