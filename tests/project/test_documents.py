"""What README.md and docs/ tell a reader to type is true: commands parse, configuration is valid, and what can run here does run.

Blocks that need a device, a GPU, published files or hours say so in the source (`tests.rig.documents`), and are listed by
`test_list_what_is_not_run`. Devices of the others are pretended, but for the board, which is a private sshd.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import typer.main

from hwnas.cli.main import app
from hwnas.config import Config
from hwnas.core.serial import parse
from hwnas.recipe import Recipe
from hwnas.workspace import device_from
from tests.latency.published import ofa, operations, timed, write_csv
from tests.rig import small_run, sshd
from tests.rig.documents import PAGES, ROOT, RUN, Block, blocks
from tests.rig.sshd import board  # noqa: F401 (a fixture)
from tests.supernet.test_ofa_predictor import published

BLOCKS = blocks()
HERE = [block for block in BLOCKS if block.mark == "run"]
FOLDERS = ("new", "finished", "published", "board")
MINIMAL = {"data": {"source": "fashion-mnist"}, "space": {"preset": "tiny-32"}}
LINE = """\
from hwnas.cli.main import main
from hwnas.profiler.channel import LAUNCHERS
import tests.rig.pretend
LAUNCHERS._items["local"] = LAUNCHERS.get("pretend")
main()
"""
"""The command line, on which this machine is pretended, too."""
RECIPE = {"device": "local", "runtime": "litert", "budgets": ["60%"]}


def ids(block: Block) -> str:
    return block.where


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language in RUN], ids=ids)
def test_every_block_that_could_run_does_or_says_why_not(block: Block) -> None:
    assert block.mark, f"{block.where}: write <!-- run: NAME --> or <!-- not run: reason --> above it"
    assert block.mark == "not run" or block.said in FOLDERS
    assert len(block.said.split()) >= 3 or block.mark == "run", "a reason has some words"


def test_marks_stand_above_blocks_alone() -> None:
    marks = sum(len(re.findall(r"^<!-- (?:not )?run: ", path.read_text(encoding="utf-8"), re.MULTILINE)) for path in PAGES)
    assert marks == sum(bool(block.mark) for block in BLOCKS) == sum(block.language in RUN for block in BLOCKS)


def words_of(line: str) -> list[str]:
    """The words of the command of ``line`` itself, without what a shell does with it."""
    words = shlex.split(line)
    ends = [i for i, word in enumerate(words) if word in ("||", "&&", "|", ">", ";")]
    return words[: min(ends, default=len(words))]


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language == "sh"], ids=ids)
def test_every_command_parses(block: Block) -> None:
    for line in block.commands:
        words = words_of(line)
        if words[0] == "hwnas":
            parse_command(words[1:], line)


def parse_command(words: list[str], line: str) -> None:
    """Fails where the command line would refuse an option or miss an argument."""
    command, path = typer.main.get_command(app), ["hwnas"]
    while hasattr(command, "commands"):
        assert words, f"'{line}' ends before a command"
        assert words[0] in command.commands, f"'{line}': there is no {' '.join([*path, words[0]])}"
        path.append(words[0])
        command, words = command.commands[words[0]], words[1:]
    command.make_context(" ".join(path), list(words))


def test_the_parser_refuses_what_there_is_not() -> None:
    for line in ("runz list", "search --devize x", "predict", "runs"):
        with pytest.raises(Exception, match=r"no such option|No such option|there is no|Missing|ends before"):
            parse_command(line.split(), line)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_command_in_running_text_is_there(page: Path) -> None:
    for said in re.findall(r"`hwnas ([a-z][^`]*)`", page.read_text(encoding="utf-8").replace("\n", " ")):
        command, words = typer.main.get_command(app), re.findall(r"^[a-z-]+(?: [a-z-]+)*", said.split(" -")[0])[0].split()
        while hasattr(command, "commands") and words:
            assert words[0] in command.commands, f"hwnas {said}"
            command = command.commands[words.pop(0)]
        options = {option for each in command.params for option in (*each.opts, *each.secondary_opts)}
        assert set(re.findall(r"(?<= )--[a-z0-9-]+", said)) <= options, f"hwnas {said}"


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language == "toml"], ids=ids)
def test_every_configuration_is_valid(block: Block, tmp_path: Path) -> None:
    values = tomllib.loads(block.text)
    if "transport" in values:
        device_from(values, tmp_path / "devices" / "one.toml")
    elif values.keys() <= {field.name for field in fields(Recipe)}:
        parse(Recipe, {**RECIPE, **values}, where=block.where)
    else:
        parse(Config, {**MINIMAL, **values}, where=block.where)


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language == "yaml"], ids=ids)
def test_every_workflow_gives_the_action_what_it_takes(block: Block) -> None:
    yaml = pytest.importorskip("yaml")
    steps = [step for job in yaml.safe_load(block.text)["jobs"].values() for step in job["steps"]]
    (own,) = (step for step in steps if step.get("uses", "").startswith("./"))
    action = yaml.safe_load((ROOT / own["uses"] / "action.yml").read_text(encoding="utf-8"))
    assert own.get("with", {}).keys() <= action["inputs"].keys()


def test_errors_are_quoted_as_they_are_written() -> None:
    """Each heading of the page of troubleshooting holds words of a message."""
    quoted = re.findall(r"^### `(.+)`$", (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8"), re.MULTILINE)
    folders = (ROOT / "hwnas", ROOT / "devices" / "agent")
    source = "\n".join(path.read_text(encoding="utf-8") for folder in folders for path in folder.rglob("*.py"))
    assert len(quoted) > 15
    assert [words for words in quoted if words not in source] == []


def test_every_kind_of_journal_line_is_described() -> None:
    page = (ROOT / "docs" / "reference" / "formats.md").read_text(encoding="utf-8")
    described = set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE))
    source = (ROOT / "hwnas" / "pipeline" / "timings.py").read_text(encoding="utf-8")
    assert described == set(re.findall(r'append\(\{"kind": "(\w+)"', source))


def test_list_what_is_not_run(capsys: pytest.CaptureFixture[str]) -> None:
    left = [block for block in BLOCKS if block.mark == "not run"]
    with capsys.disabled():
        print(f"\n{len(HERE)} blocks of the documentation are run, {len(left)} are not:")
        for block in left:
            print(f"  {block.where}: {block.said}")
    assert len(HERE) >= 8


@pytest.mark.slow
def test_the_pages_build_without_a_network_and_hold_no_dead_link(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs")
    apart = ["unshare", "--net", "--map-root-user"]
    if subprocess.run([*apart, "true"], capture_output=True, check=False).returncode != 0:
        apart = []
    command = [*apart, sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    env = os.environ | {"NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    commands = (tmp_path / "site" / "reference" / "cli.html").read_text(encoding="utf-8")
    assert "--refresh-blocks" in commands
    fetched = [
        tag for path in (tmp_path / "site").rglob("*.html") for tag in re.findall(r'src="(?:https?:)?//[^"]*', path.read_text("utf-8"))
    ]
    assert fetched == []


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace that ran to its end, with three pretended devices that are called as those of the documentation."""
    root = small_run.write_workspace(tmp_path_factory.mktemp("documents") / "ws", runtimes=())
    (root / "devices" / "toy.toml").unlink()
    for device, runtime in (("local", "onnxruntime"), ("local", "litert"), ("pi4", "onnxruntime"), ("pi4", "litert"), ("pixel", "litert")):
        (root / "devices" / f"{device}.toml").write_text('transport = "pretend"\n')
        recipe = root / "export" / "recipes" / f"{device}-{runtime}.toml"
        recipe.parent.mkdir(parents=True, exist_ok=True)
        recipe.write_text(f'device = "{device}"\nruntime = "{runtime}"\nbudgets = ["90%"]\n')
    typed("hwnas run --quiet", root, tmp_path_factory.mktemp("bin"))
    return root


