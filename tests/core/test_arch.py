from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.core.arch import MAX_OPTIONS, Architecture, Block, Choice, Condition, SearchSpace, constants_of, with_constants
from hwnas.core.errors import ConfigError, UnknownNameError


@st.composite
def spaces(draw: st.DrawFn) -> SearchSpace:
    """Small spaces with conditions of any depth; each choice may depend on any before it."""
    choices: list[Choice] = []
    for i in range(draw(st.integers(1, 6))):
        options = tuple(range(10, 10 + draw(st.integers(1, 4))))
        condition = None
        dependent: bool = draw(st.booleans())
        if choices and dependent:
            parent = draw(st.sampled_from(choices))
            chosen = draw(st.lists(st.sampled_from(parent.options), min_size=0, unique=True))
            condition = Condition(parent.name, tuple(chosen))
        choices.append(Choice(f"c{i}", options, condition))
    return SearchSpace("test", "drawn", (1, 4, 4), tuple(choices))


@st.composite
def populations(draw: st.DrawFn) -> tuple[SearchSpace, np.ndarray]:
    space = draw(spaces())
    n = draw(st.integers(0, 5))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return space, rng.integers(0, space.n_options, size=(n, len(space.choices)), dtype=np.int16)


def active_by_hand(space: SearchSpace, row: np.ndarray) -> list[bool]:
    on: dict[str, bool] = {}
    for choice in space.choices:
        condition = choice.active_if
        if condition is None:
            on[choice.name] = True
        else:
            parent = space.choices[space.index(condition.choice)]
            on[choice.name] = on[parent.name] and parent.options[row[space.index(parent.name)]] in condition.options
    return list(on.values())


@settings(deadline=None)
@given(populations())
def test_activity_follows_the_conditions(drawn: tuple[SearchSpace, np.ndarray]) -> None:
    space, codes = drawn
    assert space.active(codes).tolist() == [active_by_hand(space, row) for row in codes]


@settings(deadline=None)
@given(populations())
def test_canonical_form_is_a_fixed_point_that_changes_no_meaning(drawn: tuple[SearchSpace, np.ndarray]) -> None:
    space, codes = drawn
    canonical = space.canonical(codes)
    assert canonical.dtype == np.int16
    np.testing.assert_array_equal(space.canonical(canonical), canonical)
    np.testing.assert_array_equal(space.active(canonical), space.active(codes))
    assert [space.values(row) for row in canonical] == [space.values(row) for row in codes]
    space.check(canonical)


@settings(deadline=None)
@given(spaces())
def test_the_size_counts_architectures(space: SearchSpace) -> None:
    codes = np.indices(tuple(int(n) for n in space.n_options)).reshape(len(space.choices), -1).T.astype(np.int16)
    assert space.size == len(np.unique(space.canonical(codes), axis=0))


@settings(deadline=None)
@given(populations())
def test_values_lead_back_to_the_architecture(drawn: tuple[SearchSpace, np.ndarray]) -> None:
    space, codes = drawn
    for row in codes:
        arch = space.architecture(row)
        assert space.parse(space.values(row)) == arch
        assert arch.id == space.architecture(space.canonical(row[None])[0]).id
        np.testing.assert_array_equal(arch.codes, space.canonical(row[None]))
        assert arch.space_id == space.id


DEEP = SearchSpace(
    "test",
    "deep",
    (3, 8, 8),
    (Choice("depth", (1, 2)), Choice("kernel", (3, 5), Condition("depth", (2,))), Choice("act", ("relu", "gelu"))),
)


