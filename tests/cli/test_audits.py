"""``hwnas table check``, ``diff`` and ``merge`` as a user types them."""

from dataclasses import replace

import pytest

from hwnas.latency.tablefile import read_table, write_table
from tests.cli.test_commands import hw, hw_json, snapshot
from tests.cli.test_tables import TOML
from tests.latency.published import operations, proxyless, timed, write_csv
from tests.latency.tables import make_table, tiny_space
from tests.latency.test_audit import TABLE as PHONE
from tests.latency.test_audit import scaled


@pytest.fixture
def root(tmp_path):
    (tmp_path / "hwnas.toml").write_text(TOML)
    return tmp_path


def test_a_right_table_exits_with_0_and_a_wrong_one_with_7(root, capsys):
    good = write_table(PHONE, root / "latency_tables")
    code, out, err = hw(capsys, "table", "check", "phone", "-w", root)
    assert (code, out.count("\n")) == (0, 1)
    assert "nothing wrong" in out
    assert "missing blocks were not looked for" in err
    code, out, err = hw(capsys, "table", "check", "phone", "--space", "ofa-w1.0", "--resolution", "160", "--resolution", "164", "-w", root)
    assert (code, out.count("\n")) == (7, 1)
    assert "missing: " in out
    assert "at 164 px, first " in out
    write_table(scaled(PHONE, 1e-3), root / "latency_tables")
    assert hw(capsys, "table", "check", good, "-w", root)[0] == 7
    listed = hw(capsys, "table", "check", good, "--json", "-w", root)
    assert listed[0] == 7
    assert '"kind": "units"' in listed[1]
    assert listed[2].endswith("a finding\n")


def test_drift_against_an_older_table(root, capsys):
    old = write_table(PHONE, root / "old")
    new = write_table(scaled(PHONE, 1.3), root / "latency_tables")
    code, out, _ = hw(capsys, "table", "check", new, "--against", old, "-w", root)
    assert code == 7
    assert "drift: 30.0% slower in common" in out
    assert hw(capsys, "table", "check", old, "--against", old, "-w", root)[0] == 0
    other = write_table(replace(PHONE, precision="int8"), root / "old")
    assert hw(capsys, "table", "check", new, "--against", other)[0] == 2


def test_an_imported_table_is_checked_against_what_it_was_imported_for(root, capsys):
    rows = [row for row in operations(proxyless()) if row.get("kernel") != "7"]
    hw(capsys, "table", "import", write_csv(root / "lut.csv", timed(rows)), "--device", "pixel1", "-w", root)
    code, out, _ = hw(capsys, "table", "check", "pixel1", "-w", root)
    assert code == 7
    assert "missing: 22 of 70 blocks of space 'proxyless' at 224 px, first mbconv-" in out


def test_the_space_of_the_workspace_is_looked_for(root, capsys):
    space = tiny_space(20)
    store = root / "runs" / "predictors" / "space.json"
    store.parent.mkdir(parents=True)
    store.write_text(f'{{"preset": "tiny-32", "channels": 1, "classes": 10, "resolutions": [20], "id": "{space.id}"}}')
    (root / "hwnas.toml").write_text(TOML + "resolutions = [20]\n")
    table = make_table(space)
    entries = dict(list(table.entries.items())[2:])
    write_table(replace(table, entries=entries), root / "latency_tables")
    code, out, _ = hw(capsys, "table", "check", "bench", "-w", root)
    assert code == 7
    assert f"missing: 2 of {len(table.entries)} blocks of space 'tiny-32' at 20 px" in out


def test_diff_says_what_became_slower_and_holds_a_limit(root, capsys):
    key = sorted(PHONE.entries)[4]
    old, new = write_table(PHONE, root / "old"), write_table(scaled(PHONE, 1.5, {key}), root / "new")
    code, out, _ = hw(capsys, "table", "diff", old, new)
    assert code == 0
    assert "1 slower, 0 faster" in out
    assert key in out
    code, _, err = hw(capsys, "table", "diff", old, new, "--limit", "20")
    assert code == 7
    assert f"are slower by more than 20.0%, most of all {key}" in err
    assert hw(capsys, "table", "diff", old, new, "--limit", "60")[0] == 0
    assert hw(capsys, "table", "diff", new, old, "--limit", "0")[0] == 0
    (found,) = hw_json(capsys, "table", "diff", old, new)
    assert found["ratios"][0]["key"] == key
    assert found["ratios"][0]["low"] > 1
    assert found["scale"] == 1


def test_a_device_is_compared_with_what_was_accepted(root, capsys):
    write_table(PHONE, root / "latency_tables")
    assert hw(capsys, "table", "diff", "phone", "-w", root)[0] == 2
    write_table(scaled(PHONE, 1.2), root / "runs" / "tables")
    code, _, err = hw(capsys, "table", "diff", "phone", "--limit", "5", "-w", root)
    assert code == 7
    assert "slower by more than 5.0%" in err


def test_means_without_a_spread_have_no_interval(root, capsys):
    rows = [{name: value for name, value in row.items() if name not in ("std_ms", "count")} for row in timed(operations(proxyless()))]
    hw(capsys, "table", "import", write_csv(root / "lut.csv", rows), "--device", "pixel1", "-w", root)
    path = root / "latency_tables" / "pixel1" / "tflite-fp32-t1-b1-typical.json"
    (found,) = hw_json(capsys, "table", "diff", path, path)
    assert found["ratios"][0]["high"] is None
    assert "unknown" in hw(capsys, "table", "show", path)[1]


def test_parts_are_merged_and_conflicts_are_kept_apart(root, capsys):
    keys = sorted(PHONE.entries)
    parts = [replace(PHONE, entries={key: PHONE.entries[key] for key in some}) for some in (keys[:40], keys[30:])]
    files = [write_table(each, root / name) for each, name in zip(parts, ("a", "b"), strict=True)]
    found = hw_json(capsys, "table", "merge", *files, "-w", root)
    assert read_table(root / "latency_tables" / "phone" / "litert-fp32-t1-b1-quiet.json") == PHONE
    assert found["blocks"] == len(keys)
    before = snapshot(root)
    slower = write_table(scaled(parts[1], 2.0), root / "b")
    code, _, err = hw(capsys, "table", "merge", files[0], slower, "-w", root)
    assert code == 2
    assert f"that both tables have are not the same, first {keys[30]}" in err
    assert snapshot(root).keys() == before.keys()
    write_table(replace(parts[1], facts={"seconds": 2}), root / "b")
    write_table(replace(parts[0], facts={"seconds": 1}), root / "a")
    code, _, err = hw(capsys, "table", "merge", *files, "--replace", "-w", root)
    assert code == 0
    assert "facts that differ were left out: seconds" in err