def typed(script: str, folder: Path, tools: Path, *, home: Path | None = None) -> str:
    """Run ``script`` in a shell that has `hwnas` with pretended devices. What it printed.

    Each line must succeed, or end with the exit code that its comment tells of.
    """
    script = re.sub(r"^(hwnas .*?)(\s+#.*exit code (\d).*)$", r"\1 || test $? -eq \3 \2", script, flags=re.MULTILINE)
    program = tools / "hwnas"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {shlex.quote(str(tools / "line.py"))} "$@"\n')
    (tools / "line.py").write_text(LINE)
    program.chmod(0o755)
    env = {**os.environ, "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    if home is not None:
        env["HOME"] = str(home)
    command = ["bash", "-euo", "pipefail", "-c", script]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=900)
    assert done.returncode == 0, f"{script}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def photos(folder: Path) -> None:
    """Small JPEG files of noise, each class of another brightness."""
    image = pytest.importorskip("PIL.Image")
    rng = np.random.default_rng(0)
    for level, name in enumerate(("cat", "dog", "owl")):
        (folder / name).mkdir(parents=True)
        for i in range(50):
            pixels = rng.integers(60 * level, 60 * level + 80, (32, 32, 3), dtype=np.uint8)
            image.fromarray(pixels).save(folder / name / f"{i:04}.jpg", quality=95)


