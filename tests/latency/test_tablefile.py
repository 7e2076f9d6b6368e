import gzip
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import jsonschema  # type: ignore[import-untyped]
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hwnas.core.arch import Architecture
from hwnas.core.device import PRECISIONS, REGIMES, Measurement, MeasurePlan, Published
from hwnas.core.errors import TableError
from hwnas.core.serial import canonical_json
from hwnas.latency import tablefile
from hwnas.latency.table import LatencyTable, Network
from hwnas.latency.tablefile import read_table, samples_path, write_table
from hwnas.latency.tableformat import render
from tests.latency.tables import make_table, tiny_space

T = TypeVar("T")
ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden"
SCHEMA = json.loads(tablefile.SCHEMA.read_text(encoding="utf-8"))


def small_table(seed: int = 0) -> LatencyTable:
    table = make_table(tiny_space(), networks=2, seed=seed)
    return replace(table, entries=dict(list(table.entries.items())[:4]))


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    return write_table(small_table(), tmp_path)


def turn(items: Mapping[str, T]) -> dict[str, T]:
    return dict(reversed(list(items.items())))


def rehash(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change a table as a forger would who knows about the hash."""
    document = json.loads(path.read_text())
    change(document)
    document["sha256"] = hashlib.sha256(canonical_json({k: v for k, v in document.items() if k != "sha256"}).encode()).hexdigest()
    path.write_text(render(document))


def restore_samples(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the samples and everything that vouches for them, but not the lines."""
    beside = samples_path(path)
    samples = json.loads(gzip.decompress(beside.read_bytes()))
    change(samples)
    raw = canonical_json(samples).encode()
    beside.write_bytes(gzip.compress(raw))
    rehash(path, lambda d: d.update(samples_sha256=hashlib.sha256(raw).hexdigest()))


def test_what_is_written_is_read_back_whole(tmp_path: Path) -> None:
    table = make_table(tiny_space(20, 24))
    path = write_table(table, tmp_path)
    assert path == tmp_path / "bench" / "onnxruntime-fp32-t1-b1-quiet.json"
    assert read_table(path) == table


def test_the_same_table_gives_the_same_bytes_in_any_order(tmp_path: Path) -> None:
    table = small_table()
    turned = replace(table, entries=turn(table.entries), networks=turn(table.networks))
    one, other = write_table(table, tmp_path / "a"), write_table(turned, tmp_path / "b")
    assert one.read_bytes() == other.read_bytes()
    assert samples_path(one).read_bytes() == samples_path(other).read_bytes()


def test_one_block_that_became_slower_changes_one_entry_line(tmp_path: Path) -> None:
    table = small_table()
    key = sorted(table.entries)[1]
    slower = replace(table.entries[key], samples_ms=tuple(2 * s for s in table.entries[key].samples_ms))
    before = write_table(table, tmp_path / "a").read_text().splitlines()
    after = write_table(replace(table, entries={**table.entries, key: slower}), tmp_path / "b").read_text().splitlines()
    changed = [new for old, new in zip(before, after, strict=True) if old != new]
    assert [line.split(":")[0].strip('"') for line in changed] == ["sha256", "samples_sha256", key]


def test_entries_are_sorted_one_a_line(stored: Path) -> None:
    lines = stored.read_text().splitlines()
    start = lines.index('"entries": {') + 1
    keys = [line.split('"')[1] for line in lines[start : lines.index("},", start)]]
    assert keys == sorted(small_table().entries)


def test_a_line_repeats_what_the_samples_give(stored: Path) -> None:
    table = small_table()
    key, measured = next(iter(table.entries.items()))
    line = json.loads(stored.read_text())["entries"][key]
    assert line["n"] == len(measured.samples_ms)
    assert line["p50_ms"] == pytest.approx(measured.quantile_ms("p50"), abs=1e-6)
    assert line["p99_ms"] == pytest.approx(measured.quantile_ms("p99"), abs=1e-6)
    assert line["ci95_ms"] == pytest.approx(list(measured.interval_ms("p50")), abs=1e-6)
    assert (line["rejected"], line["load_ms"], line["first_ms"]) == (measured.rejected, measured.load_ms, measured.first_ms)


def test_absent_values_and_facts_survive(tmp_path: Path) -> None:
    bare = Measurement((0.5,), rejected=0)
    rich = Measurement((0.5, 0.25), rejected=1, peak_memory_bytes=1 << 40, energy_mj=0.125, facts={"core": 3, "big": True, "temp": None})
    table = replace(small_table(), overhead=None, networks={}, facts={}, entries={"bare": bare, "rich": rich})
    again = read_table(write_table(table, tmp_path))
    assert again == table
    assert again.entries["rich"].facts["big"] is True


def test_a_table_without_entries_can_be_stored(tmp_path: Path) -> None:
    table = replace(small_table(), entries={}, networks={})
    assert read_table(write_table(table, tmp_path)) == table


# ---- the published schema


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["properties"]["version"]["enum"] == list(range(1, tablefile.VERSION + 1))
    assert SCHEMA["properties"]["precision"]["enum"] == list(PRECISIONS)
    assert SCHEMA["properties"]["regime"]["enum"] == list(REGIMES)


def test_the_schema_lies_with_the_tables() -> None:
    assert json.loads((ROOT / "latency_tables" / "schema.json").read_text(encoding="utf-8")) == SCHEMA


def test_written_tables_satisfy_the_schema(tmp_path: Path) -> None:
    empty = replace(small_table(), overhead=None, entries={}, networks={})
    for table in (make_table(tiny_space(20, 24)), empty, replace(empty, plan=None), golden_v1(), golden_v2()):
        jsonschema.Draft202012Validator(SCHEMA).validate(json.loads(write_table(table, tmp_path).read_text()))


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.update(unit="s"),
        lambda d: d.pop("regime"),
        lambda d: d.update(threads=0),
        lambda d: d["overhead"].update(space="0" * 16),
        lambda d: next(iter(d["entries"].values())).update(p50_s=0.1),
        lambda d: next(iter(d["networks"].values())).pop("codes"),
        lambda d: d.update(plan=None),
        lambda d: d.update(overhead={"n": 1, "mean_ms": 1.0, "std_ms": None, "ci95_ms": None}),
        lambda d: d["entries"].update(mean={"n": 1, "mean_ms": 1.0, "std_ms": None, "ci95_ms": None}),
        lambda d: d.update(version=2, overhead={"n": 1, "mean_ms": 1.0, "std_ms": None, "ci95_ms": None, "p50_ms": 1.0}),
        lambda d: d.update(version=3),
    ],
)
def test_the_schema_refuses_what_is_not_a_table(stored: Path, change: Callable[[dict[str, Any]], None]) -> None:
    document = json.loads(stored.read_text())
    change(document)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(SCHEMA).validate(document)


