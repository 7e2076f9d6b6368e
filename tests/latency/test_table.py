import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hwnas.core.device import Measurement, Published
from hwnas.core.errors import TableError
from hwnas.latency.table import LatencyTable, Network, base_key, key_at, table_path
from hwnas.space.family import blockwise
from tests.latency.tables import make_table, tiny_space

SPACE = tiny_space()
CONTEXT: dict[str, Any] = {"device": "bench", "runtime": "onnxruntime", "precision": "fp32", "threads": 1, "batch": 1, "regime": "quiet"}


@pytest.fixture(scope="module")
def table() -> LatencyTable:
    return make_table(SPACE, networks=3)


def test_the_right_context_is_accepted(table: LatencyTable) -> None:
    table.require(**CONTEXT)
    assert table.context == CONTEXT
    assert table.label == "bench/onnxruntime"


@pytest.mark.parametrize(
    ("name", "other"),
    [("device", "pi4"), ("runtime", "litert"), ("precision", "int8"), ("threads", 2), ("batch", 8), ("regime", "typical")],
)
def test_another_context_is_refused_and_named(table: LatencyTable, name: str, other: object) -> None:
    with pytest.raises(TableError) as caught:
        table.require(**{**CONTEXT, name: other})
    assert str(caught.value).count("\n") == 0
    assert f"{name} {CONTEXT[name]}, not {other}" in str(caught.value)
    assert "hwnas profile" in str(caught.value)


def test_missing_blocks_are_counted_and_the_first_is_named(table: LatencyTable) -> None:
    words = blockwise(SPACE).vocabulary(SPACE)
    gone = [words[4], words[9], words[10]]
    partial = replace(table, entries={k: m for k, m in table.entries.items() if k not in {b.key for b in gone}})
    assert partial.missing(words) == tuple(gone)
    with pytest.raises(TableError) as caught:
        partial.require_blocks(words)
    assert str(caught.value) == (
        f"bench/onnxruntime: 3 of {len(words)} blocks are not in the table, first {gone[0].key}; run 'hwnas profile bench' to measure them"
    )
    table.require_blocks(words)


def test_networks_of_a_space_are_sorted_and_of_no_other_space(table: LatencyTable) -> None:
    own = table.networks_of(SPACE.id)
    assert [n.key for n in own] == sorted(table.networks)
    assert table.networks_of(tiny_space(24).id) == ()


@pytest.mark.parametrize("sample", [math.nan, math.inf, -1.0, 0.0])
@pytest.mark.parametrize("where", ["entries", "networks", "overhead"])
def test_a_sample_that_is_no_time_is_refused(table: LatencyTable, sample: float, where: str) -> None:
    bad = Measurement((1.0, sample), rejected=0)
    network = next(iter(table.networks.values()))
    change = {
        "entries": {"entries": {**table.entries, "extra": bad}},
        "networks": {"networks": {network.key: Network(network.arch, bad)}},
        "overhead": {"overhead": bad},
    }[where]
    with pytest.raises(TableError, match="finite and above 0"):
        replace(table, **change)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (Measurement((), rejected=3), "no samples"),
        (Measurement((1.0,), rejected=-1), "-1 rejected"),
        (Measurement((1.0,), rejected=0, load_ms=math.nan), "load_ms nan"),
        (Measurement((1.0,), rejected=0, first_ms=-2.0), r"first_ms -2\.0"),
        (Measurement((1.0,), rejected=0, published=Published(1, 1.0)), "both samples and a published mean"),
        (Measurement((), rejected=0, published=Published(1, math.nan)), "a mean of nan ms"),
        (Measurement((), rejected=0, published=Published(1, 0.0)), r"a mean of 0\.0 ms"),
        (Measurement((), rejected=0, published=Published(9, 1.0, -0.1)), r"a standard deviation of -0\.1 ms"),
        (Measurement((), rejected=0, published=Published(9, 1.0, math.inf)), "a standard deviation of inf ms"),
        (Measurement((), rejected=0, published=Published(0, 1.0)), "a count of 0"),
    ],
)
def test_a_measurement_that_cannot_be_is_refused_by_name(table: LatencyTable, bad: Measurement, says: str) -> None:
    with pytest.raises(TableError, match=f"bench/onnxruntime: 'odd-block' has .*{says}"):
        replace(table, entries={"odd-block": bad})


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"device": "../etc"}, "device '../etc'"),
        ({"device": ""}, "device ''"),
        ({"runtime": "a/b"}, "runtime 'a/b'"),
        ({"precision": "fp64"}, "unknown precision 'fp64'; known: fp32, fp16, bf16, int8"),
        ({"regime": "calm"}, "unknown regime 'calm'"),
        ({"threads": 0}, "at least 1"),
        ({"batch": 0}, "at least 1"),
    ],
)
def test_a_context_that_cannot_be_is_refused(table: LatencyTable, change: dict[str, object], says: str) -> None:
    with pytest.raises(TableError, match=says):
        replace(table, **change)  # type: ignore[arg-type]


def test_a_block_at_one_size_takes_the_place_of_the_pooled_one(table: LatencyTable) -> None:
    one, other = sorted(table.entries)[:2]
    own = Measurement((9.0,), rejected=0)
    both = replace(table, entries={**table.entries, key_at(one, 20): own})
    assert both.blocks == table.entries
    assert base_key(key_at(one, 20)) == base_key(one) == one
    at = both.at_resolution(20)
    assert (at.entries[one], at.entries[other]) == (own, table.entries[other])
    assert both.at_resolution(24) == table


def test_a_network_under_a_foreign_key_is_refused(table: LatencyTable) -> None:
    network = next(iter(table.networks.values()))
    with pytest.raises(TableError, match="its key must be"):
        replace(table, networks={"net:0123456789abcdef": network})


def test_the_path_says_the_whole_context() -> None:
    path = table_path(Path("latency_tables"), device="pi4", runtime="litert", precision="int8", threads=4, batch=2, regime="busy")
    assert path == Path("latency_tables/pi4/litert-int8-t4-b2-busy.json")
