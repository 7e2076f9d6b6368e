"""``hwnas agent zipapp`` as a user types it."""

import json
import subprocess
import sys

import pytest

from hwnas.cli.main import call
from hwnas.core.serial import sha256_file


def test_the_file_runs_alone_and_it_is_said_how(capsys, tmp_path):
    path = tmp_path / "new folder" / "agent.pyz"
    assert call(["agent", "zipapp", str(path)]) == 0
    said = capsys.readouterr().out
    assert str(path) in said
    assert "'python3 agent.pyz --version'" in said
    done = subprocess.run([sys.executable, "-I", str(path), "--version"], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    # again, over the one that is there: the same bytes
    before = sha256_file(path)
    assert call(["agent", "zipapp", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"path": str(path), "size_bytes": path.stat().st_size, "sha256": before}


@pytest.mark.parametrize("where", ["folder", "file/agent.pyz"])
def test_a_place_where_no_file_can_be_is_one_line(capsys, tmp_path, where):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("kept")
    assert call(["agent", "zipapp", str(tmp_path / where)]) == 2
    out, err = capsys.readouterr()
    assert (out, len(err.strip().split("\n"))) == ("", 1)
    assert f"{tmp_path / where}: the agent cannot be written there" in err
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["file", "folder"]
    assert (tmp_path / "file").read_text() == "kept"
