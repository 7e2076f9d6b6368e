"""``hwnas init``: three questions on a terminal, none elsewhere, and comments that say the truth."""

import json
import os
import pty
import re
import select
import subprocess
import sys
import time

import pytest

from hwnas.cli.init import CONFIG
from hwnas.cli.main import call
from hwnas.config import Config
from hwnas.core.serial import parse
from hwnas.workspace import Workspace


def test_off_a_terminal_nothing_is_asked(capsys, tmp_path):
    assert call(["init", str(tmp_path / "ws")]) == 0
    workspace = Workspace.open(tmp_path / "ws")
    assert (workspace.config.data.source, workspace.config.space.preset) == ("fashion-mnist", "tiny-32")
    assert {recipe.budgets for recipe in workspace.recipes.values()} == {("40%", "60%", "80%")}


def test_options_answer_the_questions(capsys, tmp_path):
    words = ("--space", "ofa-w1.0", "--budget", "4ms", "--budget", "60%", "--yes")
    assert call(["init", str(tmp_path / "ws"), *words]) == 0
    workspace = Workspace.open(tmp_path / "ws")
    assert workspace.config.space.preset == "ofa-w1.0"
    assert {recipe.budgets for recipe in workspace.recipes.values()} == {("4ms", "60%")}


def test_json_lists_what_was_written(capsys, tmp_path):
    assert call(["init", str(tmp_path / "ws"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert sorted(told["files"]) == sorted(p.relative_to(tmp_path / "ws").as_posix() for p in (tmp_path / "ws").rglob("*") if p.is_file())


@pytest.mark.parametrize("budget", ["4", "0ms", " "])
def test_a_budget_that_is_none_writes_nothing(capsys, tmp_path, budget):
    assert call(["init", str(tmp_path / "ws"), "--budget", budget]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "ws").exists()


def test_the_defaults_in_comments_are_the_defaults(tmp_path):
    import tomllib

    text = CONFIG.format(data="fashion-mnist", space="tiny-32")
    told = tomllib.loads(re.sub(r"^# (\w+ = )", r"\1", text, flags=re.MULTILINE))
    silent = tomllib.loads(text)
    assert sum(map(len, (table for table in told.values() if isinstance(table, dict)))) > 10
    assert parse(Config, told, where="told") == parse(Config, silent, where="silent")


def on_a_terminal(command, answers, cwd):
    """Exit code and all that a terminal shows while ``answers`` are typed, each after its question."""
    own, theirs = pty.openpty()
    env = {**os.environ, "TERM": "dumb", "COLUMNS": "200"}
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, cwd=cwd, env=env, close_fds=True)
    os.close(theirs)
    shown, waiting, deadline = b"", list(answers), time.monotonic() + 60
    while time.monotonic() < deadline:
        if not select.select([own], [], [], 1)[0]:
            if process.poll() is not None:
                break
            continue
        try:
            shown += os.read(own, 4096)
        except OSError:  # the other side is closed
            break
        if waiting and shown.rstrip(b" ").endswith(b":"):
            os.write(own, waiting.pop(0).encode() + b"\n")
            shown += b"\n"
    os.close(own)
    return process.wait(timeout=60), shown.decode()


def test_a_terminal_is_asked_and_a_wrong_answer_is_asked_again(tmp_path):
    (tmp_path / "photos").mkdir()
    command = [sys.executable, "-m", "hwnas", "init", "ws"]
    code, shown = on_a_terminal(command, ["fotos", "photos", "", "2ms, 60%"], tmp_path)
    assert code == 0, shown
    assert "no such folder or file" in shown
    assert "next: hwnas run" in shown
    workspace = Workspace.open(tmp_path / "ws")
    assert (workspace.config.data.source, workspace.config.space.preset) == ("../photos", "tiny-32")
    assert {recipe.budgets for recipe in workspace.recipes.values()} == {("2ms", "60%")}
