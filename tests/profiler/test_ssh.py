"""Devices over ssh, on a real sshd: what works, what the device must have, and what is left behind."""

import os
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hwnas_agent import wire

from hwnas.core.device import MeasurePlan
from hwnas.core.errors import ConfigError, DeviceError, ProtocolError
from hwnas.profiler.channel import LAUNCHERS
from hwnas.profiler.check import check, read_hello
from hwnas.profiler.local import LocalLauncher
from hwnas.profiler.session import Job, run_session
from tests.agent.models import onnx_convolution
from tests.rig.sshd import Board, board, missing, running

pytest.importorskip("paramiko")
assert board  # a fixture

PLAN = MeasurePlan(min_repeats=5, min_total_ms=0.0, max_seconds=120.0, warmup=1)


def launcher(device):
    return LAUNCHERS.get("ssh")(device)


def answers(board: Board, **options) -> bool:
    """Whether the board's agent says hello; nothing of it is left."""
    with launcher(board.device(**options)).launch() as channel:
        said = read_hello(channel, runtimes=("none",)).agent
    assert board.is_clean()
    return bool(said)


def measure(start, jobs, probe, on_measured=lambda key: None):
    measured = {}

    def keep(key, regimes):
        measured[key] = regimes
        on_measured(key)

    with start.launch() as channel:
        run_session(channel, jobs, PLAN, runtime="onnxruntime", probe=probe, reference=probe, on_measured=keep)
    return {
        key: {name: len(m.samples_ms) >= PLAN.min_repeats for name, m in regimes.items() if name == "quiet"}
        for key, regimes in measured.items()
    }


def test_models_are_measured_as_they_are_on_this_machine(board, tmp_path):
    probe = onnx_convolution(tmp_path / "probe.onnx", channels=32, size=16)
    jobs = [Job(f"c{c}", onnx_convolution(tmp_path / f"{c}.onnx", channels=c, size=12)) for c in (4, 16)]
    seen = []

    def look(key):
        (work,) = board.home.glob(".cache/hwnas/hwnas-work-*")
        seen.append((sorted(p.name for p in work.iterdir()), work.stat().st_mode & 0o777))

    over_ssh = measure(launcher(board.device()), jobs, probe, look)
    assert over_ssh == measure(LocalLauncher(), jobs, probe) == {"c4": {"quiet": True}, "c16": {"quiet": True}}
    files, mode = seen[0]
    assert mode == 0o700
    # the probe is also the reference: the same content goes over once
    assert len([name for name in files if name.endswith(".onnx")]) == 3
    assert {"agent.pyz", "owner"} < set(files)
    assert not any(name.endswith(".part") for name in files)
    assert board.is_clean()


def test_the_device_is_described_and_nothing_is_left(board):
    report = check(launcher(board.device()))
    assert report.runtimes["onnxruntime"].max_ir == 10
    assert report.cores
    assert board.is_clean()


def test_files_come_and_go(board, tmp_path, monkeypatch):
    # the host is heard of between any two blocks
    monkeypatch.setattr(wire, "HEARTBEAT_S", 0.0)
    (tmp_path / "model.bin").write_bytes(bytes(range(256)) * 1000)
    with launcher(board.device()).launch() as channel:
        path = channel.push(tmp_path / "model.bin", "any")
        assert channel.push(tmp_path / "model.bin", "other") == path
        assert channel.receive(timeout_s=30)["type"] == "alive"
        monkeypatch.setattr(wire, "HEARTBEAT_S", 2.0)
        read_hello(channel, runtimes=("none",))
        channel.pull(path, tmp_path / "back")
        channel.pull(Path(path).name, tmp_path / "again")
        with pytest.raises(DeviceError, match=r"fetching missing: .*No such file"):
            channel.pull("missing", tmp_path / "none")
        with pytest.raises(ConfigError, match="nowhere: no such file"):
            channel.push(tmp_path / "nowhere", "x")
    assert (tmp_path / "back").read_bytes() == (tmp_path / "again").read_bytes() == (tmp_path / "model.bin").read_bytes()
    assert not list(tmp_path.glob("*.part")) + list(tmp_path.glob("none*"))
    assert board.is_clean()