def test_names_and_ids() -> None:
    assert DEEP.index("act") == 2
    with pytest.raises(UnknownNameError, match="space 'deep' has no choice 'kernal'; did you mean 'kernel'"):
        DEEP.index("kernal")
    assert DEEP.id == SearchSpace("test", "deep", (3, 8, 8), DEEP.choices).id
    others = [
        SearchSpace("test", "deep", (3, 8, 16), DEEP.choices),
        SearchSpace("test", "deep", (3, 8, 8), DEEP.choices[:2]),
        SearchSpace("test", "deep", (3, 8, 8), DEEP.choices, with_constants(width=8)),
        SearchSpace("other", "deep", (3, 8, 8), DEEP.choices),
    ]
    assert len({DEEP.id, *(s.id for s in others)}) == 5
    assert constants_of(others[2]) == {"width": 8}
    assert constants_of(DEEP) == {}
    assert {DEEP: 1}[SearchSpace("test", "deep", (3, 8, 8), DEEP.choices)] == 1


def test_ids_are_the_same_everywhere() -> None:
    # written down, because stored tables and predictors hold them
    assert DEEP.id == "180c923c174ddba5"
    assert DEEP.architecture([1, 1, 0]).id == "0f2d98bca51a25db"


@pytest.mark.parametrize(
    ("choices", "says"),
    [
        ((Choice("a", (1,)), Choice("a", (1,))), "two choices named 'a'"),
        ((Choice("a", (1,), Condition("b", (1,))), Choice("b", (1,))), "'a' depends on 'b', which does not come before it"),
        ((Choice("a", (1,), Condition("a", (1,))),), "does not come before it"),
    ],
)
def test_spaces_that_cannot_be_are_refused(choices: tuple[Choice, ...], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        SearchSpace("test", "bad", (1, 1, 1), choices)


def test_choices_that_cannot_be_are_refused() -> None:
    with pytest.raises(ConfigError, match="'a' has 0 options"):
        Choice("a", ())
    with pytest.raises(ConfigError, match="lists an option twice"):
        Choice("a", (3, 3))
    with pytest.raises(ConfigError, match=f"1 to {MAX_OPTIONS} are possible"):
        Choice("a", tuple(range(MAX_OPTIONS + 1)))
    assert len(Choice("a", tuple(range(MAX_OPTIONS))).options) == MAX_OPTIONS


@pytest.mark.parametrize(
    "codes",
    [np.zeros((2, 2), np.int16), np.zeros(3, np.int16), np.array([[2, 0, 0]]), np.array([[0, 0, -1]]), np.array([[0, 1, 0]])],
)
def test_codes_of_another_space_are_refused(codes: np.ndarray) -> None:
    with pytest.raises(ConfigError, match="space 'deep'"):
        DEEP.check(codes.astype(np.int16))


@pytest.mark.parametrize("code", [[0, 0], [0, 0, 2], [-1, 0, 0], [0, 0, 0, 0], [0, 0, 65536]])
def test_an_architecture_of_another_space_is_refused(code: list[int]) -> None:
    with pytest.raises(ConfigError, match="is not an architecture of space 'deep'"):
        DEEP.architecture(code)


@pytest.mark.parametrize(
    ("values", "error", "says"),
    [
        ({"depth": 3}, ConfigError, "choice 'depth' has no option 3; it has 1, 2"),
        ({"act": "silu"}, ConfigError, "choice 'act' has no option 'silu'; it has 'relu', 'gelu'"),
        ({"dept": 1}, UnknownNameError, "did you mean 'depth'"),
    ],
)
def test_values_that_are_none_are_refused(values: dict[str, Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        DEEP.parse(values)


def test_choices_left_out_are_at_their_first_option() -> None:
    assert DEEP.parse({"act": "gelu"}) == Architecture(DEEP.id, (0, 0, 1))
    assert DEEP.values([0, 1, 1]) == {"depth": 1, "act": "gelu"}


def test_a_block_is_named_by_what_it_is() -> None:
    block = Block("mbconv", (16, 32, 32), (("out", 24), ("k", 3), ("act", "relu"), ("rate", 0.5)))
    assert block.key == "mbconv-in16x32x32-out24-k3-relu-rate0.5"
    assert block.get("k") == 3
    with pytest.raises(KeyError):
        block.get("se")