# ---- golden files: every version stays readable, and is still what is written for a table that it can hold


def golden_v1() -> LatencyTable:
    quick = Measurement((0.25, 0.3, 0.275, 0.26), rejected=1, load_ms=1.5, first_ms=0.75)
    slow = Measurement((1.5, 1.25), rejected=0, peak_memory_bytes=4096, energy_mj=2.5, facts={"core": 1})
    network = Network(Architecture("00112233445566aa", (0, 2, 1)), Measurement((3.5, 3.25, 3.75), rejected=2, load_ms=4.0))
    return LatencyTable(
        device="golden",
        runtime="litert",
        precision="int8",
        threads=2,
        batch=1,
        regime="typical",
        plan=MeasurePlan(affinity=(0, 1)),
        facts={"cpu": "a core", "frequency_mhz": 1800, "governor": None},
        overhead=Measurement((0.003, 0.0035), rejected=0),
        entries={"stem-in3x32x32-out8-k3-s2-hswish": quick, "head-in8x1x1-mix16-classes4": slow},
        networks={network.key: network},
    )


def golden_v2() -> LatencyTable:
    """Means that were published beside samples of our own."""
    network = Network(Architecture("00112233445566aa", (0, 2, 1)), Measurement((), 0, published=Published(20, 3.5, 0.25)))
    means = {
        "stem-in3x32x32-out8-k3-s2-hswish": Measurement((), rejected=0, published=Published(500, 0.25, 0.0125)),
        "head-in8x1x1-mix16-classes4": Measurement((), rejected=0, published=Published(1, 1.5)),
        "head-in8x1x1-mix16-classes4@32": Measurement((1.5, 1.25), rejected=0),
    }
    known = replace(golden_v1(), runtime="tflite", precision="fp32", plan=None, facts={"source": "a_table.csv", "space": "a-space"})
    return replace(known, overhead=None, entries=means, networks={network.key: network})


@pytest.mark.parametrize("version", [1, 2])
def test_every_version_is_still_read(version: int) -> None:
    table = {1: golden_v1, 2: golden_v2}[version]()
    assert read_table(tablefile.stored_at(table, GOLDEN / f"table-v{version}")) == table


