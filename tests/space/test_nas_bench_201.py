import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.core.errors import ConfigError
from hwnas.space.family import SpaceOptions, find_space
from hwnas.space.moves import sample
from hwnas.space.nas_bench_201 import NasBench201, parse_cell

FAMILY = NasBench201()
SPACE = find_space("nas-bench-201")
CELLS = st.lists(st.integers(0, 4), min_size=6, max_size=6).map(lambda row: np.array([row], dtype=np.int16))


def test_a_published_string_is_read_and_written() -> None:
    text = "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_3x3~0|none~1|skip_connect~2|"
    arch = parse_cell(SPACE, text)
    assert arch.indices == (4, 2, 1, 3, 0, 1)
    assert FAMILY.describe(SPACE, arch) == text
    with pytest.raises(ConfigError, match="is not a cell of space 'nas-bench-201'"):
        parse_cell(SPACE, text.replace("none", "max_pool"))


def test_there_are_15625_cells() -> None:
    assert SPACE.size == 15_625
    with pytest.raises(ConfigError, match="has no resolution 64; it has 32"):
        find_space("nas-bench-201", SpaceOptions(resolutions=(64,)))


@settings(max_examples=60, deadline=None)
@given(CELLS)
def test_isomorphic_cells_have_one_representative(cell: np.ndarray) -> None:
    """Without an edge between them, the inner nodes can change places; what is executed stays the same, and so does being connected."""
    own = FAMILY.representative(SPACE, cell)
    assert np.array_equal(FAMILY.representative(SPACE, own), own)
    if cell[0, 2] == 0:
        assert np.array_equal(FAMILY.representative(SPACE, cell[:, [1, 0, 2, 3, 5, 4]]), own)
    else:
        assert np.array_equal(own, cell)
    for name, counts in FAMILY.executed(SPACE, cell).items():
        assert np.array_equal(FAMILY.executed(SPACE, own)[name], counts)
    assert FAMILY.connected(SPACE, own) == FAMILY.connected(SPACE, cell)


def test_what_no_output_needs_is_told_from_what_is_written() -> None:
    # 0->1 and 1->2 end at node 2, which has no edge to the output
    cell = np.array([[3, 0, 2, 1, 0, 0]], dtype=np.int16)
    executed = FAMILY.executed(SPACE, cell)
    assert executed["written"].tolist() == [[1, 1, 1, 0]]
    assert executed["needed"].tolist() == [[1, 0, 0, 0]]
    assert FAMILY.connected(SPACE, cell).tolist() == [True]
    assert FAMILY.connected(SPACE, np.array([[3, 3, 3, 0, 0, 0]], dtype=np.int16)).tolist() == [False]


def test_needed_is_never_more_than_written() -> None:
    codes = sample(SPACE, 500, np.random.default_rng(0))
    executed = FAMILY.executed(SPACE, codes)
    assert (executed["needed"] <= executed["written"]).all()
    assert (executed["needed"].sum(axis=1) < executed["written"].sum(axis=1)).any()


@settings(max_examples=60, deadline=None)
@given(CELLS)
def test_what_works_is_on_a_path_from_input_to_output(cell: np.ndarray) -> None:
    paths = [[3], [0, 4], [1, 5], [0, 2, 5]]  # by position of their edges
    on = {edge for path in paths if all(cell[0, edge] > 0 for edge in path) for edge in path}
    wanted = [int(cell[0, edge]) if edge in on else 0 for edge in range(6)]
    assert FAMILY.working(SPACE, cell).tolist() == [wanted]
