"""The real agent as a child process of the tests."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from hwnas_agent.corelock import cores_locked

from hwnas.core.device import Device, MeasurePlan
from hwnas.core.errors import DeviceError, DeviceLost, UnknownNameError
from hwnas.profiler.channel import LAUNCHERS
from hwnas.profiler.check import check, read_hello
from hwnas.profiler.local import LocalLauncher
from hwnas.profiler.session import Job, run_session
from tests.agent.models import onnx_convolution, tflite_relu
from tests.rig.board import soon

PLAN = MeasurePlan(min_repeats=5, max_seconds=120.0, warmup=1)


def old_python():
    """A Python 3.8 of this machine, or None."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    found = [str(p) for p in sorted(root.glob("versions/3.8*/bin/python"))]
    path = shutil.which("python3.8")
    # a pyenv shim is found on the path but does not run where no version is chosen
    return next((p for p in [*found, path] if p and subprocess.run([p, "--version"], capture_output=True).returncode == 0), None)


def measure(jobs, *, runtime, probe, reference):
    measured = {}
    with LocalLauncher().launch() as channel:
        summary = run_session(
            channel, jobs, PLAN, runtime=runtime, probe=probe, reference=reference, on_measured=lambda key, m: measured.update({key: m})
        )
    return summary, measured


def test_onnx_models_are_measured(tmp_path):
    probe = onnx_convolution(tmp_path / "probe.onnx", channels=32, size=16)
    paths = {f"c{c}": onnx_convolution(tmp_path / f"{c}.onnx", channels=c, size=12) for c in (4, 16, 48)}
    summary, measured = measure([Job(k, p) for k, p in paths.items()], runtime="onnxruntime", probe=probe, reference=probe)
    assert set(measured) == set(paths) == set(summary.measured)
    for regimes in measured.values():
        assert len(regimes["quiet"].samples_ms) >= 5
        assert min(regimes["typical"].samples_ms) > 0
        assert regimes["quiet"].load_ms > 0
    assert summary.provider == "CPUExecutionProvider"
    assert len(summary.cores) == 1
    # 144 times the work: this order holds on any machine
    assert measured["c4"]["quiet"].quantile_ms("p50") < measured["c48"]["quiet"].quantile_ms("p50")


def test_tflite_models_are_measured(tmp_path):
    probe = tflite_relu(tmp_path / "probe.tflite", side=160)
    jobs = [Job("fp32", tflite_relu(tmp_path / "a.tflite")), Job("int8", tflite_relu(tmp_path / "b.tflite", int8=True))]
    summary, measured = measure(jobs, runtime="litert", probe=probe, reference=probe)
    assert set(measured) == {"fp32", "int8"}
    assert summary.runtime_version.startswith("ai-edge-litert")


def test_a_model_that_does_not_run_is_named_and_the_others_are_kept(tmp_path):
    probe = onnx_convolution(tmp_path / "probe.onnx", channels=16, size=16)
    newer = onnx_convolution(tmp_path / "newer.onnx", ir_version=14)
    measured = {}
    with (
        LocalLauncher().launch() as channel,
        pytest.raises(DeviceError, match=r"1 of 2 models do not run on the device, first newer: .*IR"),
    ):
        run_session(
            channel,
            [Job("newer", newer), Job("fine", probe)],
            PLAN,
            runtime="onnxruntime",
            probe=probe,
            reference=probe,
            on_measured=measured.__setitem__,
        )
    assert set(measured) == {"fine"}


def test_an_agent_that_is_killed_is_a_lost_device(tmp_path):
    probe = onnx_convolution(tmp_path / "probe.onnx", channels=16, size=16)
    jobs = [Job(f"m{i}", probe) for i in range(60)]
    measured = []

    def kill_after_the_first(key, regimes):
        if not measured:
            os.kill(agent, signal.SIGKILL)
        measured.append(key)

    with LocalLauncher(name="here").launch() as channel:
        read_hello(channel, runtimes=("none",))
        (agent,) = children_of(os.getpid())
        with pytest.raises(DeviceLost, match=r"here: the agent ended before it was done; \d+ of 60 models were measured and are kept"):
            run_session(channel, jobs, PLAN, runtime="onnxruntime", probe=probe, reference=probe, on_measured=kill_after_the_first)
    assert 1 <= len(measured) < 60


def test_cores_that_another_session_measures_on_are_refused_in_one_line(tmp_path):
    probe = onnx_convolution(tmp_path / "probe.onnx", channels=16, size=16)
    core = max(os.sched_getaffinity(0))
    with cores_locked([core]), LocalLauncher(lock_wait_s=0.0).launch() as channel, pytest.raises(DeviceError) as caught:
        run_session(channel, [Job("a", probe)], PLAN, runtime="onnxruntime", probe=probe, reference=probe, on_measured=print)
    assert str(caught.value) == (
        f"the agent refuses: core{core} of this device is being measured on by another session (process {os.getpid()}); "
        "wait until it ends; 0 of 1 models were measured and are kept"
    )