def write_published(folder: Path) -> None:
    """A workspace of Once-for-All's space beside files as its authors published them, with other numbers."""
    folder.mkdir()
    toml = '[data]\nsource = "fashion-mnist"\n[space]\npreset = "ofa-w1.2"\nresolutions = [160, 224]\n'
    (folder / "hwnas.toml").write_text(toml)
    np.savez(folder / "accuracy_predictor.npz", **published())
    write_csv(folder / "note10_lut.csv", timed(operations(ofa(224))))


@pytest.mark.slow
@pytest.mark.parametrize("block", HERE, ids=ids)
def test_a_block_runs(block: Block, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    script, tools, home = block.text, tmp_path / "bin", None
    tools.mkdir()
    folder = tmp_path / "here"
    if block.said == "new":
        photos(folder / "photos")
    elif block.said == "published":
        write_published(folder)
        script = re.sub(r"\b(old|new)\.json", "latency_tables/note10/*.json", script)
    elif block.said == "finished":
        shutil.copytree(request.getfixturevalue("measured"), folder)
        (found,) = {path.name for path in (folder / "runs").glob("*/artifacts/local-litert/*/manifest.json")}
        subnet = re.search(r'"arch_id": "(\w+)"', next((folder / "runs").glob(f"*/artifacts/local-litert/*/{found}")).read_text())
        assert subnet is not None
        script = script.replace("6d64c16a", subnet[1]).replace("pixel/onnxruntime-web", "pixel/litert")
        if "dist/NAME/BUDGET" in script:
            script = "hwnas ci --quiet --out dist\n" + script.replace("NAME/BUDGET", "local-litert/*")
    else:
        if sshd.missing():
            pytest.skip(sshd.missing())
        small_run.write_workspace(folder)
        board = request.getfixturevalue("board")
        home = tmp_path / "home"
        (home / ".ssh").mkdir(parents=True)
        (home / ".ssh" / "config").write_text(f"Host {board.address}\n  IdentityFile {board.key}\n")
        for said, meant in (("pi@pi4.local", f"{board.address}:{board.port}"), ("'~/venv/bin/python'", shlex.quote(sys.executable))):
            assert said in script
            script = script.replace(said, meant)
    if block.language == "python":
        (tools / "block.py").write_text(f"import tests.rig.pretend\n{script}")
        script = f"{shlex.quote(sys.executable)} {shlex.quote(str(tools / 'block.py'))}"
    assert typed(script, folder, tools, home=home).strip()
