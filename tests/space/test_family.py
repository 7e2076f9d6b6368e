import subprocess
import sys

import numpy as np
import pytest

from hwnas.core.arch import SearchSpace
from hwnas.core.errors import ConfigError, UnknownNameError
from hwnas.space.family import FAMILIES, Blockwise, SpaceOptions, blocks_of, blockwise, family_of, find_space
from hwnas.space.moves import sample


def test_a_space_is_found_by_its_name_in_any_family() -> None:
    space = find_space("tiny-32")
    assert (space.family, space.name) == ("mobilenet_v3", "tiny-32")
    assert find_space("tiny-32", family="mobilenet_v3").id == space.id
    assert family_of(space) is FAMILIES.get("mobilenet_v3")
    assert isinstance(blockwise(space), Blockwise)


def test_unknown_names_get_a_suggestion() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown space 'ofa-w1\.1'; did you mean 'ofa-w1"):
        find_space("ofa-w1.1")
    with pytest.raises(UnknownNameError, match="unknown space family 'mobilnet'; did you mean 'mobilenet_v3'"):
        find_space("tiny-32", family="mobilnet")
    with pytest.raises(UnknownNameError, match="unknown space family 'gone'"):
        family_of(SearchSpace("gone", "x", (1, 1, 1), ()))


def test_a_family_without_blocks_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FAMILIES._items, "cells", object())
    with pytest.raises(ConfigError, match="space 'c': the latency of family 'cells' does not decompose into blocks"):
        blockwise(SearchSpace("cells", "c", (1, 1, 1), ()))


@pytest.mark.parametrize("family", FAMILIES.names())
def test_every_preset_is_a_space_of_its_name(family: str) -> None:
    """The contract of a family, over all of its presets."""
    maker = FAMILIES.get(family)
    names = [preset.name for preset in maker.presets()]
    assert len(names) == len(set(names)) > 0
    for preset in maker.presets():
        space = maker.space(preset.name)
        assert (space.name, space.family) == (preset.name, family)
        assert preset.summary
        smallest, largest = maker.extremes(space)
        assert maker.resolution(space, smallest) <= maker.resolution(space, largest) == space.input_shape[1]
        if isinstance(maker, Blockwise):
            assert blocks_of(space, smallest)
            assert len(blocks_of(space, smallest)) <= len(blocks_of(space, largest))


@pytest.mark.parametrize("name", [preset.name for family in FAMILIES for preset in FAMILIES.get(family).presets()])
def test_every_chain_of_blocks_is_looked_up_alike(name: str) -> None:
    """The contract of `Blockwise`, over all presets: a vectorised lookup into a sorted vocabulary, by groups that cover the choices."""
    space = find_space(name)
    family = FAMILIES.get(space.family)
    if not isinstance(family, Blockwise):
        pytest.skip(f"the latency of family '{space.family}' does not decompose into blocks")
    words = family.vocabulary(space)
    codes = sample(space, 64, np.random.default_rng(0))
    ids = family.block_ids(space, codes)
    assert [word.key for word in words] == sorted({word.key for word in words})
    assert (ids.dtype, ids.min() >= -1, ids.max() < len(words)) == (np.int32, True, True)
    assert np.array_equal(ids[:1], family.block_ids(space, codes[:1]))
    grouped = [position for group in family.groups(space) for position in group.choices]
    assert len(grouped) == len(set(grouped))
    # what a group runs depends on its own choices and those of no group: another group's leave its blocks alone
    whole = [position for position in range(len(space.choices)) if position not in grouped]
    for group in family.groups(space):
        changed = codes.copy()
        changed[:, group.choices] = np.roll(codes, 1, axis=0)[:, group.choices]
        changed[:, whole] = codes[:, whole]
        differs = (family.block_ids(space, changed) != ids).any(axis=0)
        assert differs.sum() <= len(group.choices)


def test_options_change_what_a_space_is() -> None:
    plain = find_space("tiny-32")
    assert find_space("tiny-32", SpaceOptions(channels=3, classes=4)).id != plain.id
    assert find_space("tiny-32", SpaceOptions(channels=3)).input_shape == (3, 32, 32)


def test_importing_the_package_is_enough_to_know_its_families() -> None:
    code = "from hwnas.space.family import find_space; print(find_space('tiny-32').name); import sys; assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "tiny-32"
