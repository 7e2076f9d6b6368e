"""Who the page's server lets in, what it gives away, and what it turns away."""

import http.client
import json
import re
import shutil
import socket
import ssl
import subprocess

import pytest

from hwnas.core.errors import ConfigError
from hwnas.profiler import webserver
from hwnas.profiler.webaddress import parse_address
from hwnas.profiler.webdesk import Desk
from hwnas.profiler.webserver import MAX_BODY_BYTES, WebServer
from tests.rig.webpage import Answer, PretendPage


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def server(tmp_path, clock):
    binary = tmp_path / "ort.wasm"
    binary.write_bytes(b"\0asm")
    (tmp_path / "secret").write_text("secret")
    server = WebServer(Desk("phone", clock=clock), parse_address("http://127.0.0.1:0", where="here"), {"ort.wasm": binary})
    yield server
    server.close()


@pytest.fixture
def page(server):
    return PretendPage(server.origin)


@pytest.fixture
def inside(server, page):
    page.enter("/claim", server.desk.offer(valid_s=60))
    return page


def status(request, *arguments, **options):
    with pytest.raises(Answer) as answer:
        request(*arguments, **options)
    return answer.value.status


def test_the_page_is_isolated_and_may_load_nothing_from_elsewhere(page):
    assert b"hwnas device agent" in page.request("GET", "/")
    assert page.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert page.headers["Cross-Origin-Embedder-Policy"] == "require-corp"
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert b"class QuietBand" in page.request("GET", "/page/band.js")
    assert page.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert page.request("GET", "/ort/ort.wasm") == b"\0asm"
    assert page.headers["Content-Type"] == "application/wasm"


def test_what_the_page_refers_to_is_there(page):
    html = page.request("GET", "/").decode()
    for path in re.findall(r'(?:href|src)="(/[^"]+)"', html):
        page.request("GET", path)
    for name in ("main", "link", "worker", "measure", "runtime"):
        for other in re.findall(r'from "\./([a-z]+\.js)"', page.request("GET", f"/page/{name}.js").decode()):
            page.request("GET", f"/page/{other}")


@pytest.mark.parametrize(
    "path",
    [
        "/page/../__init__.py",
        "/page/%2e%2e/__init__.py",
        "/ort/../secret",
        "/ort/%2e%2e%2fsecret",
        "/ort/..%5csecret",
        "//etc/passwd",
        "/page/",
        "/page/nothing.js",
        "/etc/passwd",
        "/model",
    ],
)
def test_no_path_leads_out_of_what_is_served(page, path):
    assert status(page.request, "GET", path) == 404


def test_a_token_works_once(server, page):
    token = server.desk.offer(valid_s=60)
    page.enter("/claim", token)
    assert len(page.key) >= 43
    assert page.key != token
    assert status(PretendPage(server.origin).enter, "/claim", token) == 403
    page.request("GET", "/")
    page.reload()
    assert page.life == 2


def test_wrong_old_and_expired_tokens_are_refused(server, page, clock):
    assert status(page.enter, "/claim", "guess") == 403
    first = server.desk.offer(valid_s=60)
    assert len(first) >= 43  # 32 bytes
    second = server.desk.offer(valid_s=60)
    assert status(page.enter, "/claim", first) == 403
    assert status(page.enter, "/claim", second[:-1]) == 403
    clock.now += 61
    assert status(page.enter, "/claim", second) == 403


def test_a_new_link_puts_the_old_page_out(server, inside):
    other = PretendPage(server.origin)
    other.enter("/claim", server.desk.offer(valid_s=60))
    assert status(inside.request, "GET", "/receive?after=0") == 403
    assert status(inside.reload) == 403


def test_of_two_tabs_the_earlier_one_is_turned_away_for_good(inside):
    old = inside.life
    inside.reload()
    inside.life = old
    assert status(inside.request, "GET", "/receive?after=0") == 410


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/receive?after=0"), ("GET", f"/model/{'0' * 64}"), ("POST", "/send"), ("POST", "/leave")]
)
def test_everything_of_a_session_needs_the_key(server, inside, method, path):
    server.desk.begin()
    assert status(inside.request, method, path, Authorization="") == 401
    assert status(inside.request, method, path, Authorization="Basic abc") == 401
    assert status(inside.request, method, path, bearer="x" * 43) == 403


