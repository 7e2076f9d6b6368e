"""``hwnas agent serve`` and ``hwnas devices check`` as a user types them, for a device that is a page."""

import json
import re
import threading
import time
from dataclasses import replace

import pytest

from hwnas.cli.main import call
from hwnas.profiler import browser, webdesk
from hwnas.profiler.browser import close_servers
from tests.profiler.test_session import HELLO
from tests.rig.webpage import PretendPage

RUNTIME = {"version": "1.30.0", "reason": None, "max_ir": 10, "max_opset": 21}
FACTS = {"timer_us": {"value": 5, "reason": None}, "governor": {"value": None, "reason": "a page cannot read it"}}
SAID = {
    **HELLO,
    "python": "",
    "system": "Chromium 156 on Linux",
    "arch": "wasm32",
    "runtimes": {"onnxruntime-web": RUNTIME},
    "facts": FACTS,
}


@pytest.fixture
def phone(tmp_path, monkeypatch):
    """A workspace with a phone, and another device."""
    monkeypatch.setattr(browser, "web_files", dict)
    monkeypatch.setattr(webdesk, "POLL_S", 1.0)
    (tmp_path / "devices").mkdir()
    (tmp_path / "hwnas.toml").write_text('[data]\nsource = "fashion-mnist"\n[space]\npreset = "tiny-32"\n')
    (tmp_path / "devices" / "local.toml").write_text('transport = "local"\n')
    text = 'transport = "browser"\naddress = "http://127.0.0.1:0"\nruntimes = ["onnxruntime-web"]\n'
    (tmp_path / "devices" / "phone.toml").write_text(text)
    yield tmp_path
    close_servers()


def test_serve_waits_for_the_page_and_tells_what_it_is(phone, monkeypatch, capsys):
    def watch():
        for _ in range(200):
            time.sleep(0.05)
            shown.append(capsys.readouterr().err)
            if match := re.search(r"(http://\S+)/#token=(\S+)", "".join(shown)):
                page = PretendPage(match[1])
                page.enter("/claim", match[2])
                page.until("hello")
                page.send(SAID)
                return

    shown = []
    visitor = threading.Thread(target=watch, daemon=True)
    visitor.start()
    assert call(["agent", "serve", "phone", "--workspace", str(phone)]) == 0
    visitor.join(timeout=10)
    assert "phone: open this link in the device's browser" in "".join(shown)
    out = capsys.readouterr().out
    assert "phone: Chromium 156 on Linux, 2 cores, onnxruntime-web 1.30.0" in out
    assert "timer_us: 5" in out
    assert "governor: unknown: a page cannot read it" in out


def test_serve_ends_when_no_page_comes(phone, capsys):
    assert call(["agent", "serve", "phone", "--workspace", str(phone), "--wait-s", "1"]) == 3
    assert "error: phone: no page was opened at http://127.0.0.1:" in capsys.readouterr().err


def test_serve_is_for_pages(phone, capsys):
    assert call(["agent", "serve", "local", "--workspace", str(phone)]) == 2
    assert "transport 'local' has no page; 'hwnas devices check local'" in capsys.readouterr().err


def test_check_names_the_browser_where_there_is_no_python(phone, monkeypatch, capsys):
    def visit(link, name):
        origin, token = link.split("/#token=")
        page = PretendPage(origin)
        threads.append(threading.Thread(target=lambda: (page.enter("/claim", token), page.until("hello"), page.send(SAID)), daemon=True))
        threads[-1].start()

    threads = []
    real = browser.browser_launcher
    monkeypatch.setitem(browser.LAUNCHERS._items, "browser", lambda device: replace(real(device), show=visit))
    assert call(["devices", "check", "phone", "--workspace", str(phone), "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["reachable"], row["usable"]) == (True, True)
    assert row["summary"] == "Chromium 156 on Linux, wasm32, 2 cores, onnxruntime-web 1.30.0"
    threads[0].join(timeout=10)
