"""Published tables become blocks of our spaces: CSV and YAML of OFA and ProxylessNAS, and everything that can be wrong with them."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.reference import DATA, MISSING
from hwnas.core.device import Published
from hwnas.core.errors import ConfigError, TableError, UnknownNameError
from hwnas.latency import foreignfile
from hwnas.latency.foreign import _pooled
from hwnas.latency.foreignfile import read_rows
from hwnas.latency.importing import ImportedTable, Origin, covered_space, import_table
from hwnas.latency.table import key_at
from hwnas.latency.tablefile import read_table, write_table
from hwnas.space.family import blockwise
from tests.latency.published import HEADER, ofa, operations, proxyless, timed, write_csv, write_yaml

ORIGIN = Origin("phone", "tflite", "fp32", 1, 1, "typical")
ROOT = Path(__file__).parents[2]


def imported(*paths: Path, **options: object) -> ImportedTable:
    return import_table(list(paths), ORIGIN, **options)  # type: ignore[arg-type]


def rows_of(*resolutions: int) -> list[dict[str, str]]:
    return [row for r in resolutions for row in timed(operations(ofa(r)), first_ms=0.5 + r / 1000)]


# ---- what is read


@pytest.mark.parametrize("form", ["csv", "yaml"])
def test_a_mobilenet_v3_table_has_every_block_of_its_space(tmp_path: Path, form: str) -> None:
    rows = rows_of(224)
    path = write_csv(tmp_path / "t.csv", rows) if form == "csv" else write_yaml(tmp_path / "t.yaml", rows)
    found = imported(path)
    table = found.table
    assert table.facts["space"] == "ofa-w1.2"
    assert covered_space(table, "ofa-w1.2").id == ofa(224).id
    assert found.unused == ()
    expected = {row["output"]: row for row in rows if row["op"] == "expanded_conv" and row["kernel"] == "7"}
    last = expected["7x7x192"]
    key = f"mbconv-in{last['input'].split('x')[2]}x7x7-out192-k7-mid{last['expand']}-s1-hswish-se-res"
    assert table.entries[key].published == Published(100, float(last["mean_ms"]), float(last["std_ms"]))


@pytest.mark.parametrize("form", ["csv", "yaml"])
def test_a_proxyless_table_has_every_block_of_its_space(tmp_path: Path, form: str) -> None:
    rows = timed(operations(proxyless()))
    path = write_csv(tmp_path / "t.csv", rows) if form == "csv" else write_yaml(tmp_path / "t.yml", rows)
    table = imported(path).table
    assert table.facts["space"] == "proxyless"
    assert set(table.entries) == {b.key for b in blockwise(proxyless()).vocabulary(proxyless())}


def test_csv_and_yaml_of_the_same_figures_are_the_same_entries(tmp_path: Path) -> None:
    rows = rows_of(160)
    from_csv = imported(write_csv(tmp_path / "t.csv", rows)).table
    from_yaml = imported(write_yaml(tmp_path / "t.yaml", rows)).table
    assert from_csv.entries == from_yaml.entries


def test_the_head_is_pooling_mix_and_classifier_in_a_row(tmp_path: Path) -> None:
    rows = rows_of(224)
    parts = [row for row in rows if row["op"] in ("AvgPool2D", "Conv_2", "Logits")]
    head = imported(write_csv(tmp_path / "t.csv", rows)).table.entries["head-in1152x7x7-mix1536-classes1000"].published
    assert head is not None
    assert head.mean_ms == pytest.approx(sum(float(row["mean_ms"]) for row in parts))
    assert head.std_ms == pytest.approx(math.hypot(*(float(row["std_ms"]) for row in parts)))


def test_what_was_imported_survives_its_file(tmp_path: Path) -> None:
    table = imported(write_csv(tmp_path / "t.csv", rows_of(220, 224))).table
    assert read_table(write_table(table, tmp_path)) == table
    assert table.plan is None
    assert (table.facts["source"], table.facts["resolutions"]) == ("t.csv", "220 224")


def test_sizes_that_share_a_block_are_pooled_and_kept_apart(tmp_path: Path) -> None:
    # 220 and 224 px both come to 28, 14 and 7
    files = [write_yaml(tmp_path / f"{r}_lookup_table.yaml", rows_of(r)) for r in (220, 224)]
    table, alone = imported(*files).table, {r: imported(path).table for r, path in zip((220, 224), files, strict=True)}
    shared = alone[220].entries.keys() & alone[224].entries.keys()
    assert len(shared) > 50
    assert set(table.blocks) == alone[220].entries.keys() | alone[224].entries.keys()
    for size, own in alone.items():
        again = table.at_resolution(size)
        assert all(again.entries[key] == measured for key, measured in own.entries.items())
        assert all(table.entries[key_at(key, size)] == own.entries[key] for key in shared)
    key = min(shared)
    pooled, one, other = (t.entries[key].quantile_ms("p50") for t in (table, alone[220], alone[224]))
    assert pooled == pytest.approx((one + other) / 2)
    assert covered_space(table, "ofa-w1.2").choices[0].options == (220, 224)
    only = import_table([files[0], files[1]], ORIGIN, resolutions=[224]).table
    assert only.entries == alone[224].entries


@given(st.lists(st.lists(st.floats(0.1, 10), min_size=2, max_size=6), min_size=1, max_size=4))
def test_pooling_is_that_of_all_runs_together(groups: list[list[float]]) -> None:
    def said(values: list[float]) -> Published:
        mean = math.fsum(values) / len(values)
        return Published(len(values), mean, math.sqrt(math.fsum((v - mean) ** 2 for v in values) / len(values)))

    together, expected = _pooled([said(values) for values in groups]), said([v for values in groups for v in values])
    assert together.count == expected.count
    assert together.mean_ms == pytest.approx(expected.mean_ms)
    assert together.std_ms == pytest.approx(expected.std_ms, abs=1e-9)


@pytest.mark.parametrize(("unit", "factor"), [("ms", 1.0), ("us", 1e3), ("s", 1e-3)])
def test_units_are_brought_to_ms(tmp_path: Path, unit: str, factor: float) -> None:
    rows = rows_of(224)
    expected = imported(write_csv(tmp_path / "t.csv", rows)).table.entries
    scaled = [
        {**row, f"mean_{unit}": repr(factor * float(row["mean_ms"])), f"var_{unit}2": repr((factor * float(row["std_ms"])) ** 2)}
        for row in rows
    ]
    header = (*(name for name in HEADER if not name.endswith("_ms")), f"mean_{unit}", f"var_{unit}2")
    of_csv = imported(write_csv(tmp_path / "u.csv", scaled, header)).table.entries
    of_yaml = imported(write_yaml(tmp_path / "u.yaml", rows, factor=factor), unit=unit).table.entries
    for key, measured in expected.items():
        for other in (of_csv[key], of_yaml[key]):
            assert other.quantile_ms("p50") == pytest.approx(measured.quantile_ms("p50"))
            assert other.interval_ms("p50") == pytest.approx(measured.interval_ms("p50"))


def test_rows_of_no_block_are_told(tmp_path: Path) -> None:
    extra = {"resolution": "224", "mean_ms": "1", "op": "expanded_conv", "kernel": "3", "stride": "1"}
    plain = {**extra, "input": "56x56x24", "output": "56x56x24", "expand": "3", "idskip": "0"}
    wide = {**extra, "input": "7x7x512", "output": "7x7x512", "expand": "3", "idskip": "1"}
    found = imported(write_csv(tmp_path / "t.csv", [*timed(operations(proxyless())), plain, wide]))
    assert len(found.unused) == 2
    assert "no residual although input and output are alike" in found.unused[0]
    assert found.unused[1] == "mbconv-in512x7x7-out512-k3-mid1536-s1-relu6-res is no block of space 'proxyless'"


# ---- the published files themselves


@pytest.mark.skipif(not DATA.is_dir(), reason=MISSING)
@pytest.mark.parametrize(
    ("name", "space", "blocks", "sizes"),
    [("note10_block_lut.csv", "ofa-w1.2", 868, 17), ("proxylessnas_pixel1_block_lut.csv", "proxyless", 72, 1)],
)
def test_the_published_tables_are_imported_whole(name: str, space: str, blocks: int, sizes: int) -> None:
    table = imported(DATA / "ofa" / name).table
    assert (table.facts["space"], len(table.blocks)) == (space, blocks)
    assert len(covered_space(table, space).choices[0].options) == sizes


# ---- bad input


def refused(path: Path, *says: str, **options: object) -> None:
    with pytest.raises(TableError) as caught:
        imported(path, **options)
    message = str(caught.value)
    assert "\n" not in message
    for words in (path.name, *says):
        assert words in message, message


def changed(tmp_path: Path, **change: str) -> Path:
    rows = rows_of(224)
    at = next(i for i, row in enumerate(rows) if row["op"] == "expanded_conv")
    rows[at] |= change
    return write_csv(tmp_path / "t.csv", rows)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"mean_ms": "nan"}, "mean nan; it must be finite"),
        ({"mean_ms": "inf"}, "mean inf; it must be finite"),
        ({"mean_ms": "-0.5"}, "a mean of -0.5; a time must be finite and above 0"),
        ({"mean_ms": "0"}, "a mean of 0;"),
        ({"mean_ms": "fast"}, "mean 'fast' is no number"),
        ({"mean_ms": "1_0"}, "mean '1_0' is no number"),
        ({"mean_ms": "\u0663"}, "is no number"),
        ({"mean_ms": ""}, "mean is empty"),
        ({"std_ms": "-1"}, "a spread of -1; it cannot be negative"),
        ({"std_ms": "nan"}, "std nan"),
        ({"count": "0"}, "a count of 0"),
        ({"count": "2.5"}, "count 2.5; a whole number is needed"),
        ({"count": ""}, "a spread without a count"),
        ({"op": "expandd_conv"}, "unknown operation 'expandd_conv'; did you mean 'expanded_conv'?"),
        ({"input": "56x56"}, "'56x56' is no shape"),
        ({"input": "0x0x24"}, "is no shape"),
        ({"stride": "3"}, "is not what stride 3 gives"),
        ({"kernel": ""}, "kernel of an expanded_conv is missing"),
        ({"idskip": "2"}, "idskip 2; it is 0 or 1"),
        ({"resolution": "224.5"}, "resolution 224.5; a whole number"),
        ({"resolution": ""}, "resolution is empty"),
    ],
)
def test_a_wrong_cell_is_named(tmp_path: Path, change: dict[str, str], says: str) -> None:
    refused(changed(tmp_path, **change), says, ".csv:")


def test_a_residual_that_cannot_be_is_refused(tmp_path: Path) -> None:
    rows = [row | {"idskip": "1"} if row.get("idskip") == "0" else row for row in rows_of(224)]
    refused(write_csv(tmp_path / "t.csv", rows), "idskip 1, but input and output cannot be added")


def test_a_block_measured_twice_is_refused_even_with_the_same_time(tmp_path: Path) -> None:
    rows = rows_of(224)
    refused(write_csv(tmp_path / "t.csv", [*rows, rows[3]]), f"t.csv:{len(rows) + 2}: the same block as", "t.csv:5", "a second time")
    files = [write_yaml(tmp_path / name, rows) for name in ("a.yaml", "b.yaml")]
    with pytest.raises(TableError, match=r"b\.yaml.*the same block as .*a\.yaml"):
        imported(*files)


def test_a_head_without_a_part_is_refused(tmp_path: Path) -> None:
    rows = [row for row in rows_of(224) if row["op"] != "Conv_2"]
    refused(write_csv(tmp_path / "t.csv", rows), "the Conv_2 with 1536 channels that the head at 224 px needs is not in the table")


@pytest.mark.parametrize(
    ("header", "says"),
    [
        ((*HEADER, "colour"), "unknown column 'colour'"),
        ((*HEADER[:1], "mean_m", *HEADER[2:]), "unknown column 'mean_m'; did you mean 'mean_ms'?"),
        ((*HEADER, "mean_ms"), "column 'mean_ms' is there twice"),
        ((*HEADER, "mean_us"), "times in ms and us; one unit a table is needed"),
        (tuple(name for name in HEADER if name != "input"), "column 'input' is missing"),
        (tuple(name for name in HEADER if not name.endswith("_ms")), "column 'mean_ms' is missing"),
    ],
)
def test_a_wrong_column_is_named(tmp_path: Path, header: tuple[str, ...], says: str) -> None:
    refused(write_csv(tmp_path / "t.csv", rows_of(224), header), says)


@settings(max_examples=25)
@given(at=st.floats(0, 1), put=st.text(max_size=3), cut=st.integers(0, 30), form=st.sampled_from(["csv", "yaml"]))
def test_nothing_but_the_documented_error_comes_of_a_damaged_file(
    tmp_path_factory: pytest.TempPathFactory, at: float, put: str, cut: int, form: str
) -> None:
    rows = timed(operations(proxyless()))[:20]
    path = tmp_path_factory.mktemp("damaged") / f"t.{form}"
    text = (write_csv if form == "csv" else write_yaml)(path, rows).read_text()
    place = int(at * len(text))
    path.write_bytes((text[:place] + put + text[place + cut :]).encode("utf-8", "surrogatepass"))
    assert "\n" not in said_of(path)


def said_of(path: Path) -> str:
    try:
        imported(path)
    except TableError as problem:
        return str(problem)
    return ""


@pytest.mark.parametrize("keep", [0, 5, 60, 3000, -5])
def test_torn_csv_is_refused(tmp_path: Path, keep: int) -> None:
    path = write_csv(tmp_path / "t.csv", rows_of(224))
    path.write_bytes(path.read_bytes()[:keep])
    refused(path)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("Conv-input:224x224x3-output:112x112x24: {mean: 1.0", "torn, or not YAML"),
        ("- 1\n- 2\n", "a mapping from operations to figures is needed"),
        ("", "a mapping from operations to figures is needed"),
        ("a: &a [*a]\n", "'a' is no key of a block table"),
        ("Conv-input:224x224x3-output:112x112x24: 1.0\n", "must have mean and count, not '1.0'"),
        ("Conv-input:224x224x3-output:112x112x24: {mean: .nan}\n", "mean nan; it must be finite"),
        ("Conv-input:224x224x3-output:112x112x24: {mean: .inf}\n", "mean inf"),
        ("Conv-input:224x224x3-output:112x112x24: {mean: true}\n", "mean 'True' is no number"),
        ("Conv-input:224x224x3-output:112x112x24: {mean: 1, mean: 2}\n", ".yaml:1: 'mean' is there twice"),
        ("Conv-input:224x224x3-output:112x112x24: {median: 1}\n", "unknown key 'median'; did you mean 'mean'?"),
        ("Conv-input:224x224x3-output:112x112x24: {count: 1}\n", "has no mean"),
        ("Conv-input:224x224x3-outptu:112x112x24: {mean: 1}\n", "because of 'outptu:112x112x24'"),
        ("Conv-input:224x224x3: {mean: 1}\n", "it has no input and output"),
        ("Conv_1-input:7x7x320-output:7x7x1280: {mean: 1}\n", "has 0 rows of 'Conv', which say the resolution"),
        ("Conv-input:224x224x3-output:100x100x24: {mean: 1}\n", "224x224x3 to 100x100x24 is not what stride 2 gives"),
        ("!!python/object/apply:os.getcwd []\n", "torn, or not YAML of plain values"),
        ("? [1, 2]\n: 3\n? [1, 2]\n: 4\n", "torn, or not YAML of plain values"),
        ("2026-13-45: {mean: 1}\n", "torn, or not YAML of plain values"),
        ("[" * 1200, "torn, or not YAML of plain values"),
    ],
)
def test_wrong_yaml_is_refused(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "t.yaml"
    path.write_text(text)
    refused(path, says)


def test_a_key_of_yaml_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    path = write_yaml(tmp_path / "t.yaml", rows_of(224))
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines, lines[7]]))
    refused(path, f"t.yaml:{len(lines) + 1}: '", "is there twice")


def test_yaml_without_pyyaml_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_yaml(tmp_path / "t.yaml", rows_of(224))
    monkeypatch.setitem(sys.modules, "yaml", None)
    refused(path, "pip install 'hwnas[yaml]'")


def test_files_that_are_no_tables_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refused(tmp_path / "none.csv", "no such file")
    refused(tmp_path / "table.xlsx", "published tables end with .csv, .yaml, .yml")
    path = tmp_path / "t.csv"
    path.write_bytes(b"\xff\xfe\x00")
    refused(path, "not readable")
    path.write_text(",".join(HEADER) + "\n")
    refused(path, "has no rows")
    refused(write_csv(path, rows_of(224)), "has no rows of 160 px; it has 224", resolutions=[160])
    with pytest.raises(TableError, match="unknown unit 'sec'"):
        read_rows(path, unit="sec")
    monkeypatch.setattr(foreignfile, "MAX_BYTES", 100)
    refused(path, "no block table is as large")


def test_a_table_of_no_space_is_refused(tmp_path: Path) -> None:
    row = {"resolution": "224", "mean_ms": "1", "op": "Conv", "input": "224x224x3", "output": "112x112x48"}
    path = write_csv(tmp_path / "t.csv", [row])
    refused(path, "its blocks are of none of the spaces", "stem-in3x224x224-out48-k3-s2-relu6")
    refused(path, "no block of space 'ofa-w1.0' is in it", space="ofa-w1.0")
    with pytest.raises(UnknownNameError, match=r"unknown space 'ofa-w1\.3'"):
        imported(path, space="ofa-w1.3")


def test_a_context_that_cannot_be_is_refused(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "t.csv", timed(operations(proxyless())))
    for origin, says in (
        (Origin("a/b", "tflite", "fp32", 1, 1, "typical"), "device 'a/b'"),
        (Origin("p", "t", "fp64", 1, 1, "typical"), "fp64"),
    ):
        with pytest.raises(TableError, match=says):
            import_table([path], origin)


def test_a_table_without_all_blocks_of_any_size_names_one(tmp_path: Path) -> None:
    rows = [row for row in rows_of(224) if row.get("kernel") != "7"]
    table = imported(write_csv(tmp_path / "t.csv", rows)).table
    with pytest.raises(TableError, match=r"phone/tflite: 30 of 94 blocks are not in the table, first mbconv-.*-k7-"):
        covered_space(table, "ofa-w1.2")


def test_only_the_mean_is_known_of_what_was_published(tmp_path: Path) -> None:
    measured = next(iter(imported(write_csv(tmp_path / "t.csv", rows_of(224))).table.entries.values()))
    with pytest.raises(ConfigError, match="no p90 is known where only the mean was published"):
        measured.quantile_ms("p90")
