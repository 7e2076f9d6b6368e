from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.core.arch import SearchSpace
from hwnas.core.errors import ConfigError
from hwnas.space.family import SpaceOptions, blocks_of, blockwise, family_of, find_space
from hwnas.space.mobilenet_v3 import DEPTHS, EXPANDS, KERNELS, block_spec, first_spec, halved, make_divisible, mbconv, plan_of
from hwnas.space.moves import sample

TINY, OFA, WIDE = (find_space(name) for name in ("tiny-32", "ofa-w1.0", "ofa-w1.2"))
ONE = find_space("ofa-w1.2", SpaceOptions(resolutions=(224,)))


def test_the_published_spaces_have_the_published_shapes() -> None:
    assert [s.width for s in plan_of(OFA).stages] == [24, 40, 80, 112, 160]
    assert [s.width for s in plan_of(WIDE).stages] == [32, 48, 96, 136, 192]
    assert [s.stride for s in plan_of(WIDE).stages] == [2, 2, 2, 1, 2]
    assert [s.se for s in plan_of(WIDE).stages] == [False, True, False, True, True]
    wide = plan_of(WIDE)
    assert (wide.stem, wide.final_expand, wide.feature_mix, wide.classes) == (24, 1152, 1536, 1000)
    assert (plan_of(OFA).stem, plan_of(OFA).final_expand, plan_of(OFA).feature_mix) == (16, 960, 1280)
    # 20 searchable blocks
    assert sum(c.name.endswith("kernel") for c in OFA.choices) == 20


def test_the_number_of_architectures_is_the_published_one() -> None:
    # Cai et al. 2020: ((3 x 3)^2 + (3 x 3)^3 + (3 x 3)^4)^5, about 2 x 10^19, at each resolution
    assert ONE.size == (9**2 + 9**3 + 9**4) ** 5
    assert OFA.size == 25 * ONE.size
    assert TINY.size == 5 * (9**2 + 9**3 + 9**4) ** 2


@pytest.mark.parametrize(
    ("value", "rounded"), [(28.8, 32), (48, 48), (19.2, 24), (134.4, 136), (1, 8), (12, 16), (9, 16), (11, 16), (17, 16)]
)
def test_widths_are_multiples_of_eight_and_never_much_less(value: float, rounded: int) -> None:
    assert make_divisible(value) == rounded


@settings(deadline=None)
@given(st.floats(1, 4000))
def test_any_width_is_divisible_and_at_most_a_tenth_less(value: float) -> None:
    rounded = make_divisible(value)
    assert rounded % 8 == 0
    assert 0.9 * value <= rounded <= value + 8


@settings(deadline=None, max_examples=40)
@given(space=st.sampled_from([TINY, OFA]), seed=st.integers(0, 2**32 - 1))
def test_blocks_are_those_of_the_choices(space: SearchSpace, seed: int) -> None:
    """The vectorised lookup against a network walked by hand."""
    plan = plan_of(space)
    code = sample(space, 1, np.random.default_rng(seed))[0]
    arch = space.architecture(code)
    values = space.values(code)
    size = halved(family_of(space).resolution(space, arch), plan.stem_stride)
    expected = [mbconv(first_spec(plan), size)] if plan.first_block else []
    for stage in range(len(plan.stages)):
        for position in range(int(values[f"s{stage}.depth"])):
            kernel, expand = (int(values[f"s{stage}.b{position}.{name}"]) for name in ("kernel", "expand"))
            spec = block_spec(plan, stage, position, kernel, expand)
            expected.append(mbconv(spec, size))
            size = halved(size, spec.stride)
    blocks = blocks_of(space, arch)
    assert list(blocks[1:-2]) == expected
    assert blocks[0].op == "stem"
    assert blocks[0].in_shape == (plan.channels, values["resolution"], values["resolution"])
    assert (blocks[-2].op, blocks[-2].in_shape) == ("final_expand", (plan.stages[-1].width, size, size))
    assert (blocks[-1].op, blocks[-1].in_shape) == ("head", (plan.final_expand, size, size))
    assert blocks[-1].get("classes") == plan.classes


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**32 - 1))
def test_blocks_fit_together(seed: int) -> None:
    blocks = blocks_of(TINY, TINY.architecture(sample(TINY, 1, np.random.default_rng(seed))[0]))
    for before, after in pairwise(blocks):
        params = dict(before.params)
        assert after.in_shape[0] == params["out"]
        assert after.in_shape[1] == halved(before.in_shape[1], int(params.get("s", 1)))
        assert ("res" in params) == (before.op == "mbconv" and params["s"] == 1 and before.in_shape[0] == params["out"])


