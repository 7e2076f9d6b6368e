"""``hwnas devices add`` as a user types it."""

import json
import sys
from pathlib import Path

import pytest

from hwnas.cli.main import call
from hwnas.profiler.channel import LAUNCHERS
from hwnas.profiler.fake import ScriptedChannel
from hwnas.workspace import Workspace
from tests.profiler.test_session import HELLO
from tests.rig.sshd import board

assert board  # a fixture


@pytest.fixture
def ws(tmp_path):
    (tmp_path / "hwnas.toml").write_text('[data]\nsource = "fashion-mnist"\n[space]\npreset = "tiny-32"\n')
    return tmp_path


@pytest.fixture
def told(monkeypatch):
    """A transport whose device says ``told[0]``, or raises it."""
    said = [HELLO]

    class Launcher:
        def launch(self):
            return ScriptedChannel(said)

    monkeypatch.setattr(LAUNCHERS, "_items", {**LAUNCHERS._items, "told": lambda device: Launcher()})
    return said


def hw(capsys, ws, *arguments):
    code = call(["devices", "add", *arguments, "-w", str(ws)])
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    return code, captured.out, captured.err


def test_a_device_is_asked_and_described(capsys, ws, told):
    code, out, err = hw(capsys, ws, "board", "--transport", "told", "--threads", "2")
    assert code == 0
    assert out == (ws / "devices" / "board.toml").read_text()
    assert "next: hwnas profile board" in err
    device = Workspace.open(ws).device("board")
    assert (device.runtimes, device.threads, device.facts) == (("onnxruntime",), 2, {"cpu": "a cpu"})


def test_json_tells_what_was_written_and_what_was_said(capsys, ws, told):
    document = json.loads(hw(capsys, ws, "board", "--transport", "told", "--json")[1])
    assert document["path"] == str(ws / "devices" / "board.toml")
    assert document["device"]["runtimes"] == ["onnxruntime"]
    assert document["report"]["arch"] == "x86_64"


def test_a_file_that_is_there_stays_unless_forced(capsys, ws, told):
    path = ws / "devices" / "board.toml"
    path.parent.mkdir()
    path.write_text("mine")
    code, _, err = hw(capsys, ws, "board", "--transport", "told")
    assert (code, path.read_text()) == (2, "mine")
    assert "exists; --force replaces it" in err
    assert hw(capsys, ws, "board", "--transport", "told", "--force")[0] == 0
    assert 'transport = "told"' in path.read_text()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["../board", "--transport", "told"], 2, "is no name for a device"),
        (["board", "--transport", "carrier-pigeon"], 2, "unknown transport"),
        (["board", "--transport", "told", "--key", "k"], 2, "takes no key"),
        (["board", "--transport", "told", "--threads", "3"], 2, "--threads 3, and the device has 2 cores"),
        (["board", "--transport", "local", "--address", "no-such-python"], 3, "cannot be started"),
        (["board", "--transport", "ssh", "--address", "pi@127.0.0.1:9"], 3, "Connection refused"),
        (["board", "--transport", "ssh", "--address", "pi@board", "--jump", "a b"], 2, "is no address"),
        (["board", "--transport", "adb", "--set", "adb.agnet=browser"], 2, "did you mean 'agent'"),
        (["board", "--transport", "told", "--set", "adb.port=1"], 2, "[adb] is for devices whose transport is 'adb'"),
        (["board", "--transport", "ssh", "--jump", "a", "--set", "ssh.jump=b"], 2, "ssh.jump is given twice"),
        (["board", "--transport", "browser", "--address", "nonsense"], 2, "devices/board.toml"),
    ],
)
def test_nothing_is_written_where_something_is_wrong(capsys, ws, told, arguments, code, words):
    if "ssh" in arguments:
        pytest.importorskip("paramiko")
    found, _, err = hw(capsys, ws, *arguments)
    assert found == code
    assert words in err
    assert not (ws / "devices").exists()


def test_all_options_can_be_given_and_paths_are_those_of_where_one_stands(capsys, ws, monkeypatch):
    (ws / "elsewhere").mkdir()
    monkeypatch.chdir(ws / "elsewhere")
    adb = ["agent=browser", "port=9000", "open_link=true", "server=127.0.0.1:5038", "folder=/data/x"]
    assert hw(capsys, ws, "phone", "--transport", "adb", "--offline", *(w for text in adb for w in ("--set", f"adb.{text}")))[0] == 0
    found = Workspace.open(ws).device("phone").adb
    assert (found.agent, found.port, found.open_link, found.server, found.folder) == ("browser", 9000, True, "127.0.0.1:5038", "/data/x")
    native = ["tool=benchmark_model", "path=tool", "args=--a=1", "args=--b"]
    more = [w for text in native for w in ("--set", f"native.{text}")]
    more += ["--set", "ssh.known_hosts=hosts"]
    assert hw(capsys, ws, "camera", "--transport", "ssh", "--address", "pi@camera", "--key", "id", "--offline", *more)[0] == 0
    device = Workspace.open(ws).device("camera")
    assert device.native.args == ("--a=1", "--b")
    assert [Path(p).resolve().relative_to(ws) for p in (device.native.path, device.ssh.key, device.ssh.known_hosts)] == [
        Path("elsewhere") / name for name in ("tool", "id", "hosts")
    ]


def test_a_device_without_a_runtime_is_told(capsys, ws, told):
    missing = {"version": None, "reason": "not installed", "max_ir": None, "max_opset": None}
    told[0] = {**HELLO, "runtimes": {"litert": missing}}
    code, _, err = hw(capsys, ws, "board", "--transport", "told")
    assert code == 3
    assert "install one there (litert: not installed)" in err
    assert not (ws / "devices").exists()


def test_an_unpinned_board_is_added_in_three_steps(capsys, ws, board):
    pytest.importorskip("paramiko")
    arguments = [
        "pi4",
        "--transport",
        "ssh",
        "--address",
        f"{board.address}:{board.port}",
        "--key",
        str(board.key),
        "--python",
        sys.executable,
    ]
    code, _, err = hw(capsys, ws, *arguments)
    assert code == 3
    assert "--offline" in err
    assert "run 'hwnas devices trust pi4'" in err
    assert not (ws / "devices").exists()
    code, _, err = hw(capsys, ws, *arguments, "--offline")
    assert code == 0
    assert "next: hwnas devices trust pi4" in err
    assert Workspace.open(ws).device("pi4").runtimes == ()
    assert call(["devices", "trust", "pi4", "--yes", "-w", str(ws)]) == 0
    assert hw(capsys, ws, *arguments, "--force")[0] == 0
    device = Workspace.open(ws).device("pi4")
    assert "onnxruntime" in device.runtimes
    assert device.ssh.key == str(board.key)
