"""``hwnas profile`` of several real agents: killed and run again; two hosts on one board."""

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from shutil import copytree

import pytest

from hwnas.profiler.hostkeys import pin_key
from tests.rig.board import soon
from tests.rig.processes import naming
from tests.rig.replay import interpreter, recording
from tests.rig.small_run import model_files, write_workspace
from tests.rig.sshd import missing, running

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[2]
PATIENCE_S = 300
KILLS = 4
CORES = sorted(os.sched_getaffinity(0))


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A workspace whose model files are there, without a device; and those files."""
    root = write_workspace(tmp_path_factory.mktemp("rig") / "ws", runtimes=())
    (root / "devices" / "toy.toml").unlink()
    return root, model_files(root)


def profile(root, *devices):
    """``hwnas profile``, started."""
    paths = os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "devices" / "agent")])
    code = "import sys; from hwnas.cli.main import call; sys.exit(call(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "profile", *devices, "-w", str(root), "--json", "--quiet"]
    env = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)


def journals(root):
    """Timed models by device, in their order."""
    found = {}
    for path in root.glob("runs/stages/profile-*/journal.jsonl"):
        text = path.read_text()
        for line in text[: text.rfind("\n") + 1].splitlines():
            record = json.loads(line)
            if record["kind"] == "timing":
                found.setdefault(record["of"]["device"], []).append(record["key"])
    return found


def test_several_devices_go_on_with_what_is_missing_after_kills(written, tmp_path):
    source, models = written
    root = copytree(source, tmp_path / "ws")
    for number, name in enumerate("abc"):
        python = interpreter(tmp_path / name, recording(models, slow=10.0 * (number + 1)), boot_id=name)
        (root / "devices" / f"{name}.toml").write_text(f'transport = "local"\naddress = "{python}"\nruntimes = ["onnxruntime"]\n')
    rng = random.Random(0)
    before = {}
    for _ in range(KILLS):
        process = profile(root, *"abc")
        for _ in range(10 * PATIENCE_S):  # until something more was measured
            if process.poll() is not None or sum(map(len, journals(root).values())) > sum(map(len, before.values())):
                break
            time.sleep(0.1)
        time.sleep(rng.uniform(0, 2))
        process.kill()
        process.communicate()
        now = journals(root)
        assert all(now[name][: len(keys)] == keys for name, keys in before.items())
        before = now
    assert sum(map(len, before.values())) > 3
    process = profile(root, *"abc")
    out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, err
    rows = json.loads(out)
    assert [row["device"] for row in rows] == list("abc")
    for row in rows:
        keys = journals(root)[row["device"]]
        assert keys[: len(before.get(row["device"], []))] == before.get(row["device"], [])
        assert len(set(keys)) == row["blocks"] + row["networks"] + 1
        assert len(set(keys)) == len(keys), "a model was measured twice"
    assert soon(lambda: not naming(f"{tmp_path}/")), "agents are left"


@pytest.mark.skipif(bool(missing()), reason=missing())
def test_two_hosts_on_one_board(written, tmp_path):
    """On the same core the second waits, gives up in one line and has disturbed nothing; on another core it goes on."""
    pytest.importorskip("paramiko")
    if len(CORES) < 2:
        pytest.skip("this machine gives one core")
    source, models = written
    with running(tmp_path / "board") as board:
        hosts = {}
        for name, slow, core in (("first", 3000.0, CORES[-1]), ("same", 20.0, CORES[-1]), ("other", 20.0, CORES[-2])):
            root = copytree(source, tmp_path / name)
            python = interpreter(tmp_path / f"python-{name}", recording(models, slow=slow), boot_id="board", locks=tmp_path)
            head = f'transport = "ssh"\naddress = "{board.address}:{board.port}"\nruntimes = ["onnxruntime"]\ncores = [{core}]\n'
            (root / "devices" / "board.toml").write_text(f'{head}[ssh]\nkey = "{board.key}"\npython = "{python}"\n')
            pin_key(root / "devices" / "known_hosts", "board", board.host_key)
            hosts[name] = root
        first = profile(hosts["first"], "board")
        try:
            for _ in range(10 * PATIENCE_S):
                if list(tmp_path.glob("hwnas-board-*.lock")):
                    break
                assert first.poll() is None, first.stderr.read()
                time.sleep(0.1)
            others = {name: profile(hosts[name], "board") for name in ("same", "other")}
            said = {name: process.communicate(timeout=PATIENCE_S) for name, process in others.items()}
            assert first.poll() is None, "the first was done before the second had been turned away"
        finally:
            first.kill()
            first.communicate()
        assert others["other"].returncode == 0, said["other"]
        assert others["same"].returncode == 3
        (line,) = said["same"][1].splitlines()
        assert f"error: the agent refuses: core{CORES[-1]} of this device is being measured on by another session (process " in line
        assert not journals(hosts["same"])
        assert board.is_clean()
