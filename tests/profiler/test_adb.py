"""Devices over adb, on a real adbd: whole sessions, what the device must have, what is left behind, and what it means when it fails."""

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
from hwnas_agent import wire

from hwnas.core.device import MeasurePlan
from hwnas.core.errors import AgentTimeout, ConfigError, DeviceError, DeviceLost, ProtocolError, Unreachable
from hwnas.profiler.adb import AdbLauncher, adb_link
from hwnas.profiler.adbshell import AdbShell
from hwnas.profiler.channel import LAUNCHERS
from hwnas.profiler.check import check, read_hello
from hwnas.profiler.session import Job, run_session
from tests.agent.models import onnx_convolution
from tests.rig import replay
from tests.rig.adbd import Board, missing, running
from tests.rig.board import soon
from tests.rig.processes import naming

pytest.importorskip("adbutils")

PLAN = MeasurePlan(min_repeats=4, min_sample_us=0.0, max_seconds=60.0)
REAL = MeasurePlan(min_repeats=5, min_total_ms=0.0, max_seconds=120.0, warmup=1)


@pytest.fixture(scope="module")
def powered(tmp_path_factory):
    """A board for all tests of this module, each of which leaves it clean."""
    if missing():
        pytest.skip(missing())
    with running(tmp_path_factory.mktemp("adb") / "board") as found:
        yield found


@pytest.fixture
def board(powered):
    yield powered
    powered.relay.mend()
    powered.start_adbd_again()
    if powered.server is None:
        powered.start_server()
    assert powered.is_clean()


SILENCE_S = 5.0
"""How long both sides bear silence where that is tested; elsewhere as long as ever, for the machine may be busy."""


def replays(board: Board, *, silence_s=30.0, **options):
    return board.device(python=replay.interpreter(board.root, silence_s=silence_s), **options)


def measure(device, folder: Path, on_first=lambda: None, *, names=range(8), known=(), silence_s=None):
    """Samples of models by name; ``on_first()`` is called at the first result. The error is raised, with ``measured`` so far."""
    probe = replay.model(folder / "probe.rep", us=1000)
    jobs = [Job(f"m{i}", replay.model(folder / f"{i}.rep", us=100.0 + 50 * i, pace_ms=1)) for i in names]
    measured = {}

    def keep(key, regimes):
        measured[key] = regimes["quiet"].samples_ms
        if len(measured) == 1:
            on_first()

    try:
        with AdbLauncher(device).launch() as channel:
            asked = [job for job in jobs if job.id not in known]
            run_session(channel, asked, PLAN, runtime="replay", probe=probe, reference=probe, silence_s=silence_s, on_measured=keep)
    except DeviceError as problem:
        problem.measured = measured  # type: ignore[attr-defined]
        raise
    return measured


@pytest.fixture(scope="module")
def undisturbed(powered, tmp_path_factory):
    return measure(replays(powered), tmp_path_factory.mktemp("models"))


def signalled(board: Board, number: signal.Signals) -> None:
    for pid in board.agents():
        os.kill(pid, number)


def test_models_are_measured_by_the_devices_own_runtime(board, tmp_path):
    probe = onnx_convolution(tmp_path / "probe.onnx", channels=32, size=16)
    jobs = [Job(f"c{c}", onnx_convolution(tmp_path / f"{c}.onnx", channels=c, size=12)) for c in (4, 16)]
    seen = {}

    def look(key, regimes):
        (work,) = board.home.glob("hwnas/*")
        seen[key] = len(regimes["quiet"].samples_ms), sorted(p.name for p in work.iterdir())

    with LAUNCHERS.get("adb")(board.device()).launch() as channel:
        run_session(channel, jobs, REAL, runtime="onnxruntime", probe=probe, reference=probe, on_measured=look)
    assert {key: samples >= 5 for key, (samples, _) in seen.items()} == {"c4": True, "c16": True}
    files = seen["c4"][1]
    # the probe is also the reference: the same content goes over once
    assert len([name for name in files if name.endswith(".onnx")]) == 3
    assert {"agent.pyz", "owner"} < set(files)
    assert not any(name.endswith(".part") for name in files)


def test_a_device_is_described(board):
    report = check(AdbLauncher(board.device()))
    assert report.runtimes["onnxruntime"].max_ir == 10
    assert report.cores


def test_the_only_device_needs_no_serial_number(board):
    link = adb_link(board.device(address=""))
    adb_link(board.device()).ready()
    link.ready()
    assert link.alive
    assert AdbShell(link).run(["echo", "it"]).output == b"it\n"


