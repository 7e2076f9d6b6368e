"""``hwnas table import`` and ``hwnas predict`` as a user types them."""

import json
import shutil

import pytest

from hwnas.cli.main import call
from hwnas.latency.tablefile import write_table
from hwnas.space.family import family_of
from tests.cli.test_commands import hw, hw_json, snapshot
from tests.cli.test_tables import TOML
from tests.latency.published import ofa, operations, proxyless, timed, write_csv, write_yaml
from tests.latency.tables import make_table, tiny_space


@pytest.fixture
def root(tmp_path):
    (tmp_path / "hwnas.toml").write_text(TOML)
    return tmp_path


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    """A workspace with an imported table of two input sizes; not to be changed."""
    root = tmp_path_factory.mktemp("imported")
    (root / "hwnas.toml").write_text(TOML)
    rows = [row for r in (220, 224) for row in timed(operations(ofa(r)), first_ms=r / 100)]
    assert call(["table", "import", str(write_csv(root / "lut.csv", rows)), "--device", "note10", "-w", str(root)]) == 0
    return root, rows


@pytest.fixture
def note10(imported, tmp_path):
    """The same, to be changed."""
    shutil.copytree(imported[0], tmp_path / "copy")
    return tmp_path / "copy", imported[1]


def test_an_imported_table_predicts_at_once(imported, capsys):
    root, rows = imported
    space = ofa(220)
    _, largest = family_of(space).extremes(space)
    found = hw_json(capsys, "predict", json.dumps(space.values(largest.indices)), "--device", "note10", "-w", root)
    assert (found["space"], found["device"], found["runtime"], found["regime"]) == ("ofa-w1.2", "note10", "tflite", "typical")
    assert found["choices"] == space.values(largest.indices)
    # as measured at 220 px, not pooled with the same blocks at 224
    own = {
        (row["input"], row["output"], row.get("kernel"), row.get("expand")): float(row["mean_ms"])
        for row in rows
        if row["resolution"] == "220"
    }
    assert [block["ms"] for block in found["blocks"] if "out192-k7-mid1152" in block["block"]] == [
        own["7x7x192", "7x7x192", "7", "1152"]
    ] * 3
    assert found["predicted_ms"] == pytest.approx(sum(block["ms"] for block in found["blocks"]))
    assert (found["std_ms"], found["at_most_ms"], found["networks"]) == (None, None, 0)
    code, out, _ = hw(capsys, "predict", "largest", "--device", "note10", "--blocks", "-w", root)
    assert code == 0
    assert "224 px, 7x6 7x6 7x6 7x6" in out
    assert "unknown: no whole networks in the table" in out
    assert "head-in1152x7x7-mix1536-classes1000" in out


def test_a_measured_table_predicts_with_its_spread(root, capsys):
    space = tiny_space(20)
    write_table(make_table(space, device="board", networks=30), root / "latency_tables")
    store = root / "runs" / "predictors" / "space.json"
    store.parent.mkdir(parents=True)
    store.write_text(json.dumps({"preset": "tiny-32", "channels": 1, "classes": 10, "resolutions": [20], "id": space.id}))
    (root / "hwnas.toml").write_text(TOML + "resolutions = [20]\n")
    found = hw_json(capsys, "predict", "smallest", "--device", "board", "-w", root)
    assert found["space"] == "tiny-32"
    assert 0 < found["std_ms"] < found["predicted_ms"] <= found["at_most_ms"]
    assert found["networks"] == 30
    assert hw(capsys, "predict", "smallest", "--device", "board", "-w", root)[0] == 0


def test_yaml_needs_its_unit_and_lands_in_ms(root, capsys):
    rows = timed(operations(proxyless()))
    path = write_yaml(root / "lut.yaml", rows, factor=1e-3)
    hw_json(capsys, "table", "import", path, "--device", "pixel1", "--unit", "s", "-w", root)
    (shown,) = hw_json(capsys, "table", "show", "pixel1", "-w", root)
    assert shown["blocks"]["stem-in3x224x224-out32-k3-s2-relu6"] == pytest.approx(
        float(next(r for r in rows if r["op"] == "Conv")["mean_ms"])
    )
    assert "unknown" not in hw(capsys, "table", "show", "pixel1", "-w", root)[1]


