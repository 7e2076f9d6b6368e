"""The published Note10 block table and the nets published for it: imported and summed, the table gives their latencies."""

import pytest

from benchmarks.latency.note10_sums import SUMS_MS, architecture, note10, published_nets, sum_ms
from benchmarks.reference import DATA, MISSING
from hwnas.space.family import find_space

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=MISSING)


@pytest.fixture(scope="module")
def table():
    return note10()


@pytest.mark.parametrize("net", range(len(SUMS_MS)))
def test_sums_are_those_of_the_published_nets(table, net: int) -> None:
    row = published_nets()[net]
    assert sum_ms(table.at_resolution(int(row["image_size"])), row) == pytest.approx(SUMS_MS[net], abs=0.01)


def test_sizes_that_share_a_block_are_pooled_to_about_the_same(table) -> None:
    for row in published_nets():
        assert sum_ms(table, row) == pytest.approx(sum_ms(table.at_resolution(int(row["image_size"])), row), rel=0.001)


def test_blocks_of_the_published_nets_are_those_of_the_space() -> None:
    space = find_space("ofa-w1.2")
    depths = [[space.values(architecture(row, space).indices)[f"s{s}.depth"] for s in range(5)] for row in published_nets()]
    assert depths == [[2, 3, 3, 3, 4], [2, 3, 4, 4, 4], [3, 4, 4, 4, 3]]
