"""The server of a live report: only the link opens it, only by its own name, and only to look."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from hwnas.core.errors import ConfigError
from hwnas.report.page import document as module
from hwnas.report.page.items import Missing, Report, Section
from hwnas.report.page.live import loss_chart
from hwnas.report.page.server import ReportServer


class Growing:
    """A report that has one more step each time it is told to."""

    def __init__(self) -> None:
        self.steps = 1

    def __call__(self) -> Report:
        points = [(float(i), 2.0 - i / 10) for i in range(self.steps)]
        return Report("live", {}, (Section("s", (loss_chart("loss", points, epochs=9), Missing("x", "y"))),))


@pytest.fixture
def growing(monkeypatch: pytest.MonkeyPatch) -> Growing:
    monkeypatch.setattr(module, "javascript", lambda: "/* the library */")
    return Growing()


@pytest.fixture
def server(growing: Growing) -> Iterator[ReportServer]:
    found = ReportServer(growing)
    yield found
    found.close()


def ask(server: ReportServer, path: str, *, method: str = "GET", **headers: str) -> tuple[int, str]:
    url = urlsplit(server.link)
    connection = http.client.HTTPConnection(url.netloc, timeout=20)
    try:
        connection.putrequest(method, path, skip_host="Host" in headers)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def test_the_page_and_its_news(server, growing):
    path = urlsplit(server.link).path
    status, page = ask(server, path)
    assert (status, "<h1>live</h1>" in page) == (200, True)
    first = json.loads(ask(server, f"{path}state?version=")[1])
    assert len(first["charts"]["chart-01"]["rows"]) == 1
    assert "Not shown: y" in first["body"]
    assert json.loads(ask(server, f"{path}state?version={first['version']}")[1]) == {"version": first["version"]}
    growing.steps = 3
    later = json.loads(ask(server, f"{path}state?version={first['version']}")[1])
    assert later["version"] != first["version"]
    assert len(later["charts"]["chart-01"]["rows"]) == 3


@pytest.mark.parametrize("path", ["/", "/state", "/x/", "/../etc/passwd", "/%2e%2e/", "//", "/[", "/\x7f", "/é"])
def test_without_the_word_nothing_is_told(server, path):
    status, text = ask(server, path.encode().decode("latin-1").replace("\x7f", "%7f").replace("Ã©", "%e9"))
    assert status in (400, 404)
    assert "live" not in text


def test_no_other_path_no_other_name_no_other_page_and_no_change(server):
    path = urlsplit(server.link).path
    assert ask(server, f"{path}../report.html")[0] == 404
    assert ask(server, f"{path}page.css")[0] == 404
    assert ask(server, path, Host="evil.example:80")[0] == 421
    assert ask(server, path, Origin="http://evil.example")[0] == 403
    assert ask(server, path, Origin=server.link.rpartition("/")[0].rpartition("/")[0])[0] == 200
    assert ask(server, path, method="POST")[0] == 501


def test_it_listens_here_alone_with_a_word_of_its_own(server, growing):
    other = ReportServer(growing)
    try:
        assert urlsplit(server.link).hostname == "127.0.0.1"
        assert urlsplit(server.link).path != urlsplit(other.link).path
        assert len(urlsplit(server.link).path) >= 32
        with pytest.raises(ConfigError, match="cannot listen on"):
            ReportServer(growing, port=urlsplit(server.link).port or 0)
    finally:
        other.close()
