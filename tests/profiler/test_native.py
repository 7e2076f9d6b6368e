"""Measuring with benchmark programs: on this machine, over ssh, and with programs that misbehave."""

from dataclasses import replace
from pathlib import Path

import pytest

from hwnas.core.access import NativeOptions
from hwnas.core.device import Device, MeasurePlan
from hwnas.core.errors import ConfigError, DeviceError, DeviceLost, ProtocolError, TooNoisy
from hwnas.profiler import native, shell
from hwnas.profiler.native import measure_native
from hwnas.profiler.session import Job
from tests.agent.models import onnx_convolution, tflite_relu
from tests.profiler.test_nativetools import BENCHMARK
from tests.rig.benchtool import write_program, write_tool
from tests.rig.sshd import board

assert board  # a fixture
PLAN = MeasurePlan(min_repeats=3, least_repeats=2, max_seconds=120.0, seed=1)
QUICK = f"#!/bin/sh\ncat <<'end'\n{BENCHMARK}end\n"


@pytest.fixture
def quick(tmp_path):
    """A device whose program says what the golden file says; the file may be exchanged."""
    path = write_program(tmp_path / "tool", QUICK)
    return Device("phone", "local", native=NativeOptions("benchmark_model", str(path)))


def models(tmp_path, count):
    return [Job(f"model {n}", tflite_relu(tmp_path / f"{n}.tflite", side=8 + n)) for n in range(count)]


def measured(device, jobs, reference, *, plan=PLAN, **options):
    found = {}
    summary = measure_native(device, jobs, plan, reference=reference, on_measured=found.__setitem__, **options)
    return summary, found


@pytest.mark.slow
def test_litert_is_measured_burst_by_burst(tmp_path):
    pytest.importorskip("ai_edge_litert")
    tool = write_tool(tmp_path / "benchmark_model", "benchmark_model")
    device = Device("phone", "local", native=NativeOptions("benchmark_model", str(tool)))
    jobs = models(tmp_path, 2)
    progress = []
    summary, found = measured(device, jobs, jobs[0].path, on_progress=progress.append)
    assert set(summary.measured) == set(found) == {"model 0", "model 1"}
    for regimes in found.values():
        assert set(regimes) == {"typical"}
        measurement = regimes["typical"]
        assert len(measurement.samples_ms) == 3
        assert all(ms > 0 for ms in measurement.samples_ms)
        assert measurement.load_ms > 0
        assert measurement.facts["regime"] == "typical"
        assert measurement.facts["sample"].startswith("median of ")
    assert summary.bursts == 3 + 3 * 3
    assert len(summary.reference_us) == 1
    assert (progress[-1].accepted, progress[-1].wanted) == (6, 6)


@pytest.mark.slow
def test_onnxruntime_is_measured_from_its_result_file(tmp_path):
    pytest.importorskip("onnxruntime")
    tool = write_tool(tmp_path / "perf", "onnxruntime_perf_test")
    device = Device("phone", "local", native=NativeOptions("onnxruntime_perf_test", str(tool)))
    model = onnx_convolution(tmp_path / "a b.onnx")
    summary, found = measured(device, [Job("block; $(reboot)", model)], model, plan=replace(PLAN, affinity=(0,)))
    measurement = found["block; $(reboot)"]["typical"]
    assert measurement.peak_memory_bytes > 1e6
    assert measurement.facts["cores"] == "0"
    assert summary.cores == (0,)


@pytest.mark.slow
def test_over_ssh_everything_is_pushed_and_taken_away_again(board, tmp_path):
    pytest.importorskip("paramiko")
    tool = write_program(tmp_path / "tool", QUICK)
    options = NativeOptions("benchmark_model", str(tool))
    device = replace(board.device("phone", folder=str(tmp_path / "work")), native=options)
    jobs = models(tmp_path, 2)
    _, found = measured(device, jobs, jobs[0].path)
    assert found["model 1"]["typical"].samples_ms == (1.239,) * 3
    assert list((tmp_path / "work").iterdir()) == []


def test_models_take_turns_in_a_new_order_each_round(quick, tmp_path):
    log = tmp_path / "log"
    write_program(Path(quick.native.path), QUICK.replace("#!/bin/sh\n", f'#!/bin/sh\necho "$1" >>{log}\n'))
    jobs = models(tmp_path, 5)
    plan = MeasurePlan(min_repeats=8, least_repeats=2, max_seconds=300.0)
    measured(quick, jobs, jobs[0].path, plan=plan)
    names = [line.rpartition("/")[2] for line in log.read_text().splitlines()][6:]
    rounds = [tuple(names[at : at + 6]) for at in range(0, len(names), 6)]
    assert len(rounds) == 8
    assert len({frozenset(one) for one in rounds}) == 1
    assert len(set(rounds)) > 4
    again = (log.write_text(""), measured(quick, jobs, jobs[0].path, plan=plan), log.read_text())[2]
    assert [line.rpartition("/")[2] for line in again.splitlines()][6:] == names


