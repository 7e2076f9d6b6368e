"""``hwnas devices check``: what is made of what devices say, and of those that say nothing."""

import re
import sys
import threading
from dataclasses import replace

import pytest

from hwnas.cli.main import call
from hwnas.core.device import Device
from hwnas.core.errors import DeviceLost
from hwnas.pipeline.advice import advice
from hwnas.pipeline.checking import check_device, check_devices, first_unusable
from hwnas.profiler import browser
from hwnas.profiler.browser import close_servers
from hwnas.profiler.channel import LAUNCHERS
from hwnas.profiler.check import DeviceReport, RuntimeReport
from hwnas.profiler.fake import ScriptedChannel
from tests.profiler.test_session import HELLO

REPORT = DeviceReport(
    agent="0.1.0",
    python="3.11.2",
    system="linux",
    arch="aarch64",
    libc=None,
    cores=(0, 1, 2, 3),
    runtimes={"onnxruntime": RuntimeReport("1.20.0", None, 10, 21)},
    facts={"governors": "0-3: performance", "temperature_c": 45.0, "throttled": "no", "thermal_status": "none", "idle_share": 0.99},
    unknown={},
)


class Told:
    """A launcher whose agent says hello, after what is to happen first."""

    def __init__(self, before=lambda: None):
        self.before = before

    def launch(self):
        self.before()
        return ScriptedChannel([HELLO])


@pytest.fixture
def transports(monkeypatch):
    """Transports of this test's own: ``transports["name"] = function``."""
    items = dict(LAUNCHERS._items)
    monkeypatch.setattr(LAUNCHERS, "_items", items)
    return items


def test_a_device_that_is_fine_needs_nothing():
    assert advice(REPORT, ("onnxruntime",)) == ()
    assert advice(replace(REPORT, facts={}), ("onnxruntime",)) == ()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"governors": "0-3: ondemand, 4-5: performance"}, "the clock governor is '0-3: ondemand, 4-5: performance'"),
        ({"governors": None, "governor": "powersave"}, "the clock governor is 'powersave'; 'performance' measures more steadily: echo"),
        ({"temperature_c": 82.4}, "it is 82 degrees hot"),
        ({"throttled": "now: under-voltage"}, r"it slows itself down \(now: under-voltage\); give it a stronger power supply"),
        ({"throttled": "since it started: throttled"}, "give it a fan"),
        ({"thermal_status": "severe"}, "its thermal status is 'severe'"),
        ({"idle_share": 0.3}, "core 3, on which it would be measured, is idle for 30% only"),
    ],
)
def test_what_is_to_be_fixed_is_told(changes, words):
    (line,) = advice(replace(REPORT, facts={**REPORT.facts, **changes}), ("onnxruntime",))
    assert re.search(words, line)


def test_missing_and_old_runtimes_are_told():
    old = replace(
        REPORT, runtimes={"onnxruntime": RuntimeReport("1.16.3", None, 8, 15), "litert": RuntimeReport(None, "not here", None, None)}
    )
    assert advice(old, ("onnxruntime", "litert")) == (
        "install litert on the device",
        "onnxruntime 1.16.3 reads models up to IR 8 and opset 15; 1.19 reads all",
    )


def test_the_extra_of_one_device_does_not_stop_the_others(transports, monkeypatch):
    monkeypatch.setitem(sys.modules, "paramiko", None)
    transports["told"] = lambda device: Told()
    board, other = check_devices([Device("board", "ssh", "pi@board"), Device("other", "told")])
    assert (board.reachable, board.usable) == (False, False)
    assert board.summary == "devices over ssh need paramiko; pip install 'hwnas[ssh]'"
    assert (other.reachable, other.usable) == (True, True)
    assert first_unusable([other, board]) is board
    assert first_unusable([other]) is None


def test_a_device_that_hangs_holds_up_nobody(transports):
    hang = threading.Event()
    transports["told"] = lambda device: Told()
    transports["stuck"] = lambda device: Told(lambda: hang.wait(60))
    try:
        stuck, other = check_devices([Device("stuck", "stuck"), Device("other", "told")], deadline_s=0.5)
    finally:
        hang.set()
    assert (stuck.reachable, stuck.summary) == (False, "stuck: it was not done within 0.5 s")
    assert "overloaded" in stuck.fixes[0]
    assert other.usable


def test_all_are_asked_at_once(transports):
    together = threading.Barrier(4, timeout=30)
    transports["meeting"] = lambda device: Told(together.wait)
    assert all(one.usable for one in check_devices([Device(str(n), "meeting") for n in range(4)]))


def test_a_fault_of_ours_is_not_taken_for_the_devices(transports):
    def fault():
        raise ZeroDivisionError

    transports["fault"] = lambda device: Told(fault)
    with pytest.raises(ZeroDivisionError):
        check_devices([Device("a", "fault")])


def test_a_lost_device_is_told_with_what_to_do(transports):
    def gone():
        raise DeviceLost("a: it went")

    transports["gone"] = lambda device: Told(gone)
    assert check_device(Device("a", "gone")).fixes == ("look at the connection and at what the agent said last, then check again",)


def test_a_page_is_not_awaited_for_long(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(browser, "web_files", dict)
    (tmp_path / "devices").mkdir()
    (tmp_path / "hwnas.toml").write_text('[data]\nsource = "fashion-mnist"\n[space]\npreset = "tiny-32"\n')
    (tmp_path / "devices" / "phone.toml").write_text('transport = "browser"\naddress = "http://127.0.0.1:0"\n')
    try:
        assert call(["devices", "check", "-w", str(tmp_path), "--wait-s", "1"]) == 3
    finally:
        close_servers()
    out, err = capsys.readouterr()
    assert "within 1 s" in " ".join(out.split())
    assert "error: phone: open the link on the device: 'hwnas devices check phone' shows it and waits" in err