BROKEN = "the connection to the device broke off"


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        pytest.param(lambda b: signalled(b, signal.SIGKILL), DeviceLost, "the agent ended before it was done; ", id="agent killed"),
        pytest.param(lambda b: signalled(b, signal.SIGUSR2), ProtocolError, "a line is not JSON", id="garbage", marks=pytest.mark.slow),
        pytest.param(lambda b: b.kill(), DeviceLost, BROKEN, id="adbd killed"),
        pytest.param(lambda b: b.stop_server(), DeviceLost, BROKEN, id="server killed", marks=pytest.mark.slow),
        pytest.param(lambda b: b.power_off(), DeviceLost, BROKEN, id="reboot", marks=pytest.mark.slow),
        pytest.param(lambda b: b.relay.snap(), DeviceLost, BROKEN, id="line broken", marks=pytest.mark.slow),
        pytest.param(lambda b: b.relay.noise(os.urandom(300)), DeviceLost, BROKEN, id="noise", marks=pytest.mark.slow),
        pytest.param(lambda b: b.relay.cut(), AgentTimeout, "no word from the agent for 5 s", id="line still", marks=pytest.mark.slow),
        pytest.param(
            lambda b: signalled(b, signal.SIGSTOP),
            AgentTimeout,
            "no word from the agent for 5 s",
            id="agent stopped",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_what_fails_in_mid_run_is_told_and_gone_on_with(board, tmp_path, undisturbed, fault, error, words):
    silence_s = SILENCE_S if error is AgentTimeout else 30.0
    with pytest.raises(error, match=words) as told:
        measure(replays(board, silence_s=silence_s), tmp_path, lambda: fault(board), silence_s=silence_s)
    first = told.value.measured
    assert first
    board.relay.mend()
    board.start_adbd_again()
    if board.server is None:
        board.start_server()
    second = measure(replays(board), tmp_path, known=first)
    assert not first.keys() & second.keys()
    assert first | second == undisturbed


def test_a_flood_of_stderr_stalls_nothing(board, tmp_path, undisturbed):
    assert measure(replays(board), tmp_path, lambda: signalled(board, signal.SIGUSR1)) == undisturbed


def test_an_older_adbd_carries_a_session_too(board, tmp_path, undisturbed, monkeypatch):
    monkeypatch.setattr("hwnas.profiler.adbshell.SHELL_V2", "no such feature")
    assert measure(replays(board), tmp_path) == undisturbed


def test_files_come_and_go(board, tmp_path, monkeypatch):
    monkeypatch.setattr(wire, "HEARTBEAT_S", 0.0)  # the host is heard of between any two blocks
    (tmp_path / "model.bin").write_bytes(bytes(range(256)) * 1000)
    with AdbLauncher(replays(board)).launch() as channel:
        path = channel.push(tmp_path / "model.bin", "any")
        assert channel.push(tmp_path / "model.bin", "other") == path
        assert channel.receive(timeout_s=30)["type"] == "alive"
        monkeypatch.setattr(wire, "HEARTBEAT_S", 2.0)
        read_hello(channel, runtimes=("none",))
        (work,) = board.home.glob("hwnas/*")
        assert work.stat().st_mode & 0o777 == 0o700
        channel.pull(Path(path).name, tmp_path / "back")
        with pytest.raises(DeviceError, match=r"fetching .*missing: .*No such file"):
            channel.pull("missing", tmp_path / "none")
        with pytest.raises(ConfigError, match="nowhere: no such file"):
            channel.push(tmp_path / "nowhere", "x")
    assert (tmp_path / "back").read_bytes() == (tmp_path / "model.bin").read_bytes()
    assert not list(tmp_path.glob("*.part")) + list(tmp_path.glob("none*"))


def test_a_file_that_arrives_torn_is_refused(board, tmp_path, monkeypatch):
    (tmp_path / "model.bin").write_bytes(b"model")
    with AdbLauncher(replays(board)).launch() as channel:
        monkeypatch.setattr("hwnas.profiler.pushed.sha256_file", lambda path: 64 * "0")
        channel.push(tmp_path / "model.bin", "any")
        with pytest.raises(DeviceError, match="a pushed file arrived torn"):
            read_hello(channel, runtimes=("none",))


def test_folders_of_dead_agents_go_with_the_next_one(board):
    stale = board.home / "hwnas" / "hwnas-work-0123456789abcdef"
    stale.mkdir(parents=True)
    (stale / "owner").write_text("1\n")
    check(AdbLauncher(replays(board)))


def test_arguments_reach_the_device_as_they_are(board):
    folder = f"{board.home}/a folder; touch {board.home}/pwned 'quoted' \"twice\" `date`"
    with AdbLauncher(replays(board, folder=folder)).launch() as channel:
        read_hello(channel, runtimes=("none",))
        assert len(list(Path(folder).iterdir())) == 1
    assert list(Path(folder).iterdir()) == []
    assert not (board.home / "pwned").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"python": "python9"}, r"'python9' does not run there \(exit code 127: .*not found\); install Python 3.8, or name one in \[adb\]"),
        ({"folder": "/proc/nowhere"}, r"no folder can be made in /proc/nowhere: .*; name another as folder in \[adb\]"),
    ],
    ids=["no Python", "no folder"],
)
def test_what_the_device_lacks_is_told(board, options, words):
    with pytest.raises(DeviceError, match=words):
        AdbLauncher(board.device(**options)).launch()


