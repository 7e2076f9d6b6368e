"""The agent as a process of its own, and its conversation over plain pipes."""

import os
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import hwnas_agent
import pytest
from hwnas_agent import wire
from hwnas_agent.process import pin
from hwnas_agent.serve import EXIT_REFUSED, Agent

from tests.agent.models import onnx_convolution

PACKAGE = str(Path(hwnas_agent.__file__).parent.parent)
DEADLINE_S = 60


class Host:
    """The other end of an agent: raw pipes, so that it can misbehave."""

    def __init__(self, read_fd, write_fd):
        self.read_fd, self.write_fd = read_fd, write_fd
        self.encoder = wire.Encoder(wire.HOST_MAGIC, wire.TO_AGENT)
        self.decoder = wire.Decoder(wire.AGENT_MAGIC, wire.FROM_AGENT)
        self.inbox = []
        os.write(write_fd, self.encoder.opening())

    def send(self, **message):
        os.write(self.write_fd, self.encoder.encode(message))

    def receive(self):
        while not self.inbox:
            assert select.select([self.read_fd], [], [], DEADLINE_S)[0], "the agent is silent"
            data = os.read(self.read_fd, 65536)
            if not data:
                return None
            self.inbox += self.decoder.feed(data)
        return self.inbox.pop(0)


@pytest.fixture
def inside():
    """An agent in a thread of this process: ``(host, result)``, the exit code arriving in ``result``."""
    to_agent, from_host = os.pipe()
    to_host, from_agent = os.pipe()
    result, ended = [], []
    agent = Agent(to_agent, from_agent, 20.0, end=ended.append, alarm=False)
    before = os.sched_getaffinity(0)
    thread = threading.Thread(target=lambda: result.append(agent.serve()))
    thread.start()
    host = Host(to_host, from_host)
    host.thread = thread
    yield host, result
    if host.write_fd is not None:
        os.close(host.write_fd)
    # a listener that outlives its test would read from descriptors that the next test is given
    for each in (thread, *[t for t in threading.enumerate() if t.name == "listen"]):
        each.join(DEADLINE_S)
        assert not each.is_alive()
    for fd in (to_agent, to_host, from_agent):
        os.close(fd)
    assert os.sched_getaffinity(0) == before


def start(*arguments, env=None, stdin=subprocess.PIPE):
    environment = {**os.environ, "PYTHONPATH": PACKAGE, **(env or {})}
    return subprocess.Popen(
        [sys.executable, "-m", "hwnas_agent", *arguments], stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    )


PLAN = {
    "warmup": 1,
    "min_repeats": 3,
    "least_repeats": 3,
    "min_total_ms": 0.0,
    "max_seconds": 60.0,
    "min_sample_us": 150.0,
    "cooldown_s": 0.0,
    "affinity": [],
    "seed": 0,
}


def begin(path, **changes):
    message = {
        "type": "begin",
        "runtime": "onnxruntime",
        "threads": 1,
        "plan": PLAN,
        "probe": path,
        "reference": path,
        "quiet_level_us": None,
    }
    return {**message, **changes}


def test_a_conversation_from_hello_to_done(inside, tmp_path):
    host, result = inside
    path = str(onnx_convolution(tmp_path / "a.onnx", channels=16, size=16))
    host.send(type="hello", runtimes=["onnxruntime"])
    assert host.receive()["runtimes"]["onnxruntime"]["version"]
    host.send(type="ping")
    assert host.receive()["type"] == "alive"
    host.send(**begin(path))
    host.send(type="job", id="a", path=path)
    host.send(type="job", id="b", path=path)
    host.send(type="start", jobs=2)
    kinds = []
    while (message := host.receive())["type"] != "done":
        kinds.append(message["type"])
    assert kinds[0] == "ready"
    assert kinds.count("result") == 2
    assert message["results"] == 2
    os.close(host.write_fd)
    host.write_fd = None
    host.thread.join(DEADLINE_S)
    assert result == [0]


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        ([{"type": "start", "jobs": 0}], "start came before begin"),
        ([begin("x"), {"type": "job", "id": "a", "path": "x"}, {"type": "start", "jobs": 2}], "announces 2 jobs; 1 came"),
        ([begin("x"), *[{"type": "job", "id": "a", "path": "x"}] * 2, {"type": "start", "jobs": 2}], "an id twice"),
        ([begin("x", runtime="other"), {"type": "start", "jobs": 0}], "no runtime 'other'"),
        ([begin("x", threads=999), {"type": "start", "jobs": 0}], "999 threads need as many cores"),
        ([begin("x", plan={**PLAN, "affinity": [9999]}), {"type": "start", "jobs": 0}], "9999"),
    ],
)
def test_what_cannot_be_done_is_refused_with_the_reason(inside, messages, words):
    host, result = inside
    for message in messages:
        host.send(**message)
    refused = host.receive()
    assert refused["type"] == "refused"
    assert words in refused["reason"]
    host.thread.join(DEADLINE_S)
    assert result == [EXIT_REFUSED]