def test_an_existing_table_is_not_overwritten_unless_asked(note10, capsys):
    root, _ = note10
    before = snapshot(root / "latency_tables")
    same = hw(capsys, "table", "import", root / "lut.csv", "--device", "note10", "-w", root)
    assert same[0] == 0
    other = write_csv(root / "other.csv", timed(operations(ofa(224)), first_ms=9.0))
    code, out, err = hw(capsys, "table", "import", other, "--device", "note10", "-w", root)
    assert (code, out) == (2, "")
    assert "there is another table of this context already; give --replace to overwrite it" in err
    assert snapshot(root / "latency_tables").keys() == before.keys()
    assert hw(capsys, "table", "import", other, "--device", "note10", "--replace", "-w", root)[0] == 0
    assert hw(capsys, "table", "import", root / "lut.csv", "--device", "note10", "--precision", "int8", "-w", root)[0] == 0


def test_nothing_is_written_of_a_table_that_is_wrong(root, capsys):
    path = write_csv(root / "lut.csv", [row | {"mean_ms": "nan"} for row in timed(operations(proxyless()))])
    code, out, err = hw(capsys, "table", "import", path, "--device", "pixel1", "-w", root)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert not (root / "latency_tables").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("largest", "--device", "note1"), "no table of device 'note1' in"),
        (("largest", "--device", "note1"), "did you mean 'note10'?"),
        (
            ("largest", "--device", "note10", "--runtime", "litert"),
            "no table of device 'note10' with runtime litert; there are: tflite-fp32",
        ),
        (("largest", "--device", "note10", "--statistic", "p90"), "no p90 is known"),
        (("largest", "--device", "note10", "--statistic", "p51"), "unknown statistic 'p51'"),
        (
            ("largest", "--device", "note10", "--space", "proxyless"),
            "blocks are not in the table, first final_expand-in320x7x7-out1280-relu6",
        ),
        (("0123456789", "--device", "note10"), "no subnet '0123456789' of space 'ofa-w1.2'"),
        (("{", "--device", "note10"), "not JSON of choices"),
        (('{"resolution": 224}', "--device", "note10"), "choice 's0.depth' is not said"),
        (('{"s5.depth": 1}', "--device", "note10"), "space 'ofa-w1.2' has no choice 's5.depth'"),
    ],
)
def test_what_cannot_be_predicted_is_one_line(imported, capsys, arguments, says):
    code, out, err = hw(capsys, "predict", *arguments, "-w", imported[0])
    assert (code, out) == (2, "")
    assert says in err
    assert err.count("\n") == 1


def test_a_block_that_is_not_in_the_table_is_named(imported, capsys):
    root, _ = imported
    space = ofa(160)
    smallest, _ = family_of(space).extremes(space)
    code, _, err = hw(capsys, "predict", json.dumps(space.values(smallest.indices)), "--device", "note10", "-w", root)
    assert code == 2
    assert "note10/tflite: 14 of 14 blocks are not in the table, first stem-in3x160x160-out24-k3-s2-hswish" in err


def test_several_tables_of_a_device_have_to_be_told_apart(note10, capsys):
    root, _ = note10
    for runtime in ("litert", "onnxruntime"):
        hw(capsys, "table", "import", root / "lut.csv", "--device", "note10", "--runtime", runtime, "-w", root)
    code, _, err = hw(capsys, "predict", "largest", "--device", "note10", "-w", root)
    assert code == 2
    assert "several tables" in err
    assert "--runtime" in err
    hw(capsys, "table", "import", root / "lut.csv", "--device", "note10", "--runtime", "litert", "--precision", "int8", "-w", root)
    assert hw_json(capsys, "predict", "largest", "--device", "note10", "--runtime", "litert", "-w", root)["precision"] == "fp32"
    found = hw_json(capsys, "predict", "largest", "--device", "note10", "--runtime", "litert", "--precision", "int8", "-w", root)
    assert found["precision"] == "int8"
