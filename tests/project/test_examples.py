"""The notebooks of ``examples/``: stored without outputs, and run from top to bottom on a finished workspace."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))

RUN = """
import sys
import nbformat
from nbclient import NotebookClient
book = nbformat.read(sys.argv[1], as_version=4)
NotebookClient(book, timeout=300, kernel_name="python3").execute(cwd=sys.argv[2])
print("".join(out.get("text", "") for cell in book.cells if cell.cell_type == "code" for out in cell.outputs))
"""


def test_there_is_one() -> None:
    assert [path.name for path in NOTEBOOKS] == ["quickstart.ipynb"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_output_is_stored(path: Path) -> None:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    assert [cell for cell in cells if cell.get("outputs") or cell.get("execution_count") is not None] == []


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs(path: Path, copy: Path, tmp_path: Path) -> None:
    pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    # nothing is timed, so a device of the same name stands for the pretended one, which the notebook's process does not know
    (copy / "devices" / "toy.toml").write_text('transport = "local"\nruntimes = ["onnxruntime", "litert"]\n', encoding="utf-8")
    env = {**os.environ, "HWNAS_WORKSPACE": str(copy), "PYTHONPATH": os.pathsep.join(sys.path), "IPYTHONDIR": str(tmp_path / "ipython")}
    command = [sys.executable, "-c", RUN, str(path), str(tmp_path)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "parameters" in done.stdout
    assert done.stdout.strip().endswith("not measured")
