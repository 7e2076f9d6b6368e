"""A board whose link is cut while it is measured: the command says so, and the next one goes on where it was."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hwnas.profiler.hostkeys import pin_key
from hwnas.profiler.session import stale
from tests.rig import cable as cables
from tests.rig.small_run import write_workspace
from tests.rig.sshd import missing, running

pytest.importorskip("paramiko")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(missing()), reason=missing())]

REPOSITORY = Path(__file__).parents[2]
PATIENCE_S = 300
DEVICE = """transport = "ssh"
address = "{address}:{port}"
runtimes = ["onnxruntime"]
[ssh]
key = "{key}"
python = "{python}"
"""


def workspace_for(board, root):
    workspace = write_workspace(root, runtimes=())
    text = DEVICE.format(address=board.address, port=board.port, key=board.key, python=sys.executable)
    (workspace / "devices" / "toy.toml").write_text(text)
    pin_key(workspace / "devices" / "known_hosts", "toy", board.host_key)
    return workspace


def profile(workspace, *before):
    """``hwnas profile``, started."""
    paths = os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "devices" / "agent")])
    code = "import sys; from hwnas.cli.main import call; sys.exit(call(sys.argv[1:]))"
    command = [*before, sys.executable, "-c", code, "profile", "toy", "-w", str(workspace), "--json", "--quiet"]
    env = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "HOME": str(workspace)}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)


def to_its_end(process):
    with process:
        try:
            return process.communicate(timeout=PATIENCE_S)
        finally:
            process.kill()


def journal_of(workspace):
    found = list(workspace.glob("runs/stages/profile-*/journal.jsonl"))
    return found[0].read_bytes() if found else b""


def wait_for_results(workspace, process):
    for _ in range(10 * PATIENCE_S):
        if journal_of(workspace).count(b"\n") >= 5:
            return
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.1)
    pytest.fail("nothing was measured")


def levels(journal):
    """Models in a journal, and at which level of the probe each was last timed."""
    records = [r for r in map(json.loads, journal.splitlines()) if r["kind"] == "timing"]
    return {r["key"]: r["regimes"]["quiet"]["facts"]["quiet_level_us"] for r in records}


def goes_on(workspace, first, *before):
    """A second profile finishes: it keeps every line of the first, and measures again only what a faster speed made stale."""
    out, err = to_its_end(process := profile(workspace, *before))
    assert process.returncode == 0, err
    (row,) = json.loads(out)
    last = journal_of(workspace)
    assert last.startswith(first)
    kept, fresh = levels(first), levels(last[len(first) :])
    assert kept
    assert fresh
    fastest = min({**kept, **fresh}.values())
    assert kept.keys() & fresh.keys() <= set(stale(kept, fastest))
    # the empty model beside blocks and networks
    assert len(kept | fresh) == row["blocks"] + row["networks"] + 1


def test_a_profile_goes_on_after_its_sshd_was_killed(tmp_path):
    with running(tmp_path / "board") as board:
        workspace = workspace_for(board, tmp_path / "ws")
        process = profile(workspace)
        with contextlib.ExitStack() as stack:
            stack.callback(process.kill)
            wait_for_results(workspace, process)
            board.signal(signal.SIGKILL)
            _, err = to_its_end(process)
        assert process.returncode == 3, err
        assert "the connection broke off" in err
        assert "were measured and are kept" in err
        board.stop()
        board.start()
        goes_on(workspace, journal_of(workspace))
        assert board.is_clean()


def test_a_profile_goes_on_after_its_cable_was_cut(tmp_path):
    with contextlib.ExitStack() as stack:
        try:
            cable = stack.enter_context(cables.laid())
        except OSError as problem:
            pytest.skip(f"no network of the test's own here: {problem}")
        board = stack.enter_context(running(tmp_path / "board", address=cables.BOARD, port=2222, before=cable.board))
        workspace = workspace_for(board, tmp_path / "ws")
        process = profile(workspace, *cable.host)
        stack.callback(process.kill)
        wait_for_results(workspace, process)
        # nothing tells the board that the host is gone but its silence
        cable.cut()
        assert board.agents()
        _, err = to_its_end(process)
        assert process.returncode == 3, err
        assert "were measured and are kept" in err
        cable.mend()
        goes_on(workspace, journal_of(workspace), *cable.host)
        assert board.is_clean()