def children_of(pid):
    """Running agents among the children of a process."""
    children = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        children += [int(child) for child in (task / "children").read_text().split()]
    return [c for c in children if b"hwnas_agent" in Path(f"/proc/{c}/cmdline").read_bytes()]


def stopped(pid):
    """Whether every thread of a process stands still."""
    return all((task / "stat").read_text().rsplit(")", 1)[1].split()[0] == "T" for task in Path(f"/proc/{pid}/task").iterdir())


def test_closing_ends_the_agent_also_one_that_is_measuring(tmp_path):
    probe = onnx_convolution(tmp_path / "probe.onnx", channels=16, size=16)

    def stop(key, regimes):
        raise KeyboardInterrupt

    jobs = [Job(f"m{i}", probe) for i in range(60)]
    with pytest.raises(KeyboardInterrupt), LocalLauncher().launch() as channel:
        run_session(channel, jobs, PLAN, runtime="onnxruntime", probe=probe, reference=probe, on_measured=stop)
    assert children_of(os.getpid()) == []


def test_an_agent_that_does_not_listen_is_killed(monkeypatch):
    monkeypatch.setattr("hwnas.profiler.local._GRACE_S", 0.1)
    with LocalLauncher().launch() as channel:
        read_hello(channel, runtimes=("none",))
        (agent,) = children_of(os.getpid())
        os.kill(agent, signal.SIGSTOP)
        assert soon(lambda: stopped(agent)), "the agent does not stop"
    assert children_of(os.getpid()) == []


def test_the_agent_sees_no_secret_of_the_host(monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "x")
    with LocalLauncher().launch() as channel:
        read_hello(channel, runtimes=("none",))
        (agent,) = children_of(os.getpid())
        assert b"SECRET_TOKEN" not in Path(f"/proc/{agent}/environ").read_bytes()


def test_a_module_in_the_working_folder_does_not_shadow_the_agents(tmp_path, monkeypatch):
    (tmp_path / "json.py").write_text("raise RuntimeError('shadowed')")
    (tmp_path / "hwnas_agent.py").write_text("raise RuntimeError('shadowed')")
    monkeypatch.chdir(tmp_path)
    assert check(LocalLauncher()).runtimes["onnxruntime"].version


def test_an_interpreter_that_is_not_there_is_told():
    with pytest.raises(DeviceError, match="board: /nonexistent/python cannot be started: No such file"):
        LocalLauncher(name="board", python="/nonexistent/python").launch()


def test_an_interpreter_that_cannot_run_the_agent_leaves_its_last_words(tmp_path):
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho 'first line' >&2\nprintf 'cannot\\033[31m run\\n' >&2\nexit 1\n")
    broken.chmod(0o755)
    with LocalLauncher(python=str(broken)).launch() as channel, pytest.raises(DeviceLost, match=r"cannot \[31m run$"):
        channel.receive(timeout_s=30)


def test_an_agent_that_floods_stderr_does_not_stand_still(tmp_path):
    talker = tmp_path / "python"
    flood = r"head -c 20000000 /dev/zero | tr '\0' 'x' >&2"
    talker.write_text(f'#!/bin/sh\n{flood}\necho hwnas-agent/1\necho \'{{"seq":0,"type":"alive"}}\'\n')
    talker.chmod(0o755)
    with LocalLauncher(python=str(talker)).launch() as channel:
        assert channel.receive(timeout_s=60)["type"] == "alive"


def test_the_agent_runs_on_python_3_8():
    python = old_python()
    if python is None:
        pytest.skip("there is no Python 3.8 here")
    report = check(LocalLauncher(python=python))
    assert report.python.startswith("3.8.")
    assert "does not import" in report.runtimes["onnxruntime"].reason
    assert report.runtimes["onnxruntime"].max_ir is None
    assert report.cores


def test_the_device_is_described():
    report = check(LAUNCHERS.get("local")(Device("this-machine", "local")))
    assert report.runtimes["onnxruntime"].max_ir == 10
    assert report.runtimes["litert"].max_opset is None
    assert set(report.facts) >= {"boot_id", "core_set", "governor", "frequency_mhz", "temperature_c"}
    assert set(report.unknown) == {name for name, value in report.facts.items() if value is None}


def test_an_unknown_transport_has_a_suggestion():
    with pytest.raises(UnknownNameError, match="did you mean 'local'"):
        LAUNCHERS.get("locl")
