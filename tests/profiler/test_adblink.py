"""What an adb server may say, and what becomes of it: with a server that a test plays, for answers that no real one can be made to give."""

import contextlib
import socket
import struct
import sys
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.core.access import AdbOptions
from hwnas.core.device import Device
from hwnas.core.errors import AuthFailed, ConfigError, DeviceError, DeviceLost, ProtocolError, Unreachable, UsageError
from hwnas.pipeline.checking import check_device
from hwnas.profiler import adbsync
from hwnas.profiler.adb import adb_link
from hwnas.profiler.adblink import AdbLink
from hwnas.profiler.adbshell import AdbShell
from hwnas.profiler.adbstream import CLOSE_STDIN, EXIT, STDERR, STDIN, STDOUT, AdbStream

pytest.importorskip("adbutils")


@contextlib.contextmanager
def serving(answer):
    """A link to a server that answers requests with ``answer(request)``: bytes, or None to say nothing more; what is sent is kept."""
    held, asked = [], []

    def serve(connection):
        with contextlib.suppress(OSError, ValueError):
            while size := connection.recv(4, socket.MSG_WAITALL):
                request = connection.recv(int(size, 16), socket.MSG_WAITALL).decode()
                asked.append(request)
                said = answer(request)
                if said is None:
                    return
                connection.sendall(said)

    def accept():
        with contextlib.suppress(OSError):
            while True:
                held.append(server.accept()[0])
                threads.append(threading.Thread(target=serve, args=(held[-1],)))
                threads[-1].start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threads = [threading.Thread(target=accept)]
        threads[0].start()
        link = AdbLink("phone", "0123", "127.0.0.1", server.getsockname()[1], patience_s=0.3)
        try:
            yield link, asked
        finally:
            with contextlib.suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)
            for connection in held:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join(10)
            for connection in held:
                connection.close()


def block(word, text):
    return word + f"{len(text):04x}".encode() + text.encode()


@pytest.mark.parametrize(
    ("state", "error", "words"),
    [
        ("device unauthorized.\nThis adb server's $ADB_VENDOR_KEYS is not set", AuthFailed, "unlock it and allow debugging from this"),
        ("device still authorizing", AuthFailed, "does not trust this machine yet"),
        ("device '0123' not found", Unreachable, "is it plugged in, with USB debugging switched on"),
        ("no devices/emulators found", Unreachable, "is it plugged in"),
        ("more than one device/emulator", Unreachable, "give the serial number that 'adb devices' shows as its address"),
        ("insufficient permissions for device: no permissions", Unreachable, "udev rules"),
        ("device offline", Unreachable, r"device offline for 0\.3 s; plug it in again, or run 'adb reconnect offline'"),
        ("\x1b[2Jgone\x07", Unreachable, r"phone \(0123\): \[2Jgone"),
    ],
)
def test_a_device_that_cannot_be_used_says_what_to_do(state, error, words):
    with serving(lambda request: block(b"FAIL", state)) as (link, _), pytest.raises(error, match=words) as told:
        link.ready()
    assert "\n" not in str(told.value)
    assert str(told.value).isprintable()


@pytest.mark.parametrize("answer", [None, b"", b"HTTP/1.0 200 OK\r\n\r\n", b"OKAYzzzz", b"OKAY"], ids=repr)
def test_what_is_no_adb_server_is_unreachable(answer):
    with serving(lambda request: answer) as (link, _), pytest.raises(Unreachable, match=r"phone \(0123\): "):
        link.ready()


def test_a_device_on_the_network_is_connected_to():
    states = iter([block(b"FAIL", "device '10.0.0.7:5555' not found"), block(b"OKAY", "offline"), block(b"OKAY", "device")])

    def answer(request):
        if request.endswith("get-state"):
            return next(states)
        return block(b"OKAY", "connected to 10.0.0.7:5555")

    with serving(answer) as (link, asked):
        AdbLink("phone", "10.0.0.7:5555", link.host, link.port, patience_s=5.0).ready()
    assert [request for request in asked if "get-state" not in request] == [
        "host:connect:10.0.0.7:5555",
        "host-serial:10.0.0.7:5555:reconnect",
    ]


def test_a_device_on_the_network_that_does_not_know_this_machine_is_told():
    def answer(request):
        if request.endswith("get-state"):
            return block(b"FAIL", "device '10.0.0.7:5555' not found")
        return block(b"OKAY", "failed to authenticate to 10.0.0.7:5555")

    with serving(answer) as (link, _), pytest.raises(AuthFailed, match=r"failed to authenticate to 10\.0\.0\.7:5555; unlock it"):
        AdbLink("phone", "10.0.0.7:5555", link.host, link.port, patience_s=5.0).ready()


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (block(b"FAIL", "device offline"), DeviceLost, "device offline"),
        (block(b"FAIL", "closed"), DeviceLost, "closed"),
        (block(b"FAIL", "no such service"), DeviceError, "no such service"),
        (b"", DeviceLost, r"no answer within 0\.3 s|Unknown data"),
        (None, DeviceLost, r"shell,v2,raw: no answer within 0\.3 s"),
    ],
)
def test_a_service_that_is_not_given_is_told(answer, error, words):
    def first(request):
        return b"OKAY" if request.startswith("host:transport") else answer

    with serving(first) as (link, _), pytest.raises(error, match=words):
        link.open("shell,v2,raw:true")