def test_a_probe_that_does_not_run_is_refused(inside, tmp_path):
    host, _ = inside
    host.send(**begin(str(tmp_path / "missing.onnx")))
    host.send(type="start", jobs=0)
    assert host.receive()["type"] == "ready"
    assert host.receive()["reason"].startswith("probe: NoSuchFile")


def test_a_host_that_breaks_the_protocol_is_refused(inside):
    host, result = inside
    os.write(host.write_fd, b"nonsense\n")
    assert "not JSON" in host.receive()["reason"]
    host.thread.join(DEADLINE_S)
    assert result == [EXIT_REFUSED]


def test_pinning_takes_the_last_allowed_cores_and_only_those_of_this_thread():
    before = os.sched_getaffinity(0)
    taken = []
    thread = threading.Thread(target=lambda: taken.extend([pin(1, []), sorted(os.sched_getaffinity(0))]))
    thread.start()
    thread.join()
    assert taken == [[max(before)], [max(before)]]
    assert os.sched_getaffinity(0) == before


def test_the_process_ends_when_its_stdin_does():
    process = start()
    assert process.stdout.readline().decode().strip() == wire.AGENT_MAGIC
    process.stdin.close()
    assert process.wait(DEADLINE_S) == 0
    process.stdout.close()
    process.stderr.close()


def test_the_process_ends_when_its_host_falls_silent():
    process = start("--silence-s", "0.3")
    assert process.wait(DEADLINE_S) == 0
    for stream in (process.stdin, process.stdout, process.stderr):
        stream.close()


def broken_onnxruntime(folder, code):
    (folder / "onnxruntime.py").write_text(code)
    return {"PYTHONPATH": f"{folder}{os.pathsep}{PACKAGE}"}


def test_the_process_ends_even_when_a_library_never_gives_the_interpreter_back(tmp_path):
    # PyDLL keeps the interpreter lock during the call: no thread of the agent can run
    process = start("--silence-s", "0.4", env=broken_onnxruntime(tmp_path, "import ctypes; ctypes.PyDLL(None).sleep(1000)"))
    host = Host(process.stdout.fileno(), process.stdin.fileno())
    host.send(type="hello", runtimes=["onnxruntime"])
    assert process.wait(DEADLINE_S) == -signal.SIGALRM
    for stream in (process.stdin, process.stdout, process.stderr):
        stream.close()


def test_what_libraries_print_does_not_reach_the_protocol(tmp_path):
    noisy = "import os; print('python prints'); os.write(1, b'C prints\\n'); __version__ = '1.20.0'"
    process = start(env=broken_onnxruntime(tmp_path, noisy))
    host = Host(process.stdout.fileno(), process.stdin.fileno())
    host.send(type="hello", runtimes=["onnxruntime"])
    assert host.receive()["runtimes"]["onnxruntime"] == {"version": "1.20.0", "reason": None, "max_ir": 10, "max_opset": 21}
    process.stdin.close()
    assert process.wait(DEADLINE_S) == 0
    errors = process.stderr.read()
    assert b"C prints" in errors
    assert b"python prints" in errors
    process.stdout.close()
    process.stderr.close()


def test_the_process_dies_with_its_parent(tmp_path):
    # the test holds the agent's stdin open, so that only the parent's death can end it
    read_fd, write_fd = os.pipe()
    code = (
        "import subprocess, sys, time\n"
        f"child = subprocess.Popen([sys.executable, '-m', 'hwnas_agent'], stdin={read_fd}, stdout=subprocess.PIPE)\n"
        "child.stdout.readline()\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(1000)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, pass_fds=[read_fd], env={**os.environ, "PYTHONPATH": PACKAGE}
    )
    os.close(read_fd)
    agent = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    end = time.monotonic() + DEADLINE_S
    while _alive(agent) and time.monotonic() < end:
        time.sleep(0.02)
    alive = _alive(agent)
    os.close(write_fd)
    assert not alive


def _alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0] not in ("Z", "X")
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_the_version_is_told():
    done = subprocess.run(
        [sys.executable, "-m", "hwnas_agent", "--version"], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": PACKAGE}
    )
    assert done.stdout.strip() == hwnas_agent.__version__
