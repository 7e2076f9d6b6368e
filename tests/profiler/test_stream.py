import os
import threading

import pytest
from hwnas_agent import wire
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hwnas.core.errors import AgentTimeout, ConfigError, DeviceLost, ProtocolError
from hwnas.profiler import framed
from hwnas.profiler.stream import StreamChannel

MAGIC = wire.AGENT_MAGIC.encode() + b"\n"
ALIVE = b'{"seq":0,"type":"alive"}\n'


@pytest.fixture
def ends():
    """A channel, and the agent's descriptors: ``(channel, agent_reads, agent_writes)``."""
    host_reads, agent_writes = os.pipe()
    agent_reads, host_writes = os.pipe()
    channel = StreamChannel(host_reads, host_writes, name="pi4", epitaph=lambda: "last words")
    yield channel, agent_reads, agent_writes
    channel.close()
    for fd in (agent_reads, agent_writes):
        try:
            os.close(fd)
        except OSError:
            continue


def send_many(channel, message):
    for _ in range(1000):
        channel.send(message)


def receive_many(channel):
    for _ in range(20):
        channel.receive(timeout_s=5)


def test_messages_come_one_by_one(ends):
    channel, _, agent_writes = ends
    os.write(agent_writes, b"Last login: today\n" + MAGIC + ALIVE + ALIVE.replace(b"0", b"1"))
    assert channel.receive(timeout_s=5) == {"seq": 0, "type": "alive"}
    assert channel.receive(timeout_s=5) == {"seq": 1, "type": "alive"}


def test_the_magic_line_is_sent_first_and_once(ends):
    channel, agent_reads, _ = ends
    channel.send({"type": "ping"})
    channel.send({"type": "ping"})
    assert os.read(agent_reads, 1000) == b'hwnas-host/1\n{"type":"ping","seq":0}\n{"type":"ping","seq":1}\n'


def test_silence_is_a_timeout(ends):
    channel, _, agent_writes = ends
    os.write(agent_writes, MAGIC + ALIVE[:10])
    with pytest.raises(AgentTimeout, match=r"pi4: no word from the agent within 0\.01 s"):
        channel.receive(timeout_s=0.01)


def test_an_end_before_done_is_a_lost_device_with_its_last_words(ends):
    channel, agent_reads, agent_writes = ends
    os.close(agent_writes)
    with pytest.raises(DeviceLost, match="pi4: the agent ended before it was done: last words"):
        channel.receive(timeout_s=5)
    os.close(agent_reads)
    with pytest.raises(DeviceLost, match="last words"):
        channel.send({"type": "ping"})


def test_an_agent_that_reads_nothing_does_not_hold_the_host_for_ever(ends, monkeypatch):
    channel, _, _ = ends
    monkeypatch.setattr(wire, "SILENCE_S", 0.05)
    job = {"type": "job", "id": "a" * 500, "path": "b" * 4000}
    with pytest.raises(AgentTimeout, match="read nothing"):
        send_many(channel, job)


def test_more_than_a_pipe_holds_arrives(ends):
    channel, agent_reads, _ = ends
    received = []
    thread = threading.Thread(target=lambda: received.extend(iter(lambda: os.read(agent_reads, 4096), b"")))
    thread.start()
    for _ in range(100):
        channel.send({"type": "job", "id": "a" * 500, "path": "b" * 4000})
    channel.close()
    thread.join(30)
    assert b"".join(received).count(b"\n") == 101


def test_a_flood_has_a_cap(ends, monkeypatch):
    channel, _, agent_writes = ends
    monkeypatch.setattr(framed, "MAX_TOTAL_BYTES", 100)
    os.write(agent_writes, MAGIC + b"x" * 200)
    with pytest.raises(ProtocolError, match="more than 100 bytes"):
        channel.receive(timeout_s=5)


def test_what_cannot_be_asked_is_a_configuration_error(ends):
    channel, _, _ = ends
    with pytest.raises(ConfigError, match="pi4: cannot be asked for this: message 'job': field 'path'"):
        channel.send({"type": "job", "id": "a", "path": "x" * 5000})


def test_closing_twice_is_fine_and_a_closed_channel_says_so(ends, tmp_path):
    channel, _, _ = ends
    channel.close()
    channel.close()
    with pytest.raises(DeviceLost, match="closed"):
        channel.send({"type": "ping"})
    with pytest.raises(DeviceLost, match="closed"):
        channel.receive(timeout_s=1)


def test_files_are_read_where_they_are(ends, tmp_path):
    channel, _, _ = ends
    (tmp_path / "a").write_text("x")
    assert channel.push(tmp_path / "a", "other") == str((tmp_path / "a").resolve())
    channel.pull(str(tmp_path / "a"), tmp_path / "b")
    assert (tmp_path / "b").read_text() == "x"
    with pytest.raises(ConfigError, match="missing: no such file"):
        channel.push(tmp_path / "missing", "other")


@given(st.lists(st.binary(max_size=200) | st.sampled_from([ALIVE, b"\n", b'{"seq":0}\n', b"[1]\n"]), max_size=6))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_garbage_is_a_protocol_error_and_nothing_else(parts):
    host_reads, agent_writes = os.pipe()
    agent_reads, host_writes = os.pipe()
    os.write(agent_writes, MAGIC + b"".join(parts))
    os.close(agent_writes)
    with StreamChannel(host_reads, host_writes, name="x") as channel, pytest.raises((ProtocolError, DeviceLost)):
        receive_many(channel)
    os.close(agent_reads)