@pytest.mark.parametrize("version", [1, 2])
def test_every_version_is_still_written(version: int, tmp_path: Path) -> None:
    path = write_table({1: golden_v1, 2: golden_v2}[version](), tmp_path)
    assert path.read_text() == (GOLDEN / f"table-v{version}" / path.relative_to(tmp_path)).read_text()
    assert json.loads(path.read_text())["version"] == version


def test_there_is_a_golden_file_of_every_version() -> None:
    assert sorted(path.name for path in GOLDEN.glob("table-v*")) == [f"table-v{v}" for v in range(1, tablefile.VERSION + 1)]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda d: d.update(version=1), "says version 1, its samples version 2"),
        (lambda d: next(iter(d["entries"].values())).update(p50_ms=1.5), "says p50_ms 1.5, its samples give None"),
        (lambda d: next(iter(d["entries"].values())).update(ci95_ms=[0.0, 9.0]), "says ci95_ms"),
        (lambda d: next(iter(d["entries"].values())).update(std_ms=-1.0), "says std_ms -1.0"),
    ],
)
def test_a_forged_mean_is_refused(tmp_path: Path, change: Callable[[dict[str, Any]], None], says: str) -> None:
    path = write_table(golden_v2(), tmp_path)
    rehash(path, change)
    refused(path, says)


def test_samples_of_our_own_are_version_1_whatever_the_file_says(stored: Path) -> None:
    restore_samples(stored, lambda samples: samples.update(version=2))
    rehash(stored, lambda d: d.update(version=2))
    refused(stored, "says version 2, what it holds is version 1")


def test_a_plan_with_a_later_field_is_kept(tmp_path: Path) -> None:
    table = replace(golden_v1(), plan=MeasurePlan(min_sample_us=0.0))
    path = write_table(table, tmp_path)
    assert '"min_sample_us": 0.0' in path.read_text()
    assert read_table(path) == table
    jsonschema.Draft202012Validator(SCHEMA).validate(json.loads(path.read_text()))


# ---- bad input


def refused(path: Path, *says: str) -> None:
    with pytest.raises(TableError) as caught:
        read_table(path)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path.parent) in message
    for words in says:
        assert words in message


def test_a_missing_table_is_refused(tmp_path: Path) -> None:
    refused(tmp_path / "none.json", "no such file", "hwnas profile")


@pytest.mark.parametrize("keep", [0, 1, 100, 1000, -1, -3])
def test_a_truncated_table_is_refused(stored: Path, keep: int) -> None:
    stored.write_bytes(stored.read_bytes()[:keep])
    refused(stored)


def test_a_hand_edited_number_is_refused(stored: Path) -> None:
    text = stored.read_text()
    old = json.loads(text)["entries"][sorted(small_table().entries)[0]]["p50_ms"]
    stored.write_text(text.replace(f'"p50_ms": {old}', '"p50_ms": 0.001', 1))
    refused(stored, "changed after it was written", "restore it from version control")


def test_a_reformatted_table_is_refused(stored: Path) -> None:
    stored.write_text(json.dumps(json.loads(stored.read_text()), indent=2))
    refused(stored, "changed after it was written")


def test_a_key_given_twice_is_refused(stored: Path) -> None:
    stored.write_text(stored.read_text().replace('"threads": 1', '"threads": 4,\n"threads": 1'))
    refused(stored, "changed after it was written")


def test_a_forged_line_does_not_fit_its_samples(stored: Path) -> None:
    key = sorted(small_table().entries)[0]
    rehash(stored, lambda d: d["entries"][key].update(p50_ms=0.001))
    refused(stored, f"'{key}' says p50_ms 0.001, its samples give")


def test_a_forged_overhead_does_not_fit_its_samples(stored: Path) -> None:
    rehash(stored, lambda d: d["overhead"].update(ci95_ms=[0.0, 1.0]))
    refused(stored, "'overhead' says ci95_ms")


def test_overhead_only_in_the_samples_is_refused(stored: Path) -> None:
    rehash(stored, lambda d: d.update(overhead=None))
    refused(stored, "overhead is only in")


