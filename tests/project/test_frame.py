"""The Makefile and the scripts around it: what they say when a machine lacks something."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(shutil.which("make") is None or shutil.which("bash") is None, reason="make or bash is not here")


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder whose path has spaces, with what `make setup` reads."""
    folder = tmp_path / "a clone with spaces"
    folder.mkdir()
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, folder)
    return folder


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def make(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.run(
        ["make", "-C", str(folder), *words], capture_output=True, text=True, check=False, env=env, stdin=subprocess.DEVNULL, timeout=120
    )


def test_setup_refuses_an_old_python_by_name(clone: Path, tmp_path: Path) -> None:
    old = script(tmp_path / "old python", 'test "$1" = --version && echo "Python 3.9.2"; exit 1')
    done = make(clone, "setup", f"PYTHON={old}")
    assert done.returncode != 0
    assert "needs Python 3.11 or newer" in done.stderr
    assert "Python 3.9.2" in done.stderr
    assert not (clone / ".venv").exists()


def test_setup_says_what_is_missing_where_venv_is(clone: Path, tmp_path: Path) -> None:
    bare = script(tmp_path / "bare python", 'test "$1" = -c')
    done = make(clone, "setup", f"PYTHON={bare}")
    assert done.returncode != 0
    assert "python3-venv" in done.stderr


def test_setup_installs_once_and_again_only_when_its_inputs_change(clone: Path) -> None:
    record = clone / "calls"
    (clone / ".venv" / "bin").mkdir(parents=True)
    script(clone / ".venv" / "bin" / "python", 'case "$*" in *install*) echo "$*" >> calls;; esac')
    for _ in range(2):
        assert make(clone, "setup").returncode == 0
    calls = record.read_text(encoding="utf-8").splitlines()
    assert len(calls) == 1
    assert calls[0].endswith("install -c constraints.txt -e .[dev]")
    later = (clone / ".venv" / ".ready").stat().st_mtime + 10
    os.utime(clone / "constraints.txt", (later, later))
    assert make(clone, "setup").returncode == 0
    assert len(record.read_text(encoding="utf-8").splitlines()) == 2


@pytest.mark.parametrize(("status", "expected"), [(0, 0), (5, 0), (1, 2), (2, 2)])
def test_a_slow_suite_without_tests_is_no_failure(clone: Path, status: int, expected: int) -> None:
    (clone / ".venv" / "bin").mkdir(parents=True)
    script(clone / ".venv" / "bin" / "python", f'case "$*" in *pytest*) exit {status};; esac')
    assert make(clone, "test-slow").returncode == expected


def test_system_set_up_without_apt_says_so_and_ends_well(tmp_path: Path) -> None:
    bash = shutil.which("bash")
    assert bash is not None
    done = subprocess.run(
        [bash, str(ROOT / "scripts" / "setup_system.sh")],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0
    assert "skipped: no apt-get" in done.stdout
    assert "rig: namespaces: skipped: no apt-get here to install iproute2 with" in done.stdout


def test_the_rigs_have_no_part_of_that_name() -> None:
    done = subprocess.run(
        ["bash", str(ROOT / "tests" / "rig" / "setup.sh"), "shd"], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 2
    assert "no part 'shd'; there are: sshd" in done.stderr


@pytest.mark.parametrize("name", [".ci/run", "scripts/setup_system.sh", "tests/rig/setup.sh"])
def test_scripts_parse_and_can_be_run(name: str) -> None:
    assert os.access(ROOT / name, os.X_OK)
    subprocess.run(["bash", "-n", str(ROOT / name)], check=True, timeout=60)


@pytest.mark.parametrize(("failing", "status"), [("none", 0), ("check", 2), ("test-slow", 2)])
def test_ci_runs_everything_and_says_what_was_skipped(tmp_path: Path, failing: str, status: int) -> None:
    for folder in (".ci", "scripts", "tests/rig"):
        (tmp_path / "clone" / folder).mkdir(parents=True)
    shutil.copy(ROOT / ".ci" / "run", tmp_path / "clone" / ".ci")
    script(tmp_path / "clone" / "scripts" / "setup_system.sh", "echo system")
    script(tmp_path / "clone" / "tests" / "rig" / "setup.sh", 'echo "rig $*"')
    script(tmp_path / "make", f'echo "make $*"; echo "SKIPPED [1] because of $1"; case " $* " in *" {failing} "*) exit 2;; esac')
    env = os.environ | {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        [str(tmp_path / "clone" / ".ci" / "run")], cwd=tmp_path, env=env, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == status
    assert done.stdout.startswith("system\nmake setup\nSKIPPED [1] because of setup\nrig web\nmake check test\n")
    assert ("make test-slow" in done.stdout) == (failing != "check")
    summary = "Skipped, and why:\nSKIPPED [1] because of check\nSKIPPED [1] because of test-slow\n"
    assert done.stdout.endswith(summary) == (status == 0)