def sync(reply):
    """A server whose device answers any request for a file with ``reply``."""

    def answer(request):
        return b"OKAY" + reply if request == "sync:" else b"OKAY"

    return serving(answer)


@pytest.mark.parametrize(
    ("reply", "error", "words"),
    [
        (struct.pack("<4sI", b"DATA", 2**31), ProtocolError, "announces a block of 2147483648 bytes"),
        (struct.pack("<4sI", b"FAIL", 2**31), ProtocolError, "answers b'FAIL'"),
        (struct.pack("<4sI", b"WHAT", 0), ProtocolError, "answers b'WHAT'"),
        (struct.pack("<4sI", b"FAIL", 4) + b"no\x1b!", DeviceError, "fetching /x: no !"),
        (struct.pack("<4sI", b"DATA", 9) + b"cut", DeviceLost, r"answered nothing for 0\.2 s"),
    ],
)
def test_files_that_do_not_come_as_they_should(tmp_path, monkeypatch, reply, error, words):
    monkeypatch.setattr(adbsync, "STALL_S", 0.2)
    with sync(reply) as (link, _), pytest.raises(error, match=words):
        AdbShell(link).pull("/x", tmp_path / "x")
    assert not list(tmp_path.iterdir())


def test_a_file_without_end_is_not_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(adbsync, "MAX_PULL_BYTES", 10)
    reply = struct.pack("<4sI", b"DATA", 8) + bytes(8)
    with sync(2 * reply) as (link, _), pytest.raises(DeviceError, match="is larger than 10 bytes"):
        AdbShell(link).pull("/x", tmp_path / "x")


def packet(kind, data):
    return struct.pack("<BI", kind, len(data)) + data


@settings(max_examples=50)
@given(st.lists(st.tuples(st.sampled_from([STDOUT, STDERR, 9]), st.binary(max_size=40)), max_size=12), st.integers(1, 60))
def test_packets_are_understood_however_they_are_cut(packets, size):
    near, far = socket.socketpair()
    data = b"".join(packet(kind, content) for kind, content in packets) + packet(EXIT, b"\x07")
    stream = AdbStream(near, packets=True)
    with far:
        for begin in range(0, len(data), size):
            far.sendall(data[begin : begin + size])
    got = b""
    while part := stream.read(timeout_s=10):
        got += part
    stream.drop()
    assert got == b"".join(content for kind, content in packets if kind == STDOUT)
    assert stream.status == 7


@settings(max_examples=50)
@given(st.binary(max_size=200))
def test_any_bytes_end_without_an_error(data):
    near, far = socket.socketpair()
    stream = AdbStream(near, packets=True)
    with far:
        far.sendall(data)
    while stream.read(timeout_s=10):
        pass
    stream.words()
    stream.drop()


def test_what_is_written_arrives_in_packets():
    near, far = socket.socketpair()
    stream = AdbStream(near, packets=True)
    with far:
        data = bytes(range(256)) * 100
        taken = stream.write(data, timeout_s=5)
        assert 0 < taken < len(data)
        stream.close()
        kind, length = struct.unpack("<BI", far.recv(5, socket.MSG_WAITALL))
        assert (kind, length) == (STDIN, taken)
        assert far.recv(length, socket.MSG_WAITALL) == data[:taken]
        assert far.recv(5, socket.MSG_WAITALL) == struct.pack("<BI", CLOSE_STDIN, 0)
    assert stream.read(timeout_s=5) == b""
    assert not stream.ended(within_s=0.1)
    with pytest.raises(OSError):
        stream.write(data, timeout_s=5)
    stream.drop()


def test_a_device_that_takes_nothing_is_not_waited_for():
    near, far = socket.socketpair()
    stream = AdbStream(near, packets=True)

    def write_on():
        for _ in range(1000):
            stream.write(bytes(16384), timeout_s=0.05)

    with far, pytest.raises(TimeoutError):
        write_on()
    stream.drop()


@pytest.mark.parametrize("text", ["", "5037", "localhost:", "localhost:0", "localhost:65536", "localhost:x", ":5037", "a:９"])
def test_a_server_that_is_no_address_is_refused(text):
    with pytest.raises(ConfigError, match=r"^server "):
        AdbOptions(server=text)


def test_an_installation_without_adbutils_is_told_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "adbutils", None)
    with pytest.raises(UsageError, match=r"devices over adb need adbutils; pip install 'hwnas\[adb\]'"):
        adb_link(Device("phone", "adb", "0123")).ready()


def test_a_check_says_how_a_phone_lets_this_machine_in():
    with serving(lambda request: block(b"FAIL", "device unauthorized.")) as (link, _):
        checked = check_device(Device("phone", "adb", "0123", adb=AdbOptions(server=f"{link.host}:{link.port}")))
    assert not checked.reachable
    assert checked.fixes == ("unlock the device and allow debugging from this computer, then check again",)


def test_a_server_is_a_host_and_a_port():
    assert AdbOptions(server="[::1]:5038").server_address == ("::1", 5038)
    assert adb_link(Device("phone", "adb", "0123")) == AdbLink("phone", "0123", "127.0.0.1", 5037)
