"""What ``hwnas table show`` says of tables that no run here could make: of a device with a GPU."""

import json
from dataclasses import replace

import jsonschema
import pytest

from hwnas.latency.tablefile import write_table
from tests.cli.test_commands import hw, hw_json
from tests.latency.tables import make_table, tiny_space

TOML = """\
[data]
source = "digits"
[space]
preset = "tiny-32"
"""


@pytest.fixture
def folder(tmp_path):
    """A workspace with an accepted table of onnxruntime and one of its CUDA provider, in which one block fell back."""
    (tmp_path / "hwnas.toml").write_text(TOML)
    for name in ("devices", "export"):
        (tmp_path / name).mkdir()
    table = make_table(tiny_space(), device="board")
    facts = {"fallbacks": 0, "executed_by": "CUDAExecutionProvider 3", "execution_note": None}
    entries = {key: replace(m, facts=facts) for key, m in table.entries.items()}
    fallen = sorted(entries)[0]
    left = {
        "fallbacks": 2,
        "executed_by": "CUDAExecutionProvider 3, CPUExecutionProvider 2",
        "execution_note": "Shape s on CPUExecutionProvider",
    }
    entries[fallen] = replace(entries[fallen], facts=left)
    write_table(table, tmp_path / "latency_tables")
    write_table(replace(table, runtime="onnxruntime-cuda", entries=entries), tmp_path / "latency_tables")
    return tmp_path, fallen, len(table.entries) + len(table.networks)


def test_what_fell_back_is_shown(folder, capsys):
    root, fallen, models = folder
    (table,) = hw_json(capsys, "table", "show", "board", "--runtime", "onnxruntime-cuda", "-w", root)
    assert table["fell back"] == (
        f"1 of {models} models have nodes that ran elsewhere, most of all {fallen}: "
        "CUDAExecutionProvider 3, CPUExecutionProvider 2 (Shape s on CPUExecutionProvider)"
    )
    assert "fell back" in hw(capsys, "table", "show", "board", "-w", root)[1]


def test_a_provider_is_a_runtime_of_its_own(folder, capsys):
    root, *_ = folder
    (table,) = hw_json(capsys, "table", "show", "board", "--runtime", "onnxruntime", "-w", root)
    assert table["runtime"] == "onnxruntime"
    assert "fell back" not in table


def test_the_schema_is_printed_and_holds_for_a_written_table(folder, capsys):
    root, *_ = folder
    code, out, _ = hw(capsys, "table", "schema")
    assert code == 0
    for path in (root / "latency_tables" / "board").glob("*.json"):
        jsonschema.Draft202012Validator(json.loads(out)).validate(json.loads(path.read_text()))