def test_requests_under_another_host_name_are_refused(page, inside):
    for host in ("evil.example", "evil.example:80", "127.0.0.1", "127.0.0.1:1", ""):
        assert status(page.request, "GET", "/", Host=host) in (400, 421)
    port = page.origin.rpartition(":")[2]
    page.request("GET", "/", Host=f"localhost:{port}", Origin="")


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1"])
def test_requests_from_other_pages_are_refused(server, page, inside, origin):
    assert status(page.request, "GET", "/", Origin=origin) == 403
    assert status(page.request, "POST", "/claim", bearer=server.desk.offer(valid_s=60), Origin=origin) == 403
    assert status(inside.request, "POST", "/send", Origin=origin) == 403
    assert status(inside.request, "POST", "/send", Origin="") == 403


def test_bodies_have_a_length_and_a_limit(inside):
    assert status(inside.request, "POST", "/send", Content_Length=str(MAX_BODY_BYTES + 1)) == 413
    assert status(inside.request, "POST", "/send", Content_Length="9" * 30) == 413
    assert status(inside.request, "POST", "/send", Content_Length="-1") == 411
    assert status(inside.request, "POST", "/send", Content_Length="abc") == 411
    assert status(inside.request, "POST", "/send", Transfer_Encoding="chunked") == 411


def test_nonsense_in_numbers_is_refused(server, inside):
    for after in ("-1", "x", "1" * 30, "%C2%B2"):
        assert status(inside.request, "GET", f"/receive?after={after}") == 400
    assert status(inside.request, "GET", "/receive?after=0", X_Hwnas_Life="x") == 400
    assert status(inside.request, "POST", "/nothing") == 404


def test_only_promised_files_are_given_and_only_by_their_hash(server, inside, tmp_path):
    server.desk.begin()
    server.desk.promise("a" * 64, tmp_path / "secret")
    inside.reload()
    assert inside.request("GET", f"/model/{'a' * 64}") == b"secret"
    assert status(inside.request, "GET", f"/model/{'b' * 64}") == 404
    assert status(inside.request, "GET", "/model/../secret") == 404
    (tmp_path / "secret").unlink()
    assert status(inside.request, "GET", f"/model/{'a' * 64}") == 404
    server.desk.end()
    inside.reload()
    assert status(inside.request, "GET", f"/model/{'a' * 64}") == 404


def test_only_this_machine_is_listened_to(server):
    assert server.origin.startswith("http://127.0.0.1:")


def test_a_port_that_is_taken_is_one_line(server):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ConfigError, match=f"phone: cannot listen on 127.0.0.1:{port}: Address already in use"):
            WebServer(Desk("phone"), parse_address(f"http://127.0.0.1:{port}", where="here"), {})


def test_a_connection_that_breaks_off_holds_up_nobody(server, page):
    host, _, port = server.origin.partition("://")[2].partition(":")
    with socket.create_connection((host, int(port))) as idle:
        idle.sendall(b"POST /send HTTP/1.1\r\n")
        page.request("GET", "/")
    page.request("GET", "/")


def test_connections_are_limited(monkeypatch):
    monkeypatch.setattr(webserver, "MAX_CONNECTIONS", 1)
    server = WebServer(Desk("phone"), parse_address("http://127.0.0.1:0", where="here"), {})
    host, _, port = server.origin.partition("://")[2].partition(":")
    try:
        with socket.create_connection((host, int(port))) as first:
            first.sendall(f"GET / HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
            assert first.recv(12) == b"HTTP/1.1 200"
            with socket.create_connection((host, int(port)), timeout=10) as second:
                assert second.recv(1) == b""
    finally:
        server.close()


def test_https_serves_with_the_certificate_of_the_user(tmp_path):
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl here to make a certificate with")
    cert, key = tmp_path / "c.pem", tmp_path / "k.pem"
    names = ["-subj", "/CN=phone", "-addext", "subjectAltName=IP:127.0.0.1"]
    make = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *names, "-keyout", str(key), "-out", str(cert)]
    subprocess.run(make, check=True, capture_output=True, timeout=60)
    desk = Desk("phone")
    server = WebServer(desk, parse_address(f"https://127.0.0.1:0?cert={cert}&key={key}", where="here"), {})
    try:
        address, context = server.origin.removeprefix("https://"), ssl.create_default_context(cafile=str(cert))
        with socket.create_connection(tuple(address.split(":"))):  # never begins to speak: holds up nobody
            connection = http.client.HTTPSConnection(address, timeout=10, context=context)
            headers = {"Origin": server.origin, "Authorization": f"Bearer {desk.offer(valid_s=60)}"}
            connection.request("POST", "/claim", headers=headers)
            assert json.loads(connection.getresponse().read())["life"] == 1
            connection.close()
    finally:
        server.close()