def test_a_file_that_arrives_torn_is_refused(board, tmp_path, monkeypatch):
    (tmp_path / "model.bin").write_bytes(b"model")
    with launcher(board.device()).launch() as channel:
        monkeypatch.setattr("hwnas.profiler.pushed.sha256_file", lambda path: 64 * "0")
        channel.push(tmp_path / "model.bin", "any")
        with pytest.raises(DeviceError, match="a pushed file arrived torn"):
            read_hello(channel, runtimes=("none",))
    assert board.is_clean()


def test_a_login_shell_that_talks_is_listened_over(board):
    board.greet("echo 'Welcome to the board'; echo 'hwnas-agent is not here'; echo quota >&2")
    assert answers(board)


def test_a_login_shell_that_never_stops_talking_is_not_the_protocol(board):
    board.greet("seq 1 100")
    with launcher(board.device()).launch() as channel, pytest.raises(ProtocolError, match="did not begin with hwnas-agent"):
        read_hello(channel, runtimes=("none",))
    assert board.is_clean()


def test_arguments_reach_the_device_as_they_are(board):
    folder = "a folder; touch $HOME/pwned 'quoted' \"twice\" `date`"
    with launcher(board.device(folder=folder)).launch() as channel:
        read_hello(channel, runtimes=("none",))
        assert len(list((board.home / folder).iterdir())) == 1
    assert list((board.home / folder).iterdir()) == []
    assert not (board.home / "pwned").exists()


def test_folders_of_dead_agents_go_with_the_next_one(board):
    stale = board.home / ".cache" / "hwnas" / "hwnas-work-0123456789abcdef"
    stale.mkdir(parents=True)
    (stale / "owner").write_text("1\n")
    assert answers(board)


def test_an_unprivileged_user_is_enough(tmp_path_factory):
    """A user of the board's own, in a user list that only its sshd sees."""
    python = "/usr/bin/python3"
    if missing() or os.geteuid() != 0 or not Path(python).exists():
        pytest.skip(missing() or "needs root, and a Python that every user may run")
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        root = Path(folder) / "board"
        users = Path(folder) / "passwd"
        users.write_text(Path("/etc/passwd").read_text() + f"rig:x:54321:54321::{root}/home:/bin/sh\n")
        program = 'mount --bind "$1" /etc/passwd && shift && exec "$@"'
        before = ("unshare", "--mount", "--propagation", "private", "sh", "-c", program, "sh", str(users))
        if subprocess.run([*before, "true"], capture_output=True).returncode != 0:
            pytest.skip("no mount namespaces here")
        with running(root, before=before) as board:
            os.chown(board.home, 54321, 54321)
            device = replace(board.device(python=python), address=f"rig@{board.address}:{board.port}")
            with launcher(device).launch() as channel:
                assert read_hello(channel, runtimes=("none",)).agent
                (agent,) = board.agents()
                assert Path(f"/proc/{agent}").stat().st_uid == 54321
            assert board.is_clean()


def test_an_interpreter_below_the_home_folder_is_found(board):
    python = Path(board.python("exec false"))
    (board.home / "venv").mkdir()
    python.rename(board.home / "venv" / "python")
    with launcher(board.device(python="~/venv/python")).launch() as channel, pytest.raises(DeviceError, match="the agent ended"):
        read_hello(channel)


@pytest.mark.parametrize(
    ("python", "message"),
    [
        ("no-such-python", r"'no-such-python' does not run there \(exit code 127: .*; install Python 3\.8, or name one in \[ssh\]"),
        ("false", r"'false' does not run there \(exit code 1: no word of why\)"),
    ],
)
def test_a_device_without_python_is_told(board, python, message):
    with pytest.raises(DeviceError, match=message):
        launcher(board.device(python=python)).launch()
    assert board.is_clean()


def test_a_python_that_is_too_old_is_told(board):
    old = board.root / "old"
    old.write_text("#!/bin/sh\necho hwnas-store whole 2 7\n")
    old.chmod(0o755)
    with pytest.raises(DeviceError, match=r"is Python 2\.7 there; the agent needs 3\.8"):
        launcher(board.device(python=str(old))).launch()
    assert board.is_clean()


def test_a_folder_that_cannot_be_made_is_told(board):
    (board.home / "file").write_text("")
    with pytest.raises(DeviceError, match=r"making a folder in .*/file/below: .*; name another as folder in \[ssh\]"):
        launcher(board.device(folder="file/below")).launch()