def test_results_come_chunk_by_chunk(quick, tmp_path, monkeypatch):
    monkeypatch.setattr(native, "CHUNK", 2)
    jobs = models(tmp_path, 3)
    summary, found = measured(quick, jobs, jobs[0].path)
    assert [found[job.id]["typical"].facts["chunk"] for job in jobs] == [0, 0, 1]
    assert len(summary.reference_us) == 2


def test_a_session_goes_on_with_the_bursts_that_are_lacking(quick, tmp_path):
    jobs = models(tmp_path, 3)
    heard = []
    summary, found = measured(quick, jobs, jobs[0].path, on_burst=lambda key, burst: heard.append((key, burst)))
    assert sorted(key for key, _ in heard) == sorted([job.id for job in jobs] * 4)
    kept = {"model 0": [burst for key, burst in heard if key == "model 0"], "model 1": [heard[1][1]] * 2}
    more = []
    again, goes_on = measured(quick, jobs, jobs[0].path, kept=kept, on_burst=lambda key, _: more.append(key))
    assert sorted(more) == ["model 1"] * 2 + ["model 2"] * 4
    assert again.bursts < summary.bursts
    assert goes_on.keys() == found.keys()
    assert all(len(regimes["typical"].samples_ms) == 3 for regimes in goes_on.values())


@pytest.mark.parametrize(
    ("program", "error", "words"),
    [
        ("#!/bin/sh\nexit 3\n", DeviceError, "ends with 3 on reference: it says nothing"),
        ("#!/bin/sh\necho 'no \033[2Jlibrary' >&2\nexit 1\n", DeviceError, r"ends with 1 on reference: no  \[2Jlibrary"),
        ("#!/no/such/interpreter\n", DeviceError, "ends with 127 on"),
        ("#!/bin/sh\necho hello\n", ProtocolError, "phone: benchmark_model gave 0 lines of inference timings"),
        ("#!/bin/sh\nhead -c 3000000 /dev/zero\n", ProtocolError, "gave 0 lines"),
    ],
)
def test_a_program_that_misbehaves_is_told(quick, tmp_path, program, error, words):
    write_program(Path(quick.native.path), program)
    jobs = models(tmp_path, 1)
    with pytest.raises(error, match=words):
        measured(quick, jobs, jobs[0].path)


def test_a_program_that_hangs_is_killed(quick, tmp_path, monkeypatch):
    monkeypatch.setattr(native, "START_S", 0.3)
    write_program(Path(quick.native.path), "#!/bin/sh\nexec sleep 600\n")
    jobs = models(tmp_path, 1)
    with pytest.raises(DeviceLost, match=r"did not end within 0\.5 s, and was killed"):
        measured(quick, jobs, jobs[0].path, plan=MeasurePlan(max_seconds=0.2))


def test_too_few_bursts_in_the_time_are_told_after_what_is_finished(quick, tmp_path):
    jobs = models(tmp_path, 2)
    with pytest.raises(TooNoisy, match=r"2 of 2 models have fewer than 8 bursts .* \(fewest 0\)"):
        measured(quick, jobs, jobs[0].path, plan=MeasurePlan(max_seconds=0.001))


def test_what_cannot_be_asked_for_is_refused(quick, tmp_path):
    jobs = models(tmp_path, 1)
    with pytest.raises(ConfigError, match=r"has no \[native\]"):
        measured(Device("phone", "local"), jobs, jobs[0].path)
    with pytest.raises(ConfigError, match="same id"):
        measured(quick, [*jobs, *jobs], jobs[0].path)
    with pytest.raises(ConfigError, match="no such file"):
        measured(Device("phone", "local", native=NativeOptions("benchmark_model", str(tmp_path / "none"))), jobs, jobs[0].path)
    one, none = (replace(PLAN, affinity=cores) for cores in ((0,), (1000,)))
    with pytest.raises(ConfigError, match="2 threads need as many cores"):
        measured(quick, jobs, jobs[0].path, plan=one, threads=2)
    with pytest.raises(DeviceError, match=r"cannot be pinned to cores \[1000\]"):
        measured(quick, jobs, jobs[0].path, plan=none)


def test_a_file_that_arrives_torn_is_not_used(tmp_path):
    class Torn:
        def push(self, local, name):
            (tmp_path / (name + ".part")).write_bytes(b"torn")
            return str(tmp_path / name)

        def run(self, arguments, *, limit_s=60.0):
            return shell.LocalShell(tmp_path, name="x").run(arguments, timeout_s=limit_s)

    (tmp_path / "file").write_bytes(b"whole")
    with pytest.raises(DeviceError, match="file arrived torn"):
        shell.FolderShell(Torn(), name="x").push(tmp_path / "file", "there")
    assert not (tmp_path / "there").exists()


@pytest.mark.parametrize("name", sorted(shell.SHELLS))
def test_every_shell_is_of_a_transport(name):
    from hwnas.profiler.channel import LAUNCHERS

    assert name in LAUNCHERS