def test_a_serial_number_that_nobody_has_is_unreachable(board):
    with pytest.raises(Unreachable, match=r"board \(0123\): device '0123' not found; is it plugged in, with USB debugging"):
        AdbLauncher(board.device(address="0123")).launch()
    with pytest.raises(Unreachable, match=r"not found for 0\.5 s; is it switched on, in this network"):
        AdbLauncher(board.device(address="127.0.0.1:1"), patience_s=0.5).launch()


@pytest.mark.slow
def test_a_device_whose_adbd_is_gone_is_unreachable_until_it_is_back(board):
    check(AdbLauncher(replays(board)))
    board.kill()
    with pytest.raises(Unreachable, match=r"; (is it switched on|plug it in again)"):
        AdbLauncher(replays(board), patience_s=0.5).launch()
    board.start_adbd_again()
    assert check(AdbLauncher(replays(board))).cores


def test_no_adb_server_is_unreachable(board):
    board.stop_server()
    with pytest.raises(Unreachable, match=rf"no adb server answers at 127\.0\.0\.1:{board.server_port}; run 'adb start-server'"):
        AdbLauncher(replays(board)).launch()


def test_commands_run_to_their_end(board, tmp_path):
    shell = AdbShell(adb_link(board.device()))
    shell.link.ready()
    for packets in (True, False):
        shell._packets = packets
        assert shell.run(["sh", "-c", 'echo "$1"; echo err >&2; exit 3', "sh", "a 'b' \"c\" $d"])[:2] == (3, b"a 'b' \"c\" $d\n")
        assert shell.run(["sh", "-c", "echo out; echo err >&2"], merged=True).output == b"out\nerr\n"
        status, output, capped = shell.run(["sh", "-c", "head -c 3000000 /dev/zero; echo; echo last"], kept_bytes=40)
        assert (status, output[-5:], capped) == (0, b"last\n", True)
        with pytest.raises(DeviceLost, match=r"sleep did not end within 0\.3 s, and was killed"):
            shell.run(["sleep", "12345.6"], 0.3)
    # what is killed needs a moment to go
    assert soon(lambda: not naming("12345.6"))
    (tmp_path / "tool").write_text("#!/bin/sh\necho $#\n")
    shell.push(tmp_path / "tool", f"{board.home}/tools/new/tool", mode=0o755)
    assert shell.run([f"{board.home}/tools/new/tool", "1", "2"]).output == b"2\n"
    with pytest.raises(DeviceError, match=r"writing tool there: .*; is the disk full, the folder writable"):
        shell.push(tmp_path / "tool", "/proc/nowhere/tool")


@pytest.mark.slow
def test_a_line_that_stands_still_while_files_are_pushed_is_given_up(board, tmp_path, monkeypatch):
    (tmp_path / "large").write_bytes(bytes(8_000_000))
    with AdbLauncher(replays(board, silence_s=SILENCE_S), patience_s=4.0).launch() as channel:
        read_hello(channel, runtimes=("none",))
        monkeypatch.setattr("hwnas.profiler.adbsync.STALL_S", 1.0)
        board.relay.cut()
        with pytest.raises(DeviceLost, match="no answer within 4 s"):
            channel.push(tmp_path / "large", "large")


def test_patience_is_the_launchers_to_give(board):
    launcher = LAUNCHERS.get("adb")(board.device())
    assert replace(launcher, patience_s=1.0).patience_s == 1.0