def test_a_line_without_samples_is_refused(stored: Path) -> None:
    rehash(stored, lambda d: d["entries"].update({"zz-extra": next(iter(d["entries"].values()))}))
    refused(stored, "'zz-extra' is only in the table or only in its samples")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda d: d.update(colour="red"), "unknown key 'colour'"),
        (lambda d: d.pop("regime"), "key 'regime' is missing"),
        (lambda d: d.update(threads="1"), "threads: must be"),
        (lambda d: d.update(regime="calm"), "unknown regime 'calm'"),
        (lambda d: next(iter(d["networks"].values())).update(codes=None), "has no space or codes"),
        (lambda d: next(iter(d["networks"].values())).update(codes=[70_000]), "has codes that no space has"),
        (lambda d: next(iter(d["networks"].values())).update(codes=[0, 1]), "its key must be"),
        (lambda d: d.update(version=3), "version 3 is newer than this hwnas reads (2); upgrade hwnas"),
        (lambda d: d.update(version=0), "version: must be"),
        (lambda d: d.pop("version"), "not a latency table"),
    ],
)
def test_a_table_of_another_shape_is_refused(stored: Path, change: Callable[[dict[str, Any]], None], says: str) -> None:
    rehash(stored, change)
    refused(stored, says)


def test_a_number_beyond_all_numbers_is_refused(stored: Path) -> None:
    stored.write_text(stored.read_text().replace('"quiet_share": 0.5', '"quiet_share": 1e999'))
    refused(stored, "quiet_share")


@pytest.mark.parametrize("text", ["[]", "3", "null", '{"version": NaN}', "[" * 100_000, '{"version": 1e999}', '{"version": "\\ud800"}'])
def test_other_json_is_refused(stored: Path, text: str) -> None:
    stored.write_text(text)
    refused(stored)


def test_bytes_that_are_no_text_are_refused(stored: Path) -> None:
    stored.write_bytes(b"\xff\xfe\x00")
    refused(stored, "not readable")


def test_missing_samples_are_refused(stored: Path) -> None:
    samples_path(stored).unlink()
    refused(stored, "are missing")


def test_samples_of_another_table_are_refused(stored: Path, tmp_path: Path) -> None:
    other = write_table(small_table(seed=1), tmp_path / "other")
    samples_path(stored).write_bytes(samples_path(other).read_bytes())
    refused(stored, "not the raw samples that")


@pytest.mark.parametrize("keep", [0, 5, 30, -4])
def test_torn_samples_are_refused(stored: Path, keep: int) -> None:
    samples_path(stored).write_bytes(samples_path(stored).read_bytes()[:keep])
    refused(stored)


def test_samples_that_are_no_json_are_refused(stored: Path) -> None:
    raw = b"not json"
    samples_path(stored).write_bytes(gzip.compress(raw))
    rehash(stored, lambda d: d.update(samples_sha256=hashlib.sha256(raw).hexdigest()))
    refused(stored, "not readable as JSON")


def test_samples_beyond_the_cap_are_refused(stored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tablefile, "MAX_SAMPLES_BYTES", 100)
    refused(stored, "of samples")


@pytest.mark.parametrize(("samples", "says"), [([], "no samples"), ([-1.0], "says n"), (["1"], "must be"), ([None], "must be")])
def test_samples_that_are_no_times_are_refused(stored: Path, samples: list[object], says: str) -> None:
    key = sorted(small_table().entries)[0]
    restore_samples(stored, lambda d: d["entries"][key].update(samples_ms=samples))
    refused(stored, says)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_damaged_byte_goes_unnoticed(stored: Path, data: st.DataObject) -> None:
    for path in (stored, samples_path(stored)):
        whole = path.read_bytes()
        # the gzip header holds bytes (operating system, flags) that mean nothing to the content
        at = data.draw(st.integers(0 if path == stored else 10, len(whole) - 1))
        byte = (whole[at] + data.draw(st.integers(1, 255))) % 256
        path.write_bytes(whole[:at] + bytes([byte]) + whole[at + 1 :])
        try:
            with pytest.raises(TableError):
                read_table(stored)
        finally:
            path.write_bytes(whole)


# ---- where it lies


def test_a_table_under_a_foreign_name_is_refused(stored: Path, tmp_path: Path) -> None:
    moved = tmp_path / "pi4" / stored.name
    moved.parent.mkdir()
    for old, new in ((stored, moved), (samples_path(stored), samples_path(moved))):
        old.rename(new)
    with pytest.raises(TableError, match="device bench, not pi4"):
        read_table(moved)


def test_a_table_of_another_regime_is_not_taken_for_this_one(stored: Path) -> None:
    moved = stored.with_name(stored.name.replace("quiet", "typical"))
    for old, new in ((stored, moved), (samples_path(stored), samples_path(moved))):
        old.rename(new)
    with pytest.raises(TableError, match="the table is onnxruntime-fp32-t1-b1-quiet, not onnxruntime-fp32-t1-b1-typical"):
        read_table(moved)
