"""Who may measure on which cores: sessions of one command wait for each other, those of two hosts are kept apart by the device's lock."""

import os
import signal
import threading
import time
from dataclasses import replace
from functools import cache
from itertools import pairwise

import pytest

from hwnas.core.device import MeasurePlan
from hwnas.core.errors import AgentTimeout, DeviceError, HwnasError, Interrupted
from hwnas.core.serial import sha256_file
from hwnas.profiler.check import DeviceReport
from hwnas.profiler.local import LocalLauncher
from hwnas.profiler.session import Job, run_session
from hwnas.profiler.together import StoppableChannel, Together, cores_of
from tests.profiler.test_local import children_of
from tests.rig.replay import interpreter

PATIENCE_S = 60.0
PLAN = MeasurePlan(warmup=1, min_repeats=5, min_sample_us=0.0)
CORES = sorted(os.sched_getaffinity(0))
two_cores = pytest.mark.skipif(len(CORES) < 2, reason="this machine gives one core")


@pytest.fixture
def device(tmp_path):
    """``device(ms)``: an interpreter whose agent is on one device, whatever it says it takes for a model."""
    model = tmp_path / "model.onnx"
    model.write_bytes(b"a model")

    @cache
    def python(ms):
        return interpreter(tmp_path / str(ms), {sha256_file(model): [ms]}, boot_id="here", locks=tmp_path)

    python.model = model
    return python


class Host(threading.Thread):
    """A session in a thread of its own, as of another host unless it shares ``together``."""

    def __init__(self, device, *, ms, core=None, together=None, jobs=2, lock_wait_s=None):
        super().__init__(daemon=True)
        self.launcher = LocalLauncher(python=device(ms), lock_wait_s=lock_wait_s)
        self.plan = replace(PLAN, affinity=() if core is None else (core,))
        self.jobs = [Job(f"m{i}", device.model) for i in range(jobs)]
        self.together = together or Together()
        self.begun = threading.Event()
        self.error = self.agent = None
        self.span = None
        self.start()

    def run(self):
        model = self.jobs[0].path
        begins = []

        def progress(_):
            begins.append(time.monotonic())
            self.begun.set()

        try:
            with StoppableChannel(self.launcher.launch(), self.together) as channel:
                run_session(
                    channel,
                    self.jobs,
                    self.plan,
                    runtime="onnxruntime",
                    probe=model,
                    reference=model,
                    on_measured=lambda *_: None,
                    on_progress=progress,
                    together=self.together,
                )
            self.span = (begins[0], time.monotonic())
        except HwnasError as problem:
            self.error = problem

    def end(self):
        self.join(PATIENCE_S)
        assert not self.is_alive()
        return self.error


def holding(device, **options):
    """A host that measures for as long as it takes, and does so now."""
    host = Host(device, ms=20.0, jobs=20, **options)
    assert host.begun.wait(PATIENCE_S), host.error
    return host


def stopped(host):
    host.together.stop()
    assert isinstance(host.end(), Interrupted)


def test_a_second_host_on_the_same_core_is_told_in_one_line_and_the_first_goes_on(device):
    first = holding(device, core=CORES[-1])
    second = Host(device, ms=1.0, core=CORES[-1], lock_wait_s=0.3).end()
    assert isinstance(second, DeviceError)
    (agent,) = children_of(os.getpid())
    assert str(second) == (
        f"the agent refuses: core{CORES[-1]} of this device is being measured on by another session (process {agent}); wait until it ends; "
        "0 of 2 models were measured and are kept"
    )
    assert first.is_alive()
    stopped(first)


@pytest.mark.slow
@two_cores
def test_hosts_on_different_cores_both_go_on(device):
    first = holding(device, core=CORES[-1])
    assert Host(device, ms=1.0, core=CORES[-2], lock_wait_s=0.0).end() is None
    assert first.is_alive()
    stopped(first)


def test_a_lock_dies_with_its_owner_and_the_one_who_waits_gets_it(device):
    first = holding(device, core=CORES[-1])
    (agent,) = children_of(os.getpid())
    second = Host(device, ms=1.0, core=CORES[-1], lock_wait_s=PATIENCE_S)
    assert not second.begun.wait(1.0)
    os.kill(agent, signal.SIGKILL)
    assert second.end() is None
    assert "the agent ended before it was done" in str(first.end())


def test_sessions_of_one_command_on_one_core_follow_each_other_and_none_gives_up(device):
    together = Together()
    # the device's own lock would turn the third away: two sessions take longer than it waits
    hosts = [Host(device, ms=2.0, core=CORES[-1], together=together, lock_wait_s=0.5) for _ in range(3)]
    assert [host.end() for host in hosts] == [None, None, None]
    spans = sorted(host.span for host in hosts)
    assert all(before[1] <= after[0] for before, after in pairwise(spans))


def report(boot_id, cores):
    return DeviceReport("0", "3", "linux", "x", None, cores, {}, {"boot_id": boot_id}, {})


def test_the_cores_of_a_session_are_those_that_the_agent_takes():
    assert cores_of(report("b", (0, 1, 2, 3)), PLAN, threads=2) == {("b", 2), ("b", 3)}
    assert cores_of(report("b", (0, 1)), replace(PLAN, affinity=(0,)), threads=1) == {("b", 0)}
    assert cores_of(report(None, (0, 1)), PLAN, threads=1) == frozenset()
    assert cores_of(report("b", ()), PLAN, threads=1) == frozenset()


def test_other_cores_and_other_devices_have_turns_at_the_same_time():
    together = Together()
    with together.turn(frozenset({("a", 0), ("a", 1)}), wait=pytest.fail):
        for free in ({("a", 2)}, {("b", 0)}, set()):
            with together.turn(frozenset(free), wait=pytest.fail):
                pass
        waits = []
        with (
            pytest.raises(AgentTimeout, match="another session has had these cores"),
            together.turn(frozenset({("a", 1)}), wait=waits.append),
        ):
            pytest.fail("two have core 1")
        assert len(waits) > 1000
    with together.turn(frozenset({("a", 1)}), wait=pytest.fail):
        pass


def test_a_turn_is_given_back_after_an_error():
    together, core = Together(), frozenset({("a", 0)})
    with pytest.raises(OSError, match="x"), together.turn(core, wait=pytest.fail):
        raise OSError("x")
    with together.turn(core, wait=pytest.fail):
        pass


def test_who_waits_for_a_turn_can_be_stopped():
    together, core = Together(), frozenset({("a", 0)})
    with together.turn(core, wait=pytest.fail), pytest.raises(Interrupted), together.turn(core, wait=lambda _: together.stop()):
        pytest.fail("it was taken")
