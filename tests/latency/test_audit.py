"""What an audit finds in a table that is wrong in one way, and that it finds nothing in one that is right."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.reference import DATA, MISSING
from hwnas.core.device import Measurement, MeasurePlan, Published
from hwnas.core.errors import TableError
from hwnas.latency.audit import KINDS, Finding, audit
from hwnas.latency.blockwork import Work, work_of
from hwnas.latency.importing import Origin, import_table
from hwnas.latency.table import LatencyTable
from hwnas.space.family import FAMILIES, Blockwise, SpaceOptions, blockwise, find_space
from tests.latency.tables import measurement

SPACE = find_space("ofa-w1.0", SpaceOptions(resolutions=(160,)))


def cost_ms(work: Work) -> float:
    """A phone's core: ten thousand million multiply-accumulates and five thousand million elements a second, and 2 us a call."""
    return 0.002 + (work.dense_macs + 2 * work.depthwise_macs) / 1e7 + work.elements / 5e6


def made() -> LatencyTable:
    rng = np.random.default_rng(0)
    works = {block.key: work_of(block.key) for block in blockwise(SPACE).vocabulary(SPACE)}
    entries = {key: measurement(cost_ms(work), rng, noise=0.01) for key, work in works.items() if work is not None}
    return LatencyTable("phone", "litert", "fp32", 1, 1, "quiet", MeasurePlan(), {}, None, entries)


TABLE = made()
MBCONV = [key for key in sorted(TABLE.entries) if key.startswith("mbconv") and "mid16-" not in key]


def scaled(table: LatencyTable, factor: float, keys: Collection[str] | None = None) -> LatencyTable:
    def at(key: str, m: Measurement) -> Measurement:
        return m if keys is not None and key not in keys else replace(m, samples_ms=tuple(factor * sample for sample in m.samples_ms))

    return replace(table, entries={key: at(key, m) for key, m in table.entries.items()})


def kinds(found: tuple[Finding, ...]) -> set[str]:
    assert all(finding.kind in KINDS and "\n" not in finding.line for finding in found)
    return {finding.kind for finding in found}


def test_a_right_table_has_no_findings() -> None:
    assert audit(TABLE, [SPACE], before=scaled(TABLE, 1.02)) == ()


@pytest.mark.skipif(not DATA.is_dir(), reason=MISSING)
@pytest.mark.parametrize("name", ["note10_block_lut.csv", "proxylessnas_pixel1_block_lut.csv"])
def test_the_published_tables_have_no_findings_but_in_seconds(name: str) -> None:
    table = import_table([DATA / "ofa" / name], Origin("phone", "tflite", "fp32", 1, 1, "typical")).table
    assert audit(table) == ()
    for factor, words in ((1e-3, "are the times in seconds?"), (1e3, "are the times in microseconds?")):
        entries = {
            key: replace(m, published=Published(said.count, factor * said.mean_ms, factor * (said.std_ms or 0.0)))
            for key, m in table.entries.items()
            if (said := m.published) is not None
        }
        (finding,) = audit(replace(table, entries=entries))
        assert finding.kind == "units"
        assert words in finding.line


def test_missing_blocks_are_counted_and_the_first_is_named() -> None:
    gone = sorted(TABLE.entries)[3:6]
    left = replace(TABLE, entries={key: m for key, m in TABLE.entries.items() if key not in gone})
    (finding,) = audit(left, [SPACE])
    assert finding.line == f"missing: 3 of {len(TABLE.entries)} blocks of space 'ofa-w1.0' at 160 px, first {gone[0]}"
    other = find_space("ofa-w1.0", SpaceOptions(resolutions=(224,)))
    assert [f.kind for f in audit(TABLE, [SPACE, other])] == ["missing"]


@settings(max_examples=10)
@given(key=st.sampled_from(MBCONV), factor=st.sampled_from([0.2, 3.0, 10.0]))
def test_one_time_that_is_far_off_is_an_outlier(key: str, factor: float) -> None:
    found = audit(scaled(TABLE, factor, {key}))
    assert [f.key for f in found if f.kind == "outlier"] == [key]
    assert kinds(found) <= {"outlier", "ordering"}


@pytest.mark.parametrize("name", ["k", "mid"])
def test_a_larger_block_that_is_faster_is_an_impossible_ordering(name: str) -> None:
    larger = next(key for key in MBCONV if "-k7-" in key and "-in112x10x10-" in f"-{key}-".replace("mbconv-", "") and "mid672" in key)
    work = work_of(larger)
    assert work is not None
    alike = [key for key in MBCONV if (other := work_of(key)) is not None and other.others(name) == work.others(name)]
    smaller = sorted(alike, key=lambda key: work_of(key).numbers[name])[-2]  # type: ignore[union-attr]
    swapped = {**TABLE.entries, larger: scaled(TABLE, 0.85).entries[smaller]}
    found = audit(replace(TABLE, entries=swapped))
    assert larger in {f.key for f in found if f.kind == "ordering"}
    assert any(f"though with {'kernel 5' if name == 'k' else 'expansion to 448'} it takes" in f.line for f in found)


