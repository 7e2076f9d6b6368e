"""Reports of real small runs in Debian's chromium: drawn, silent, asking nobody, and open to people who see or point otherwise."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hwnas.core.serial import write_atomic
from hwnas.pipeline.reported.assembled import report_of
from hwnas.pipeline.reported.following import following
from hwnas.pipeline.reported.sources import find_sources
from hwnas.report.page.document import document
from hwnas.report.page.server import ReportServer
from hwnas.workspace import Workspace
from tests.rig.axe import faults, no_axe
from tests.rig.chromium import browsers, no_browser

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(no_browser()), reason=no_browser())]

LIMIT_MS = 120_000
HOSTILE = (
    '<script>document.title="owned"</script><img src="http://127.0.0.1:9/x" onerror="document.title=\'owned\'">../../../etc/' + "n" * 10_240
)
SIZES = {"desktop": (1200, 900), "phone": (390, 844)}


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browsers() as launch:
        yield launch()


class Tab:
    """A page with all that it asked for and complained of."""

    def __init__(self, chromium: Any, **options: Any) -> None:
        self.context = chromium.new_context(**options)
        self.page = self.context.new_page()
        self.page.set_default_timeout(LIMIT_MS)
        self.asked: list[str] = []
        self.said: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda problem: self.said.append(str(problem)))

    def open(self, address: str) -> Tab:
        self.page.goto(address)
        self.drawn()
        return self

    def drawn(self) -> None:
        self.page.wait_for_function("document.documentElement.dataset.drawn === 'yes'")

    def charts(self) -> dict[str, tuple[int, int]]:
        """Rows and marks of every chart by its name."""
        return self.page.evaluate(
            """Object.fromEntries([...document.querySelectorAll(".chart")].map((each) => [each.dataset.chart,
              [Number(each.dataset.rows), each.querySelectorAll(".role-mark path, .role-mark line, .role-mark text").length]]))"""
        )


@pytest.fixture
def open_tab(chromium: Any) -> Iterator[Any]:
    tabs: list[Tab] = []

    def tab(**options: Any) -> Tab:
        tabs.append(Tab(chromium, **options))
        return tabs[-1]

    yield tab
    for each in tabs:
        each.context.close()


def written(root: Path, to: Path, *names: str) -> str:
    write_atomic(to, document(report_of(find_sources(Workspace.open(root), names))))
    assert to.stat().st_size <= 5_000_000
    return to.as_uri()


@pytest.fixture(scope="module")
def address(finished: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    return written(finished[0], tmp_path_factory.mktemp("report") / "report.html")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_every_chart_is_drawn_with_its_data_in_silence_and_without_a_network(open_tab, address, size, scheme):
    width, height = SIZES[size]
    tab = open_tab(viewport={"width": width, "height": height}, color_scheme=scheme, offline=True).open(address)
    charts = tab.charts()
    assert len(charts) >= 14
    assert all(rows > 0 and marks > 0 for rows, marks in charts.values()), charts
    assert tab.said == []
    assert [asked for asked in tab.asked if not asked.startswith(("file:", "data:"))] == []
    assert tab.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    back = tab.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert back == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 28)"}[scheme]


@pytest.mark.skipif(bool(no_axe()), reason=no_axe())
@pytest.mark.parametrize(("size", "scheme"), [("desktop", "light"), ("phone", "dark")])
def test_nobody_is_shut_out(open_tab, address, size, scheme):
    width, height = SIZES[size]
    tab = open_tab(viewport={"width": width, "height": height}, color_scheme=scheme).open(address)
    tab.page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
    assert faults(tab.page) == []


def test_it_is_read_by_keyboard(open_tab, address):
    tab = open_tab().open(address)
    tab.page.keyboard.press("Tab")
    assert tab.page.evaluate("document.activeElement.className") == "skip"
    tab.page.keyboard.press("Enter")
    assert tab.page.evaluate("document.activeElement.id") == "main"
    tab.page.focus("#theme")
    for theme in ("light", "dark", "as the system"):
        tab.page.keyboard.press("Enter")
        tab.drawn()
        assert tab.page.inner_text("#theme") == f"Colours: {theme}"
    tab.page.focus("figure summary")
    tab.page.keyboard.press("Enter")
    assert tab.page.evaluate("document.querySelector('figure details').open")
    tab.page.keyboard.press("Tab")
    assert tab.page.evaluate("document.activeElement.className") == "scroll"
    assert tab.said == []


@pytest.mark.skipif(bool(no_axe()), reason=no_axe())
def test_hostile_names_are_text(open_tab, finished, tmp_path):
    root = shutil.copytree(finished[0], tmp_path / "ws", ignore=shutil.ignore_patterns("models", "images", "stages"))
    run = root / "runs" / finished[1]["run"]
    result = json.loads((run / "result.json").read_text())
    for row in result["targets"]:
        row |= {"device": HOSTILE, "budget": HOSTILE, "arch": HOSTILE}
    (run / "result.json").write_text(json.dumps(result))
    for path in run.glob("artifacts/*/*/manifest.json"):
        manifest = json.loads(path.read_text())
        path.write_text(json.dumps(manifest | {"name": HOSTILE, "device_drift": 0.5}))
    for path in run.glob("searches/*.json"):
        asked = json.loads(path.read_text())
        path.write_text(json.dumps(asked | {"device": HOSTILE, "strategy": HOSTILE}))
    tab = open_tab(viewport={"width": 390, "height": 844}).open(written(root, tmp_path / "hostile.html", str(run)))
    assert tab.page.title() != "owned"
    assert tab.page.evaluate("[document.images.length, document.scripts.length]") == [0, 4]
    assert HOSTILE in tab.page.evaluate("document.getElementById('main').textContent")
    assert tab.said == []
    assert [asked for asked in tab.asked if not asked.startswith(("file:", "data:"))] == []
    assert tab.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert all(rows > 0 and marks > 0 for rows, marks in tab.charts().values())
    assert faults(tab.page) == []


def test_a_live_page_shows_what_is_new(open_tab, finished, tmp_path):
    root = shutil.copytree(finished[0], tmp_path / "ws", ignore=shutil.ignore_patterns("models", "images"))
    progress = root / "runs" / "stages" / "train-0123456789abcdef" / "progress.jsonl"
    progress.parent.mkdir()
    progress.write_text('{"epoch": 0.1, "epochs": 2, "loss": 2.5}\n')
    server = ReportServer(following(Workspace.open(root), []))
    try:
        tab = open_tab().open(server.link)
        assert tab.charts()["chart-01"][0] == 1
        with progress.open("a") as file:
            file.write('{"epoch": 0.6, "epochs": 2, "loss": 1.5}\n')
        tab.page.wait_for_function("document.querySelector('.chart').dataset.rows === '2'")
        assert "is 1.500" in tab.page.inner_text("figcaption")
        assert tab.said == []
        assert all(asked.startswith((server.link, "data:")) for asked in tab.asked)
    finally:
        server.close()
    tab.page.wait_for_selector("text=The server has ended")
