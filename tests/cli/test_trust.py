"""``hwnas devices trust`` and ``check`` on a real sshd, as a user types them."""

import io
import json
import sys

import pytest

from hwnas.cli.main import call
from hwnas.profiler.hostkeys import pinned_keys
from tests.rig.board import free_port
from tests.rig.sshd import board, make_key

pytest.importorskip("paramiko")
assert board  # a fixture

CONFIG = '[data]\nsource = "fashion-mnist"\n[space]\npreset = "tiny-32"\n'
DEVICE = 'transport = "ssh"\naddress = "{address}"\nruntimes = ["onnxruntime"]\n[ssh]\nkey = "{key}"\npython = "{python}"\n'


@pytest.fixture
def ws(board, tmp_path):
    """A workspace with the board as its device ``pi4``."""
    root = tmp_path / "ws"
    (root / "devices").mkdir(parents=True)
    (root / "hwnas.toml").write_text(CONFIG)
    describe(root, board)
    return root


def describe(root, board, *, address=None, key=None, python=sys.executable):
    text = DEVICE.format(address=address or f"{board.address}:{board.port}", key=key or board.key, python=python)
    (root / "devices" / "pi4.toml").write_text(text)


def hw(capsys, ws, *arguments):
    """Exit code, stdout and stderr of one command."""
    code = call(["devices", *arguments, "-w", str(ws)])
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    return code, captured.out, captured.err


def pinned(ws):
    return pinned_keys(ws / "devices" / "known_hosts", "pi4")


class Answers(io.StringIO):
    """Standard input of somebody at a terminal."""

    def isatty(self):
        return True


def test_a_key_is_pinned_by_its_fingerprint_and_then_the_device_is_usable(capsys, ws, board):
    code, _, err = hw(capsys, ws, "check")
    assert code == 3
    assert "hwnas devices trust pi4" in err
    code, out, err = hw(capsys, ws, "trust", "pi4", "--fingerprint", board.host_key.fingerprint, "--json")
    assert code == 0
    assert json.loads(out)["trusted"][0]["fingerprint"] == board.host_key.fingerprint
    assert f"{board.host_key} is pinned" in err
    assert pinned(ws) == (board.host_key,)
    code, out, _ = hw(capsys, ws, "check", "--json")
    assert code == 0
    assert json.loads(out)[0]["usable"]
    assert board.is_clean()


def test_another_fingerprint_pins_nothing(capsys, ws, board):
    code, _, err = hw(capsys, ws, "trust", "pi4", "--fingerprint", "SHA256:other")
    assert code == 3
    assert f"the host key is {board.host_key}, not SHA256:other; nothing was pinned" in err
    assert pinned(ws) == ()


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 3)])
def test_the_fingerprint_is_shown_and_asked_about(capsys, ws, board, monkeypatch, answer, code):
    monkeypatch.setattr("sys.stdin", Answers(answer))
    got, _, err = hw(capsys, ws, "trust", "pi4")
    assert got == code
    assert str(board.host_key) in err
    assert pinned(ws) == ((board.host_key,) if code == 0 else ())


def test_without_a_terminal_an_answer_is_wanted_on_the_command_line(capsys, ws, board, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO())
    code, _, err = hw(capsys, ws, "trust", "pi4")
    assert code == 2
    assert "give --fingerprint" in err
    assert hw(capsys, ws, "trust", "pi4", "--yes")[0] == 0
    assert pinned(ws) == (board.host_key,)
    code, _, err = hw(capsys, ws, "trust", "pi4")
    assert code == 0
    assert "trusted already" in err


def test_a_changed_key_needs_more_than_yes(capsys, ws, board):
    old = board.host_key
    assert hw(capsys, ws, "trust", "pi4", "--yes")[0] == 0
    board.stop()
    board.new_host_key()
    board.start()
    code, out, _ = hw(capsys, ws, "check", "--json")
    assert code == 3
    assert old.fingerprint in out
    assert board.host_key.fingerprint in out
    code, _, err = hw(capsys, ws, "trust", "pi4", "--yes")
    assert old.fingerprint in err
    assert board.host_key.fingerprint in err
    assert pinned(ws) == (old,)
    assert hw(capsys, ws, "trust", "pi4", "--fingerprint", board.host_key.fingerprint)[0] == 0
    assert pinned(ws) == (board.host_key,)


def test_check_says_what_to_fix(capsys, ws, board, tmp_path):
    hw(capsys, ws, "trust", "pi4", "--yes")

    def fix(**changes):
        describe(ws, board, **changes)
        code, out, err = hw(capsys, ws, "check", "--json")
        assert code == 3
        (report,) = json.loads(out)
        assert not report["reachable"]
        assert report["fix"] in " ".join(err.split())
        return report["fix"]

    assert fix(address=f"127.0.0.1:{free_port()}").startswith("switch the device on and connect it")
    assert "log in without a password" in fix(key=make_key(tmp_path / "other"))
    assert fix(python="no-such-python").startswith("make the device reachable as its message says")
    assert "look at the connection" in fix(python=board.python("exit 1"))
    assert "login shell" in fix(python=board.python("seq 1 100"))


def test_only_ssh_has_host_keys(capsys, ws):
    (ws / "devices" / "here.toml").write_text('transport = "local"\n')
    code, _, err = hw(capsys, ws, "trust", "here")
    assert code == 2
    assert "device 'here' is reached by 'local', which has no host keys" in err
