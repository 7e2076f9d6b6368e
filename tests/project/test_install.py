"""What a user gets: the wheel's content, and an installation without extras that works where torch is not installed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import hwnas
from hwnas.core.device import Measurement, MeasurePlan
from hwnas.latency.table import LatencyTable
from hwnas.latency.tablefile import write_table

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "onnx", "onnxruntime", "sklearn", "PIL", "ai_edge_litert", "scipy", "paramiko")

pytestmark = pytest.mark.slow


def run(*command: str | Path, cwd: Path) -> str:
    """Standard output of a command that must succeed, run apart from this checkout."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "COV"))}
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, env=env, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=900
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy, so that nothing is left in the checkout and nothing stale gets in."""
    folder = tmp_path_factory.mktemp("build")
    source = folder / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("hwnas", "devices", "tests"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder / "dist", source, cwd=folder)
    (built,) = (folder / "dist").iterdir()
    return built


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a fresh environment with hwnas and no extras."""
    folder = tmp_path_factory.mktemp("core")
    run(sys.executable, "-m", "venv", folder / "venv", cwd=folder)
    interpreter = folder / "venv" / "bin" / "python"
    run(interpreter, "-m", "pip", "install", "--quiet", "-c", ROOT / "constraints.txt", wheel, cwd=folder)
    return interpreter


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """What the reference workspace keeps in the repository, with a table of its own for every device."""
    shutil.copy(ROOT / "hwnas.toml", tmp_path)
    for name in ("devices", "export"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for device in (tmp_path / "devices").glob("*.toml"):
        times = {"conv-in3x32x32": Measurement((0.25, 0.5, 0.75), rejected=1)}
        table = LatencyTable(device.stem, "onnxruntime", "fp32", 1, 1, "quiet", MeasurePlan(), {}, None, times)
        write_table(table, tmp_path / "latency_tables")
    return tmp_path


def test_wheel_holds_all_packages_and_no_tests(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    source = {
        path.relative_to(ROOT).as_posix() for path in (ROOT / "hwnas").rglob("*") if path.is_file() and "__pycache__" not in path.parts
    }
    agent = ROOT / "devices" / "agent"
    source |= {path.relative_to(agent).as_posix() for path in (agent / "hwnas_agent").rglob("*.py")}
    page = ROOT / "devices" / "browser"
    source |= {p.relative_to(page).as_posix() for p in (page / "hwnas_browser").rglob("*") if p.is_file() and "__pycache__" not in p.parts}
    info = f"hwnas-{hwnas.__version__}.dist-info/"
    assert {name for name in names if not name.startswith(info)} == source
    assert {"hwnas/py.typed", "hwnas_agent/wire.py", "hwnas_browser/page/index.html"} <= names
    assert {f"{info}licenses/LICENSE", f"{info}licenses/hwnas/assets/NOTICE.md"} <= names


def test_core_alone_brings_nothing_heavy(python: Path, tmp_path: Path) -> None:
    program = f"import importlib.util, json; print(json.dumps([name for name in {HEAVY!r} if importlib.util.find_spec(name)]))"
    assert json.loads(run(python, "-c", program, cwd=tmp_path)) == []


def test_core_alone_imports_from_where_it_was_installed(python: Path, tmp_path: Path) -> None:
    program = "import hwnas, hwnas_agent.wire; print(hwnas.__file__); print(hwnas_agent.wire.__file__)"
    assert all(str(python.parents[1]) in line for line in run(python, "-c", program, cwd=tmp_path).splitlines())


def test_core_alone_has_every_name_of_the_api(python: Path, tmp_path: Path) -> None:
    program = "import hwnas; print([name for name in hwnas.__all__ if getattr(hwnas, name) is None])"
    assert run(python, "-c", program, cwd=tmp_path).strip() == "[]"


def test_core_alone_has_a_doctor_that_names_what_is_not_installed(python: Path, tmp_path: Path) -> None:
    told = json.loads(run(python.parent / "hwnas", "doctor", "--json", cwd=tmp_path))
    absent = {each["name"]: each["fix"] for each in told["findings"] if each["state"] == "absent" and each["topic"] == "packages"}
    assert absent["[train]"] == "pip install 'hwnas[train]'"
    assert told["ok"]


def test_core_alone_has_the_page(python: Path, tmp_path: Path) -> None:
    program = "from hwnas.profiler.webserver import page_files; print(len(page_files()['/']))"
    assert int(run(python, "-c", program, cwd=tmp_path)) > 100


def test_core_alone_has_the_command(python: Path, tmp_path: Path) -> None:
    told = run(python.parent / "hwnas", "--help", cwd=tmp_path)
    assert all(command in told for command in ("init", "run", "spaces", "devices", "profile", "table", "search", "export", "verify"))


def test_core_alone_lists_devices(python: Path, workspace: Path) -> None:
    listed = json.loads(run(python.parent / "hwnas", "devices", "list", "--json", cwd=workspace))
    assert {device["id"] for device in listed} == {path.stem for path in (ROOT / "devices").glob("*.toml")} != set()


def test_core_alone_shows_a_table(python: Path, workspace: Path) -> None:
    (path,) = (workspace / "latency_tables" / "local").glob("*.json")
    (told,) = json.loads(run(python.parent / "hwnas", "table", "show", "local", "--json", cwd=workspace))
    assert (workspace / told["file"]).samefile(path)
    assert told["blocks"] == {"conv-in3x32x32": 0.5}


def test_core_alone_shows_a_space(python: Path, tmp_path: Path) -> None:
    assert "ofa-w1.0" in run(python.parent / "hwnas", "spaces", "show", "ofa-w1.0", cwd=tmp_path)


def test_core_alone_searches_with_stored_predictors(python: Path, copy: Path) -> None:
    device = copy / "devices" / "toy.toml"  # the pretended transport is the tests' own
    device.write_text(device.read_text().replace('"pretend"', '"local"'))
    arguments = ("search", "--device", "toy", "--runtime", "litert", "--budget", "60%", "--budget", "90%", "--json")
    small, large = json.loads(run(python.parent / "hwnas", *arguments, cwd=copy))["budgets"]
    assert small["predicted_hi_ms"] <= small["budget_ms"]
    assert small["accuracy"] <= large["accuracy"]


def test_readme_of_the_wheel_is_the_one_declared(wheel: Path) -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["readme"]
    with zipfile.ZipFile(wheel) as archive:
        metadata = archive.read(f"hwnas-{hwnas.__version__}.dist-info/METADATA").decode("utf-8")
    assert (ROOT / declared).read_text(encoding="utf-8").strip() in metadata
