"""What became slower between two tables, and two tables as one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hwnas.core.device import Measurement, MeasurePlan, Published
from hwnas.core.errors import RegressionError, TableError
from hwnas.latency.merging import merge
from hwnas.latency.table import LatencyTable
from hwnas.latency.tablediff import diff
from tests.latency.tables import make_table, tiny_space

TABLE = make_table(tiny_space(), networks=3)
KEYS = sorted(TABLE.entries)
CONTEXTS = [{"device": "pi4"}, {"runtime": "litert"}, {"precision": "int8"}, {"threads": 2}, {"batch": 8}, {"regime": "typical"}]


def times(factor: float, *keys: str) -> LatencyTable:
    """The table with some of its blocks slower."""
    slower = {key: replace(TABLE.entries[key], samples_ms=tuple(factor * s for s in TABLE.entries[key].samples_ms)) for key in keys}
    return replace(TABLE, entries={**TABLE.entries, **slower})


def part(*keys: str) -> LatencyTable:
    return replace(TABLE, entries={key: TABLE.entries[key] for key in keys}, networks={})


def test_what_surely_changed_is_told_with_its_interval() -> None:
    now = times(1.5, KEYS[3])
    now = replace(now, entries={**now.entries, **{key: times(0.5, key).entries[key] for key in KEYS[:1]}})
    found = diff(TABLE, now)
    assert [r.key for r in found.slower] == [KEYS[3]]
    assert [r.key for r in found.faster] == [KEYS[0]]
    slower = found.slower[0]
    assert 1 < slower.low < slower.ratio < slower.high
    assert slower.ratio == pytest.approx(1.5)
    assert (found.scale, found.added, found.removed) == (1.0, (), ())
    assert len(found.ratios) == len(TABLE.entries) + len(TABLE.networks)


def test_a_limit_is_held_against_the_end_of_the_interval_that_is_sure() -> None:
    found = diff(TABLE, times(1.2, KEYS[3]))
    low = found.slower[0].low - 1
    found.require_within(low + 1e-9)
    with pytest.raises(
        RegressionError, match=rf"bench/onnxruntime: 1 of \d+ are slower by more than .*, most of all {KEYS[3]}: "
    ) as caught:
        found.require_within(low - 1e-9)
    assert caught.value.exit_code == 7


def test_all_a_little_slower_is_seen_in_common() -> None:
    def noisy(factor: float) -> LatencyTable:
        entries = {key: Measurement(tuple(factor * (1 + 0.04 * (i - 5) / 5) for i in range(11)), 0) for key in KEYS}
        return replace(TABLE, entries=entries, networks={})

    found = diff(noisy(1.0), noisy(1.06))
    assert found.above(0.05) == ()
    with pytest.raises(RegressionError, match=r"all in common are 6\.0% slower \(at least 6\.0%\), more than 5\.0%"):
        found.require_within(0.05)
    found.require_within(0.07)


def test_an_unknown_interval_proves_nothing() -> None:
    def said(mean: float) -> LatencyTable:
        return replace(TABLE, plan=None, overhead=None, networks={}, entries={"b": Measurement((), 0, published=Published(1, mean))})

    found = diff(said(1.0), said(9.0))
    assert (found.slower, found.faster) == ((), ())
    assert found.ratios[0].ratio == 9


def test_what_only_one_table_has_is_listed() -> None:
    found = diff(part(*KEYS[:5]), part(*KEYS[2:8]))
    assert (found.removed, found.added) == (tuple(KEYS[:2]), tuple(KEYS[5:8]))
    with pytest.raises(TableError, match="nothing in common"):
        diff(part(*KEYS[:2]), part(*KEYS[2:4]))


@pytest.mark.parametrize("change", CONTEXTS)
def test_tables_of_two_contexts_are_neither_compared_nor_merged(change: dict[str, object]) -> None:
    other = replace(TABLE, **change)  # type: ignore[arg-type]
    for act in (lambda: diff(TABLE, other), lambda: merge([TABLE, other])):
        with pytest.raises(TableError, match="only tables of one context belong together"):
            act()


# ---- merging


def test_parts_make_the_whole() -> None:
    merged = merge([part(*KEYS[:5]), part(*KEYS[3:]), replace(TABLE, entries={})])
    assert merged.table == TABLE
    assert merged.left_out == ()


@pytest.mark.parametrize("what", ["entries", "networks", "overhead"])
def test_a_conflict_is_an_error_that_names_it(what: str) -> None:
    slower = Measurement((9.0,), 0)
    network = next(iter(TABLE.networks.values()))
    other = {
        "entries": times(1.1, KEYS[2]),
        "networks": replace(TABLE, networks={network.key: replace(network, measurement=slower)}),
        "overhead": replace(TABLE, overhead=slower),
    }[what]
    named = {"entries": KEYS[2], "networks": network.key, "overhead": "'overhead'"}[what]
    with pytest.raises(TableError, match="not the same") as caught:
        merge([TABLE, other])
    assert named in str(caught.value)


def test_facts_that_differ_are_left_out_and_told_but_never_what_timings_depend_on() -> None:
    one = replace(TABLE, facts={"cpu": "a", "quiet_share": 0.5, "governor": None, "seconds": 3})
    other = replace(TABLE, facts={"cpu": "a", "quiet_share": 0.7, "governor": "performance", "seconds": 3})
    merged = merge([one, other, one])
    assert merged.left_out == ("quiet_share",)
    assert merged.table.facts == {"cpu": "a", "governor": "performance", "seconds": 3}
    with pytest.raises(TableError, match="runtime_version 1 in one table, 2 in another; such times do not belong together"):
        merge([replace(TABLE, facts={"runtime_version": "1"}), replace(TABLE, facts={"runtime_version": "2"})])


def test_one_table_and_another_plan_cannot_be_merged() -> None:
    with pytest.raises(TableError, match="at least two tables"):
        merge([TABLE])
    with pytest.raises(TableError, match="not measured by the same plan"):
        merge([TABLE, replace(TABLE, plan=MeasurePlan(warmup=9))])
    with pytest.raises(TableError, match="not measured by the same plan"):
        merge([TABLE, replace(TABLE, plan=None)])
