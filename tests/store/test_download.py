"""Files from a real server on the loopback: kept only where size, time and hash are right."""

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from hwnas.core.errors import CheckpointError
from hwnas.store.download import downloaded

CONTENT = bytes(range(256)) * 5000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def server():
    """Serves CONTENT at /file, and mischief elsewhere; ``asked`` has the paths of all requests."""
    asked: list[str] = []
    done = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            if self.path == "/hop":
                self.answer(302, location="/file")
            elif self.path == "/etc":
                self.answer(302, location="file:///etc/hostname")
            elif self.path == "/loop":
                self.answer(302, location="/loop")
            elif self.path == "/file":
                self.answer(200, CONTENT)
            elif self.path == "/short":
                self.send_response(200)
                self.send_header("Content-Length", str(len(CONTENT)))
                self.end_headers()
                self.wfile.write(CONTENT[:100])
                self.close_connection = True
            elif self.path == "/silent":
                done.wait(20)
            else:
                self.answer(404)

        def answer(self, code, content=b"", location=None):
            self.send_response(code)
            self.send_header("Content-Length", str(len(content)))
            if location:
                self.send_header("Location", location)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *words):
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.asked = asked
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield httpd
    done.set()
    httpd.shutdown()
    thread.join()
    httpd.server_close()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")


def url_of(server, path):
    return f"http://127.0.0.1:{server.server_port}{path}"


def test_a_file_is_fetched_once(server, tmp_path):
    to = tmp_path / "deep" / "file"
    assert downloaded(url_of(server, "/file"), to, sha256=SHA256) == to
    assert to.read_bytes() == CONTENT
    downloaded(url_of(server, "/file"), to, sha256=SHA256)
    assert server.asked == ["/file"]
    to.write_bytes(b"torn")
    downloaded(url_of(server, "/hop"), to, sha256=SHA256)
    assert to.read_bytes() == CONTENT
    assert [path.name for path in to.parent.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("path", "options", "words"),
    [
        ("/file", {"sha256": "0" * 64}, f"has the SHA-256 {SHA256}, not 000"),
        ("/file", {"max_bytes": 1000}, "larger than 1000 bytes"),
        ("/file", {"whole_s": -1.0}, "too slow"),
        ("/none", {}, "answers 404"),
        ("/loop", {}, "answers 302"),
        ("/etc", {}, "answers 302"),
        ("/silent", {"silence_s": 0.2}, "cannot be fetched"),
        ("/short", {}, "no proper answer|has the SHA-256"),
    ],
)
def test_nothing_is_kept_of_what_is_not_right(server, tmp_path, path, options, words):
    to = tmp_path / "file"
    with pytest.raises(CheckpointError, match=words) as problem:
        downloaded(url_of(server, path), to, **{"sha256": SHA256, **options})
    assert url_of(server, path) in str(problem.value)
    assert "\n" not in str(problem.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://127.0.0.1/x", "data:,x", "/etc/hostname"])
def test_only_the_web_is_asked(tmp_path, url):
    with pytest.raises(CheckpointError, match="only http and https"):
        downloaded(url, tmp_path / "file", sha256=SHA256)
    assert list(tmp_path.iterdir()) == []


def test_nobody_there_is_one_line(server, tmp_path):
    port = server.server_port
    server.shutdown()
    server.server_close()
    with pytest.raises(CheckpointError, match="cannot be fetched"):
        downloaded(f"http://127.0.0.1:{port}/file", tmp_path / "file", sha256=SHA256)
