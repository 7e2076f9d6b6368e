"""Killed at random moments and run again, a run always ends in the same result, and nothing that was finished is lost."""

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from shutil import copytree, ignore_patterns, rmtree

import pytest

from hwnas.core.serial import sha256_file

REPOSITORY = Path(__file__).parents[2]
KILLS = 20
PATIENCE_S = 600
LEFT_OUT = ignore_patterns("runs", "toy-litert.toml")
"""One runtime of the two: the other takes the same ways."""


def start(workspace, journal):
    paths = os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "devices" / "agent")])
    command = [
        sys.executable,
        "-m",
        "tests.rig.pretend",
        "run",
        "--workspace",
        str(workspace),
        "--replay",
        str(journal),
        "--json",
        "--quiet",
    ]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    )


def to_its_end(workspace, journal):
    begin = time.monotonic()
    out, err = (process := start(workspace, journal)).communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, err
    return json.loads(out.strip().split("\n")[-1]), time.monotonic() - begin


def result_of(workspace, document):
    """Everything that must be the same: architectures, figures, and every byte of every model."""
    folder = workspace / "runs" / document["run"] / "artifacts"
    files = {p.relative_to(folder).as_posix(): sha256_file(p) for p in sorted(folder.rglob("*")) if p.suffix in (".onnx", ".tflite")}
    return document["targets"], files


def kept(workspace):
    """How much finished work lies on disk: journal lines, and checkpoints' positions."""
    runs = workspace / "runs" / "stages"
    lines = {p.relative_to(runs).as_posix(): p.read_bytes().count(b"\n") for p in runs.glob("*/*.jsonl")}
    checkpoints = max((p.name for p in runs.glob("train-*/checkpoints/*.safetensors")), default="")
    trained = any((p / "done.json").is_file() for p in runs.glob("train-*"))
    return lines, "~" if trained else checkpoints


@pytest.mark.slow
def test_a_run_killed_at_random_moments_ends_the_same(finished, tmp_path):
    source, first = finished
    journal = source / "runs" / first["run"] / "journal.jsonl"
    fresh = copytree(source, tmp_path / "fresh", ignore=LEFT_OUT)
    document, seconds = to_its_end(fresh, journal)
    wanted = result_of(fresh, document)
    assert [row["arch"] for row in document["targets"]] == [row["arch"] for row in first["targets"] if row["runtime"] == "onnxruntime"]

    rng = random.Random(0)
    workspace = copytree(source, tmp_path / "killed", ignore=LEFT_OUT)
    kills = 0
    before = ({}, "")
    for _ in range(4 * KILLS):
        if kills == KILLS:
            break
        process = start(workspace, journal)
        try:
            process.communicate(timeout=rng.uniform(0.15, 0.8) * seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            kills += 1
            now = kept(workspace)
            assert all(now[0].get(name, 0) >= lines for name, lines in before[0].items())
            assert now[1] >= before[1]
            before = now
            continue
        done, _ = to_its_end(workspace, journal)
        assert result_of(workspace, done) == wanted
        rmtree(workspace / "runs")
        before = ({}, "")
    assert kills == KILLS
    done, _ = to_its_end(workspace, journal)
    assert result_of(workspace, done) == wanted
