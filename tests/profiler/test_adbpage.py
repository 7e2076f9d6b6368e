"""The page on a phone over adb, through a real ``adb reverse``: the phone is a board whose ``am`` opens links, with a page or a browser."""

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hwnas.core.errors import DeviceError, Unreachable
from hwnas.profiler import adbpage, browser, webdesk
from hwnas.profiler.adb import adb_launcher
from hwnas.profiler.adbpage import AdbPageLauncher, withdraw
from hwnas.profiler.browser import close_servers
from hwnas.profiler.session import Job, run_session
from tests.agent.models import onnx_convolution
from tests.profiler.test_browser import PLAN
from tests.rig import chromium
from tests.rig.adbd import adb_board
from tests.rig.board import free_port

pytest.importorskip("adbutils")
assert adb_board  # a fixture

REPOSITORY = Path(__file__).parents[2]
PLAYER = """
import sys
sys.path[:0] = {paths!r}
from tests.profiler.test_browser import DONE, READY, RUNTIME, HELLO, result
from tests.rig.webpage import PretendPage
origin, token = sys.argv[1].split("/#token=")
page = PretendPage(origin)
page.enter("/claim", token)
page.until("hello")
page.send({{**HELLO, "runtimes": RUNTIME, "python": ""}})
begin, *jobs, start = page.until("start")
assert page.request("GET", begin["probe"])
page.send(READY, *(result(job["id"]) for job in jobs), {{**DONE, "results": len(jobs)}})
"""


@pytest.fixture
def board(adb_board):
    yield adb_board
    close_servers()
    for link, port in list(adbpage._ways):
        withdraw(link, port)


def program(board, name, text):
    path = board.programs / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def launcher(board, **options):
    """The launcher of the phone, with a link that is opened by the phone itself and nobody else."""
    given = {"agent": "browser", "port": free_port(), "open_link": True, **options}
    made = adb_launcher(board.device("phone", **given))
    assert isinstance(made, AdbPageLauncher)
    return AdbPageLauncher(made.link, made.options, wait_s=60.0, show=lambda link, name: None)


def session(start, model, **options):
    measured = []
    with start.launch() as channel:
        run_session(
            channel, [Job(key, model) for key in "abc"], PLAN, runtime="onnxruntime-web", probe=model, reference=model,
            on_measured=lambda key, _: measured.append(key), **options,
        )  # fmt: skip
    return sorted(measured)


def reversed_ports(start):
    with start.link.open("reverse:list-forward") as connection:
        connection.settimeout(5)
        data = b""
        while part := connection.recv(4096):
            data += part
    return data.decode()


def test_a_phone_opens_the_page_on_its_own_loopback(board, tmp_path, monkeypatch):
    monkeypatch.setattr(browser, "web_files", dict)
    monkeypatch.setattr(webdesk, "POLL_S", 1.0)
    paths = [str(REPOSITORY), str(REPOSITORY / "devices/agent"), str(REPOSITORY / "devices/browser")]
    (board.root / "player.py").write_text(PLAYER.format(paths=paths))
    asked = board.root / "asked"
    player = shlex.join([sys.executable, str(board.root / "player.py")])
    program(board, "am", f'echo "$@" >{asked}\n{player} "$5" >{board.root}/said 2>&1 &')
    model = tmp_path / "m.onnx"
    model.write_bytes(b"a model")
    start = launcher(board)
    assert session(start, model) == ["a", "b", "c"], (board.root / "said").read_text()
    words = asked.read_text().split()
    assert words[:4] == ["start", "-a", "android.intent.action.VIEW", "-d"]
    assert words[4].startswith(f"http://127.0.0.1:{start.options.port}/#token=")
    assert f"tcp:{start.options.port}" in reversed_ports(start)
    withdraw(start.link, start.options.port)
    withdraw(start.link, start.options.port)
    assert f"tcp:{start.options.port}" not in reversed_ports(start)


def test_a_phone_that_cannot_open_links_is_told_and_awaited(board, monkeypatch, capsys):
    monkeypatch.setattr(browser, "web_files", dict)
    program(board, "am", "echo Error: no activity found; exit 1")
    start = launcher(board)
    with pytest.raises(Unreachable, match=r"phone: no page was opened at http://127\.0\.0\.1:\d+ within 0 s"):
        AdbPageLauncher(start.link, start.options, wait_s=0.1, show=start.show).launch()
    assert "am start: Error: no activity found; open the link on the device yourself" in capsys.readouterr().err


def test_a_port_that_is_taken_on_the_phone_is_told(board):
    start = launcher(board)
    start.link.ready()
    code = f"import socket,time; s=socket.create_server(('127.0.0.1',{start.options.port})); print(1,flush=True); time.sleep(60)"
    taker = subprocess.Popen(
        ["nsenter", f"--net=/proc/{board.pid}/ns/net", sys.executable, "-c", code], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL
    )
    with taker:
        assert taker.stdout.readline()
        with pytest.raises(DeviceError, match=r"adb reverse: .*; is another program using this port there\?"):
            start.launch()
        taker.kill()


@pytest.mark.slow
@pytest.mark.skipif(bool(chromium.missing()), reason=chromium.missing())
def test_a_real_browser_measures_through_adb(board, tmp_path):
    flags = shlex.join([*chromium.FLAGS, f"--user-data-dir={board.root}/profile", "--remote-debugging-port=0"])
    program(board, "am", f'export TMPDIR=/tmp\n{shutil.which("chromium")} {flags} "$5" >{board.root}/said 2>&1 &')
    model = onnx_convolution(tmp_path / "m.onnx", channels=8, size=24)
    start = launcher(board)
    assert session(start, model) == ["a", "b", "c"]