@pytest.mark.parametrize("space", [TINY, ONE])
def test_the_vocabulary_is_sorted_distinct_and_all_used(space: SearchSpace) -> None:
    words = blockwise(space).vocabulary(space)
    keys = [b.key for b in words]
    assert keys == sorted(set(keys))
    ids = blockwise(space).block_ids(space, sample(space, 5000, np.random.default_rng(0)))
    assert ids.dtype == np.int32
    assert set(np.unique(ids)) == set(range(-1, len(words)))


def test_the_number_of_blocks_to_measure() -> None:
    # 91 inverted residuals, stem, final expand and head
    assert len(blockwise(ONE).vocabulary(ONE)) == 94


def test_groups_cover_the_choices_of_the_stages_once() -> None:
    groups = blockwise(OFA).groups(OFA)
    positions = [p for g in groups for p in g.choices]
    assert positions == list(range(1, len(OFA.choices)))
    assert OFA.choices[0].name == "resolution"
    for stage, group in enumerate(groups):
        assert all(OFA.choices[p].name.startswith(f"s{stage}.") for p in group.choices)


def test_choices_ascend_so_that_the_extremes_are_the_ends() -> None:
    smallest, largest = family_of(TINY).extremes(TINY)
    assert TINY.values(smallest.indices)["resolution"] == 16
    values = TINY.values(largest.indices)
    assert values["resolution"] == 32
    assert {values[f"s0.b3.{n}"] for n in ("kernel", "expand")} == {max(KERNELS), max(EXPANDS)}
    assert values["s0.depth"] == max(DEPTHS)
    assert "s0.b2.kernel" not in TINY.values(smallest.indices)


def test_resolutions_can_be_some_of_the_presets() -> None:
    space = find_space("tiny-32", SpaceOptions(resolutions=(28, 20)))
    assert space.choices[0].options == (20, 28)
    assert space.input_shape == (1, 28, 28)
    with pytest.raises(ConfigError, match="space 'tiny-32' has no resolution 21; it has 16, 20, 24, 28, 32"):
        find_space("tiny-32", SpaceOptions(resolutions=(20, 21)))


@pytest.mark.parametrize("options", [SpaceOptions(channels=0), SpaceOptions(classes=1), SpaceOptions(classes=-3)])
def test_data_that_is_none_is_refused(options: SpaceOptions) -> None:
    with pytest.raises(ConfigError, match="at least 1 channel and 2 classes"):
        find_space("tiny-32", options)


def test_a_space_of_one_resolution_is_a_part_of_the_whole() -> None:
    whole, part = blockwise(WIDE).vocabulary(WIDE), blockwise(ONE).vocabulary(ONE)
    assert {b.key for b in part} < {b.key for b in whole}


def test_an_architecture_is_described_by_its_blocks() -> None:
    smallest, largest = family_of(TINY).extremes(TINY)
    assert family_of(TINY).describe(TINY, smallest) == "16 px, 3x3 3x3, 3x3 3x3"
    assert family_of(TINY).describe(TINY, largest) == "32 px, 7x6 7x6 7x6 7x6, 7x6 7x6 7x6 7x6"
    mixed = TINY.parse({"resolution": 28, "s0.depth": 3, "s0.b2.kernel": 5, "s0.b2.expand": 6, "s1.b0.expand": 4})
    assert family_of(TINY).describe(TINY, mixed) == "28 px, 3x3 3x3 5x6, 3x4 3x3"
