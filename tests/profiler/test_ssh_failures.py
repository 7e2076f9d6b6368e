"""Devices over ssh that fail: nobody answers, the link or the agent dies in the middle, the agent says what it must not."""

import contextlib
import json
import os
import signal
import socket
import threading

import pytest
from hwnas_agent import wire

from hwnas.core.access import SshOptions
from hwnas.core.device import Device, MeasurePlan
from hwnas.core.errors import AgentTimeout, DeviceError, DeviceLost, ProtocolError, TooNoisy, Unreachable
from hwnas.profiler import sshlink
from hwnas.profiler.check import read_hello
from hwnas.profiler.session import Job, run_session
from hwnas.profiler.ssh import SshLauncher
from tests.agent.models import onnx_convolution
from tests.profiler.test_session import HELLO, READY, result
from tests.rig.board import free_port
from tests.rig.sshd import board

pytest.importorskip("paramiko")
assert board  # a fixture

PLAN = MeasurePlan(min_repeats=3, min_total_ms=0.0, max_seconds=120.0, warmup=1)


def at(port):
    return Device("board", "ssh", f"127.0.0.1:{port}", ssh=SshOptions(known_hosts="/nonexistent"))


@contextlib.contextmanager
def listening(answer=None):
    """A port that connections come to; ``answer`` speaks first, and nobody ever reads."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        held = []

        def serve():
            with contextlib.suppress(OSError):
                held.append(server.accept()[0])
                held[0].sendall(answer)

        thread = threading.Thread(target=serve)
        if answer is not None:
            thread.start()
        yield server.getsockname()[1]
        if answer is not None:
            thread.join(30)
        for each in held:
            each.close()


def test_a_port_where_nobody_listens_is_unreachable():
    port = free_port()
    with pytest.raises(Unreachable, match=rf"board \(.*@127\.0\.0\.1:{port}\): Connection refused; is it switched on"):
        SshLauncher(at(port)).launch()


def test_a_name_that_nobody_knows_is_unreachable():
    with pytest.raises(Unreachable, match=r"the name is not known: .*; is the address right"):
        SshLauncher(Device("board", "ssh", "no-such-board.invalid")).launch()


def test_an_address_that_swallows_everything_is_unreachable(monkeypatch):
    def swallow(*args, **kwargs):
        raise TimeoutError

    monkeypatch.setattr(sshlink, "CONNECT_S", 0.5)
    monkeypatch.setattr(socket, "create_connection", swallow)
    with pytest.raises(Unreachable, match=r"no answer within 0\.5 s; is it switched on, and in this network"):
        SshLauncher(at(22)).launch()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (None, "nothing there speaks ssh within 0.5 s"),
        (b"", "nothing there speaks ssh within 0.5 s"),
        (b"HTTP/1.0 200 OK\r\n\r\n", "is this the port of the ssh server"),
        (b"SSH-2.0-silent\r\n", "nothing there speaks ssh within 0.5 s"),
        (b"SSH-2.0-mad\r\n" + b"\xff" * 4096, "no ssh connection: .*; is this the port of the ssh server"),
    ],
    ids=["never accepts", "accepts and is silent", "speaks http", "greets and is silent", "greets and talks nonsense"],
)
def test_what_does_not_speak_ssh_is_unreachable(monkeypatch, answer, words):
    monkeypatch.setattr(sshlink, "CONNECT_S", 0.5)
    with listening(answer) as port, pytest.raises(Unreachable, match=words):
        SshLauncher(at(port)).launch()


def session(board, tmp_path, on_first, *, device=None, jobs=60):
    """Ids measured in a session in which ``on_first()`` is called once, at the first result; the error is raised."""
    probe = onnx_convolution(tmp_path / "probe.onnx", channels=16, size=16)
    measured = []

    def keep(key, regimes):
        measured.append(key)
        if len(measured) == 1:
            on_first()

    with SshLauncher(device or board.device()).launch() as channel:
        channel.measured = measured
        try:
            run_session(
                channel,
                [Job(f"m{i}", probe) for i in range(jobs)],
                PLAN,
                runtime="onnxruntime",
                probe=probe,
                reference=probe,
                on_measured=keep,
            )
        except TooNoisy as problem:
            pytest.skip(f"nothing to break off in the middle: {problem}")
    return measured


def test_an_agent_that_is_killed_is_a_lost_device(board, tmp_path):
    with pytest.raises(DeviceLost, match=r"board: the agent ended before it was done; \d+ of 60 models were measured and are kept"):
        session(board, tmp_path, lambda: [os.kill(pid, signal.SIGKILL) for pid in board.agents()])
    assert board.is_clean()


@pytest.mark.slow
def test_an_sshd_that_is_killed_is_a_lost_device_and_the_next_agent_cleans_up(board, tmp_path):
    with pytest.raises(DeviceLost, match=r"the connection broke off; \d+ of 60 models"):
        session(board, tmp_path, lambda: board.signal(signal.SIGKILL))
    board.stop()
    board.start()
    assert session(board, tmp_path, lambda: None, jobs=1) == ["m0"]
    assert board.is_clean()


@pytest.mark.slow
def test_an_sshd_that_stands_still_is_given_up(board, tmp_path, monkeypatch):
    monkeypatch.setattr(wire, "SILENCE_S", 5.0)
    with pytest.raises(AgentTimeout, match=r"no word from the agent for 5 s; \d+ of 60 models were measured and are kept"):
        session(board, tmp_path, lambda: board.signal(signal.SIGSTOP))
    board.signal(signal.SIGCONT)
    # the connection is closed: the agent's standard input ends, and it with it
    assert board.is_clean()


def test_an_agent_that_does_not_listen_is_killed(board, tmp_path):
    with SshLauncher(board.device()).launch() as channel:
        read_hello(channel, runtimes=("none",))
        (agent,) = board.agents()
        os.kill(agent, signal.SIGSTOP)
    assert board.is_clean()


def test_an_sshd_that_stands_still_while_files_are_pushed_is_given_up(board, tmp_path, monkeypatch):
    (tmp_path / "large").write_bytes(bytes(8_000_000))
    with SshLauncher(board.device()).launch() as channel:
        read_hello(channel, runtimes=("none",))
        monkeypatch.setattr("hwnas.profiler.remote.STALL_S", 1.0)
        board.signal(signal.SIGSTOP)
        with pytest.raises(DeviceLost, match=r"writing large there: the device answered nothing for 1 s"):
            channel.push(tmp_path / "large", "large")
    board.signal(signal.SIGCONT)
    assert board.is_clean()


def test_a_flood_of_stderr_stalls_nothing(board):
    flood = r"head -c 20000000 /dev/zero | tr '\0' 'x' >&2"
    python = board.python(f'{flood}\necho hwnas-agent/1\necho \'{{"seq":0,"type":"alive"}}\'\necho >&2; echo last words >&2')
    with SshLauncher(board.device(python=python)).launch() as channel:
        assert channel.receive(timeout_s=60)["type"] == "alive"
        with pytest.raises(DeviceLost, match="the agent ended before it was done: last words"):
            channel.receive(timeout_s=60)
    assert board.is_clean()


def said(*messages):
    """What an agent says, as bytes; a message may be bytes already."""
    lines = [m if isinstance(m, bytes) else json.dumps({**m, "seq": i}).encode() for i, m in enumerate(messages)]
    return b"hwnas-agent/1\n" + b"\n".join(lines) + b"\n"


NAN = json.dumps({**result("m0", load_ms=0), "seq": 2}).replace('"load_ms": 0', '"load_ms": NaN').encode()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (said(HELLO, READY, b'{"type": "alive\xff\xfe"}'), "a line is not JSON"),
        (said(HELLO, READY, NAN), "NaN is not a JSON number"),
        (said(HELLO, READY, b"x" * 10_000_000), "a line is longer than 65536 bytes"),
        (said(HELLO, READY, result("never asked for")), "reports on 'never asked for', which it was never asked for"),
        (said(HELLO, READY, {"type": "alive", "more": 1}), "other fields than it should"),
        (said(HELLO, b'{"seq":7,"type":"alive"}'), "sequence number 7, not 1"),
        (b"hwnas-agent/9\n", "the other side speaks hwnas-agent/9"),
    ],
    ids=["invalid UTF-8", "NaN", "10 MB line", "foreign id", "other field", "sequence", "other version"],
)
def test_what_an_agent_must_not_say_is_a_protocol_error(board, tmp_path, words, message):
    (board.root / "words").write_bytes(words)
    device = board.device(python=board.python(f"cat {board.root}/words; exec cat >/dev/null"))
    with pytest.raises(ProtocolError, match=message):
        session(board, tmp_path, lambda: None, device=device, jobs=1)
    assert board.is_clean()


def test_an_agent_that_says_nothing_is_given_up(board, monkeypatch):
    monkeypatch.setattr(wire, "SILENCE_S", 0.5)
    monkeypatch.setattr(wire, "HEARTBEAT_S", 0.1)
    device = board.device(python=board.python("exec cat >/dev/null"))
    with SshLauncher(device).launch() as channel, pytest.raises(AgentTimeout, match="no word from the agent"):
        read_hello(channel)
    assert board.is_clean()


def test_a_device_without_sftp_is_told(board):
    board.stop()
    config = board.root / "config"
    config.write_text(config.read_text().replace("Subsystem sftp internal-sftp\n", ""))
    board.start()
    with pytest.raises(DeviceError, match="sftp does not work there; install sftp-server"):
        SshLauncher(board.device()).launch()


def test_an_agent_that_ends_while_files_are_pushed_is_a_lost_device(board, tmp_path):
    (tmp_path / "model.bin").write_bytes(b"model")
    with SshLauncher(board.device()).launch() as channel:
        read_hello(channel, runtimes=("none",))
        (agent,) = board.agents()
        os.kill(agent, signal.SIGTERM)
        assert board.is_clean()
        with pytest.raises(DeviceLost, match="board: the agent ended before it was done"):
            channel.push(tmp_path / "model.bin", "any")
    assert board.is_clean()