def test_a_larger_block_that_is_as_fast_within_noise_is_none() -> None:
    larger = next(key for key in MBCONV if "-k7-" in key)
    smaller = larger.replace("-k7-", "-k5-")
    entries = {**TABLE.entries, larger: scaled(TABLE, 0.97).entries[smaller]}
    assert "ordering" not in kinds(audit(replace(TABLE, entries=entries)))


def test_a_kernel_that_reaches_everything_already_has_no_more_to_do() -> None:
    keys = {k: f"mbconv-in8x2x2-out8-k{k}-mid24-s1-relu-res" for k in (3, 5, 7)}
    entries = {keys[k]: Measurement((ms,) * 20, 0) for k, ms in ((3, 0.3), (5, 0.2), (7, 0.1))}
    assert "ordering" not in kinds(audit(replace(TABLE, entries=entries)))
    wide = {key.replace("x2x2", "x8x8"): m for key, m in entries.items()}
    assert "ordering" in kinds(audit(replace(TABLE, entries=wide)))


@pytest.mark.parametrize("unit", [1e-3, 1e3])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 0.7, 1.0])
def test_times_in_another_unit_are_caught_however_many(unit: float, share: float) -> None:
    keys = sorted(TABLE.entries)
    chosen = np.random.default_rng(1).permutation(keys)[: max(1, int(share * len(keys)))]
    found = audit(scaled(TABLE, unit, {str(key) for key in chosen}))
    assert kinds(found) == {"units"}
    if share == 1:
        assert ("seconds" if unit < 1 else "microseconds") in found[0].line
    else:
        assert f" of {len(keys)} blocks are as if in another unit, worst " in found[0].line


@pytest.mark.parametrize(
    ("change", "factor", "caught"),
    [({"runtime": "torch-cuda"}, 0.02, False), ({}, 0.02, True), ({"precision": "int8"}, 0.05, False), ({"threads": 8}, 0.05, False)],
)
def test_how_fast_is_possible_depends_on_the_context(change: dict[str, object], factor: float, caught: bool) -> None:
    fast = scaled(replace(TABLE, **change), factor)  # type: ignore[arg-type]
    assert ("units" in kinds(audit(fast))) is caught


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda: scaled(TABLE, 1.3), "30.0% slower in common since the older table"),
        (lambda: scaled(TABLE, 1.4, MBCONV[::2]), "nine of ten blocks within"),
    ],
)
def test_drift_is_told(change: Callable[[], LatencyTable], says: str) -> None:
    found = audit(change(), before=TABLE)
    assert "drift" in kinds(found)
    assert says in next(f.line for f in found if f.kind == "drift")


def test_drift_that_cannot_be_told_is_a_finding() -> None:
    entries = {key: Measurement((), 0, published=Published(1, m.quantile_ms("p50"))) for key, m in TABLE.entries.items()}
    unsure = replace(TABLE, entries=entries)
    (finding,) = audit(unsure, before=unsure)
    assert finding.line.startswith("drift: cannot be told")


def test_an_older_table_of_another_context_or_of_nothing_in_common_is_refused() -> None:
    with pytest.raises(TableError, match="precision int8, not fp32; only tables of one context belong together"):
        audit(TABLE, before=replace(TABLE, precision="int8"))
    with pytest.raises(TableError, match="no block in common"):
        audit(TABLE, before=replace(TABLE, entries={}))


# ---- the work of a block


def test_work_is_counted_by_hand() -> None:
    work = work_of("mbconv-in8x10x10-out16-k5-mid24-s2-hswish-se")
    assert work is not None
    # expansion at 10x10, projection at 5x5, squeeze and excitation through 8 channels
    assert work.dense_macs == 8 * 24 * 100 + 24 * 16 * 25 + 2 * 24 * 8
    assert work.depthwise_macs == 24 * 25 * 25
    assert work.elements == (8 + 24) * 100 + (2 * 24 + 16) * 25
    assert work_of("head-in64x7x7-mix32-classes10@224").macs == 64 * 32 + 32 * 10  # type: ignore[union-attr]
    assert work_of("head-in64x7x7-classes10").macs == 64 * 10  # type: ignore[union-attr]
    assert work_of("stem-in3x32x32-out8-k3-s2-relu6").macs == 3 * 8 * 9 * 16 * 16  # type: ignore[union-attr]


CHAINS = [preset.name for family in map(FAMILIES.get, FAMILIES) if isinstance(family, Blockwise) for preset in family.presets()]


@pytest.mark.parametrize("name", CHAINS)
def test_the_work_of_every_block_of_every_chain_is_known(name: str) -> None:
    space = find_space(name)
    works = [work_of(block.key) for block in blockwise(space).vocabulary(space)]
    assert all(work is not None and work.macs > 0 and work.elements > 0 for work in works)


@pytest.mark.parametrize("key", ["", "cell", "cell-12", "cell-in3x3x3-out4", "mbconv-in8x10x10-out16", "head-in8x1x1-out3", "in8x1x1"])
def test_of_other_keys_no_work_is_known(key: str) -> None:
    assert work_of(key) is None
