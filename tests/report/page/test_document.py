"""The file: everything is in it, nothing of what users wrote is markup, and its policy lets nothing out."""

from __future__ import annotations

import json
from html.parser import HTMLParser

import pytest

from hwnas.report.page import document as module
from hwnas.report.page.document import charts_of, document, shown
from hwnas.report.page.items import Advice, Box, Chart, Drawing, Grid, Missing, Report, Section
from hwnas.report.page.live import loss_chart

HOSTILE = [
    "<script>alert(1)</script>",
    "</script><img src=x onerror=alert(1)>",
    "../../etc/passwd",
    "n" * 10_240,
    "{{ 7*7 }}",
    "\u2028'\"&",
]


@pytest.fixture(autouse=True)
def _no_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """Putting the library together takes seconds, and is the browser's test's."""
    monkeypatch.setattr(module, "javascript", lambda: "/* the library */")


class Reader(HTMLParser):
    """Elements, and the text that a person sees, where scripts are not."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.said: list[str] = []
        self.scripts: dict[str, str] = {}
        self._in: tuple[str, str] = ("", "")
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._in = (tag, dict(attrs).get("id") or "")

    def handle_endtag(self, tag):
        self._in = ("", "")

    def handle_data(self, data):
        if self._in[0] == "script":
            self.scripts[self._in[1]] = data
        elif self._in[0] != "style":
            self.said.append(data)


def report(text: str) -> Report:
    chart = loss_chart(text, [(0.0, 2.0), (1.0, 1.0)], epochs=2)
    hostile = Chart(text, text, {**chart.spec, "title": text}, (*chart.columns, "label"), [(0.0, 2.0, text)])
    items = (
        hostile,
        Drawing(text, text, (Box(text, text, text, 1.0),)),
        Grid(text, (text, "b"), [(text, None), (1.5, True)], text, frozenset({0})),
        Advice(text, ((text, text),)),
        Missing(text, text),
    )
    return Report(text, {text: text}, (Section(text, items, text),))


@pytest.mark.parametrize("text", HOSTILE, ids=["script", "end of script", "path", "long", "template", "separators"])
def test_what_users_wrote_is_text(text):
    plain = {tag for tag, _ in Reader(document(report("plain"))).tags}
    found = Reader(document(report(text)))
    assert {tag for tag, _ in found.tags} == plain
    assert not any(name.startswith("on") for _, attributes in found.tags for name in attributes)
    assert sum(text in said for said in found.said) >= 8
    assert json.loads(found.scripts["charts"]) == json.loads(json.dumps(charts_of(report(text))))


def test_the_file_asks_for_nothing_and_its_policy_forbids_it():
    def policy_of(text: str) -> str:
        found = (attributes for _, attributes in Reader(text).tags if attributes.get("http-equiv") == "Content-Security-Policy")
        return str(next(found)["content"])

    found = Reader(document(report("plain")))
    assert not [tag for tag, attributes in found.tags if attributes.get("src") or (attributes.get("href") or "#")[:1] not in "#d"]
    policy = policy_of(document(report("plain")))
    assert "default-src 'none'" in policy
    assert "connect-src" not in policy
    assert "connect-src 'self'" in policy_of(document(report("plain"), live=True))


def test_every_chart_has_words_and_data_and_every_table_can_be_reached_by_key():
    found = Reader(document(report("plain")))
    charts = [attributes for _, attributes in found.tags if attributes.get("class") == "chart"]
    ids = {attributes.get("id") for _, attributes in found.tags}
    assert charts
    assert all(attributes["role"] == "img" and attributes["aria-labelledby"] in ids for attributes in charts)
    regions = [attributes for _, attributes in found.tags if attributes.get("class") in ("scroll", "drawing")]
    assert all(attributes["tabindex"] == "0" and attributes["aria-label"] for attributes in regions)
    assert "Not shown: plain" in found.said


@pytest.mark.parametrize(("value", "text"), [(None, "–"), (True, "yes"), (False, "no"), (3, "3"), (0.123456, "0.1235"), ("x", "x")])
def test_values_for_people(value, text):
    assert shown(value) == text
