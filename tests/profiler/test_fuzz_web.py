"""Fuzzing the server that a page agent talks to: requests as bytes, and bodies of a page that was let in; 4,500 examples in the slow suite.

No request may break the server: each is answered, or its connection is closed, and the next one is served. What a page says reaches the
host as messages of the protocol or as `ProtocolError`.
"""

import contextlib
import http.client
import socket
import sys
import tracemalloc

import pytest
from hwnas_agent import wire
from hypothesis import strategies as st

from hwnas.core.errors import AgentTimeout, DeviceLost, PageRefused, ProtocolError
from hwnas.profiler import webdesk, webserver
from hwnas.profiler.webaddress import parse_address
from hwnas.profiler.webdesk import Desk
from hwnas.profiler.webserver import WebServer
from tests.rig.garbled import CONVERSATION, KEYS, both, garbled_bytes, garbled_messages, result, scraps, spoken

pytestmark = [pytest.mark.filterwarnings("ignore:Generating overly large repr"), pytest.mark.usefixtures("broken")]
REQUESTS = (40, 1_500)
BODIES = (60, 3_000)
"""Examples in the fast and in the slow suite."""
PEAK_BYTES = 16 * 1024 * 1024
TIMEOUT_S = 30.0
JOBS = [{"type": "job", "id": key, "path": "/model/" + "0" * 64} for key in KEYS]


class Clock:
    """Goes on whenever it is looked at, so that nobody waits."""

    now = 0.0

    def __call__(self):
        self.now += 0.2
        return self.now


# --- bodies of a page that was let in ------------------------------------------------------------------------------------------------

some_bodies = st.lists(
    garbled_messages(CONVERSATION).map(lambda messages: b"".join(spoken(messages)[1:]))
    | garbled_bytes(spoken(CONVERSATION)[1:])
    | st.lists(scraps, max_size=3).map(b"".join),
    min_size=1,
    max_size=3,
)


def said(bodies):
    desk = Desk("phone", clock=Clock())
    entered = desk.claim(desk.offer(valid_s=60))
    desk.begin()
    entered = desk.resume(entered["key"])
    for message in JOBS:
        desk.tell(message)
    tracemalloc.start()
    try:
        for body in bodies:
            with contextlib.suppress(PageRefused):
                desk.post(entered["key"], entered["life"], body)
            entered = desk.resume(entered["key"])  # reloaded, whatever happened
        heard = hear_all(desk)
        assert tracemalloc.get_traced_memory()[1] < PEAK_BYTES
    finally:
        tracemalloc.stop()
    for message in heard:
        wire.check(message, wire.FROM_AGENT)
        assert message.get("id", KEYS[0]) in KEYS
    desk.close()


def hear_all(desk):
    heard = []
    for _ in range(10_000):
        try:
            heard.append(desk.hear(timeout_s=0.0))
        except ProtocolError as problem:
            str(problem).encode()
        except (AgentTimeout, DeviceLost):
            return heard
    raise AssertionError("the page's messages have no end")


test_bodies_of_a_page, test_bodies_of_a_page_at_length = both(BODIES, some_bodies, said)


@pytest.fixture
def desk():
    desk = Desk("phone", clock=Clock())
    entered = desk.claim(desk.offer(valid_s=60))
    desk.begin()
    desk.page = desk.resume(entered["key"])
    for message in JOBS:
        desk.tell(message)
    yield desk
    desk.close()


def test_what_nobody_reads_has_a_cap(desk, monkeypatch):
    monkeypatch.setattr(webdesk, "MAX_UNREAD_BYTES", 50 * webdesk.LEAST_CHARGE)
    lines = spoken([{"type": "alive"}] * 200)[1:]
    with pytest.raises(PageRefused, match="faster than the host reads"):
        desk.post(desk.page["key"], desk.page["life"], b"".join(lines))
    assert len(desk._inbox) == 51
    for _ in range(50):
        assert desk.hear(timeout_s=0.0)["type"] == "alive"
    with pytest.raises(ProtocolError, match="faster than the host reads"):
        desk.hear(timeout_s=0.0)


def test_a_page_that_broke_the_protocol_is_not_listened_to_again(desk):
    for _ in range(100):
        with pytest.raises(PageRefused):
            desk.post(desk.page["key"], desk.page["life"], b"nonsense")
    assert len(desk._inbox) == 1


def test_a_result_that_nobody_asked_for_is_not_kept(desk):
    with pytest.raises(PageRefused, match="never asked for"):
        desk.post(desk.page["key"], desk.page["life"], spoken([result("never asked for")])[1])


