"""What every transport owes its users, over the registry: a new one has to name a device here, and is then held to all of it."""

import threading
from contextlib import contextmanager
from dataclasses import replace

import pytest

import hwnas.profiler
import hwnas.profiler.browser
from hwnas.core.device import Device
from hwnas.core.errors import ConfigError, DeviceError, DeviceLost
from hwnas.profiler import browser, webdesk
from hwnas.profiler.channel import LAUNCHERS
from hwnas.profiler.check import read_hello
from hwnas.profiler.session import run_session
from tests.profiler.test_browser import HELLO, PLAN, RUNTIME
from tests.rig import adbd, replay, sshd
from tests.rig.webpage import Answer, PretendPage

assert hwnas.profiler
OF_TESTS = {"pretend"}
"""Transports that tests register."""
TRANSPORTS = sorted(set(LAUNCHERS) - OF_TESTS)


@contextmanager
def local(tmp_path, monkeypatch):
    yield LAUNCHERS.get("local")(Device("device", "local"))


@contextmanager
def ssh(tmp_path, monkeypatch):
    pytest.importorskip("paramiko")
    if sshd.missing():
        pytest.skip(sshd.missing())
    monkeypatch.setenv("HOME", str(tmp_path))
    with sshd.running(tmp_path / "board") as board:
        yield LAUNCHERS.get("ssh")(board.device("device", python=replay.interpreter(board.root)))
        assert board.is_clean()


@contextmanager
def adb(tmp_path, monkeypatch):
    pytest.importorskip("adbutils")
    if adbd.missing():
        pytest.skip(adbd.missing())
    with adbd.running(tmp_path / "board") as board:
        yield LAUNCHERS.get("adb")(board.device("device", python=replay.interpreter(board.root)))
        assert board.is_clean()


@contextmanager
def page(tmp_path, monkeypatch):
    monkeypatch.setattr(browser, "web_files", dict)
    monkeypatch.setattr(webdesk, "POLL_S", 0.5)
    tabs = []

    def visit(link, name):
        tabs.append(threading.Thread(target=_tab, args=tuple(link.split("/#token="))))
        tabs[-1].start()

    made = LAUNCHERS.get("browser")(Device("device", "browser", "http://127.0.0.1:0"))
    yield replace(made, wait_s=10.0, show=visit)
    browser.close_servers()
    for tab in tabs:
        tab.join(30)


def _tab(origin, token):
    """A page that says hello to every session, until nobody serves it."""
    tab = PretendPage(origin)
    try:
        tab.enter("/claim", token)
        for _ in range(50):
            tab.until("hello")
            tab.send({**HELLO, "runtimes": RUNTIME, "python": ""})
    except (Answer, AssertionError, OSError):
        return


DEVICES = {"local": local, "ssh": ssh, "adb": adb, "browser": page}


@pytest.fixture(params=TRANSPORTS)
def launcher(request, tmp_path, monkeypatch):
    assert request.param in DEVICES, "a new transport: give this test a device of it"
    with DEVICES[request.param](tmp_path, monkeypatch) as made:
        yield made


def test_a_channel_keeps_what_channels_promise(launcher, tmp_path):
    model = tmp_path / "model.rep"
    replay.model(model, us=100)
    with launcher.launch() as channel:
        assert read_hello(channel, runtimes=("none",)).agent
        path = channel.push(model, "model.rep")
        assert path == channel.push(model, "again.rep")
        with pytest.raises(ConfigError, match="nowhere: no such file"):
            channel.push(tmp_path / "nowhere", "nowhere")
        with pytest.raises(ConfigError, match="cannot be asked for this"):
            channel.send({"type": "unheard of"})
    channel.close()
    with pytest.raises(DeviceLost):
        channel.send({"type": "ping"})
    # the device is as it was: another session finds it so
    with launcher.launch() as channel:
        assert read_hello(channel, runtimes=("none",)).agent


def test_a_session_without_its_runtime_is_refused_by_name(launcher, tmp_path):
    model = replay.model(tmp_path / "model.rep", us=100)
    with launcher.launch() as channel, pytest.raises(DeviceError, match="runtime 'no-such-runtime' is not usable on this device"):
        run_session(channel, [], PLAN, runtime="no-such-runtime", probe=model, reference=model, on_measured=print)