# --- requests as bytes ---------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server():
    # a request for messages is answered at once
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(webdesk, "POLL_S", 0.0)
        server = WebServer(Desk("phone"), parse_address("http://127.0.0.1:0", where="here"), {})
        entered = server.desk.claim(server.desk.offer(valid_s=600))
        server.desk.begin()
        server.page = server.desk.resume(entered["key"])
        for message in JOBS:
            server.desk.tell(message)
        yield server
        server.close()


@pytest.fixture(autouse=True)
def broken(monkeypatch):
    """Exceptions that came out of a request."""
    found = []

    def handle_error(self, request, client_address):
        problem = sys.exc_info()[1]
        if not isinstance(problem, (ConnectionError, TimeoutError)):
            found.append(problem)

    monkeypatch.setattr(webserver._Listener, "handle_error", handle_error)
    yield found
    assert found == []


paths = st.sampled_from(
    [
        *("/", "/send", "/receive", "/receive?after=0", "/receive?after=²", "/receive?after=9999999999", "/claim", "/resume", "/leave"),
        *("/model/x", "//[", "http://[/", "http://a]b/", "/\0", "*", "", "/%", "/LONG", "/page/main.js", "/receive?" + "a&" * 500),
    ]
)
lengths = st.sampled_from(["0", "4", "-1", "1e3", "²", "9" * 30, "1048577", "", "4, 4"])
odd_headers = st.sampled_from(
    [b"X: LONG", b"no colon", b"\xff: \xff", b"Transfer-Encoding: chunked", b"Expect: 100-continue", b"A: b\r\n" * 150, b""]
)


@st.composite
def requests(draw):
    """``(bytes, whether the key is in it)``: a request with a line, headers and a body, each of which may be odd."""
    if draw(st.integers(0, 9)) == 0:
        return b"".join(draw(st.lists(scraps, max_size=4)))
    method = draw(st.sampled_from(["GET", "POST", "POST", "PUT", "HEAD", "get", "\xff"]))
    version = draw(st.sampled_from(["HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/9", "HTTP/1.1.1", "", "HTTP/1.²"]))
    body = draw(scraps | st.sampled_from([b"", *spoken(CONVERSATION)]))
    fields = {"Host": "HOST", "Origin": "ORIGIN", "Authorization": "Bearer KEY", "X-Hwnas-Life": "LIFE", "Content-Length": str(len(body))}
    if draw(st.booleans()):
        fields["Content-Length"] = draw(lengths)
    for name in draw(st.lists(st.sampled_from(sorted(fields)), max_size=2)):
        fields[name] = draw(st.sampled_from(["", "null", "Bearer", "Bearer é", "²", "x" * 300, "\xff", "-1"]))
    head = [f"{method} {draw(paths)} {version}".encode(), *(f"{name}: {value}".encode() for name, value in fields.items())]
    return b"\r\n".join([*head, *draw(st.lists(odd_headers, max_size=1)), b"", body])


def served(server, data):
    host = server.origin.removeprefix("http://")
    data = data.replace(b"LONG", b"x" * 70_000)
    for name, value in {"HOST": host, "ORIGIN": server.origin, "KEY": server.page["key"], "LIFE": str(server.page["life"])}.items():
        data = data.replace(name.encode(), value.encode())
    with socket.create_connection(host.split(":"), timeout=TIMEOUT_S) as connection, contextlib.suppress(OSError):  # hung up on
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: connection.recv(65_536), b""))
        assert b"Traceback" not in answer
    again = server.desk.resume(server.page["key"])
    server.page = again
    while server.desk._inbox:
        with contextlib.suppress(ProtocolError):
            wire.check(server.desk.hear(timeout_s=0.0), wire.FROM_AGENT)


test_requests, test_requests_at_length = both(REQUESTS, requests(), served)


def test_after_all_that_it_serves(server):
    served(server, b"POST /send HTTP/1.1\r\nHost: HOST\r\nContent-Length: 4\r\n\r\nabcd")
    connection = http.client.HTTPConnection(server.origin.removeprefix("http://"), timeout=TIMEOUT_S)
    connection.request("GET", "/")
    assert connection.getresponse().status == 200
    connection.close()


@pytest.mark.parametrize("target", ["http://[/", "http://a]b/", "/receive?after=\xb2"])
def test_an_address_that_is_none_is_answered(server, target):
    host = server.origin.removeprefix("http://")
    with socket.create_connection(host.split(":"), timeout=TIMEOUT_S) as connection:
        connection.sendall(f"GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        assert connection.recv(65_536).split()[1] in (b"400", b"401", b"404")
