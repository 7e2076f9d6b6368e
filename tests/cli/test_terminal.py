"""What a user's hands do to the command line: interruptions, missing words, odd files and folders."""

import os
import signal
import subprocess
import sys
import time

import pytest

from hwnas.cli.main import call
from tests.rig.small_run import write_workspace


def told(capsys, *arguments):
    """Exit code and the lines on stderr."""
    code = call([str(a) for a in arguments])
    return code, capsys.readouterr().err.splitlines()


def test_a_path_given_to_init_is_found_from_the_workspace(capsys, tmp_path, monkeypatch):
    (tmp_path / "photos").mkdir()
    monkeypatch.chdir(tmp_path)
    assert told(capsys, "init", "my project", "--data", "photos") == (0, [])
    assert 'source = "../photos"' in (tmp_path / "my project" / "hwnas.toml").read_text()


def test_init_with_data_that_is_not_there_writes_nothing(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, lines = told(capsys, "init", "new", "--data", "fashion-mnits")
    assert (code, lines) == (2, ["error: --data fashion-mnits: no such folder or file; did you mean 'fashion-mnist'?"])
    assert not (tmp_path / "new").exists()


def test_a_place_that_cannot_be_written_is_one_line(capsys, tmp_path):
    (tmp_path / "file").touch()
    code, lines = told(capsys, "init", tmp_path / "file" / "below")
    assert code == 2
    assert len(lines) == 1
    assert str(tmp_path / "file") in lines[0]


def test_runs_that_is_a_file_is_one_line(capsys, tmp_path, pretend):
    root = write_workspace(tmp_path / "ws")
    (root / "runs").touch()
    code, lines = told(capsys, "run", "-w", root, "--quiet")
    assert (code, len(lines)) == (2, 1)


@pytest.mark.parametrize("arguments", [(), ("spaces",), ("table",)])
def test_a_command_without_its_words_shows_help_and_no_empty_error(capsys, arguments):
    code = call(list(arguments))
    captured = capsys.readouterr()
    assert code == 2
    assert "Usage" in captured.out + captured.err
    assert "error:" not in captured.err


def test_a_byte_order_mark_is_no_mistake(capsys, tmp_path, pretend):
    root = write_workspace(tmp_path / "ws")
    config = root / "hwnas.toml"
    config.write_bytes(b"\xef\xbb\xbf" + config.read_bytes())
    assert told(capsys, "devices", "list", "-w", root) == (0, [])


@pytest.mark.parametrize(
    "text", ["x = " + 5000 * "[", "seed = 2026-11-22\n[data]\nsource = 'fashion-mnist'\n[space]\npreset = 'tiny-32'\n"]
)
def test_odd_toml_is_one_line(capsys, tmp_path, text):
    (tmp_path / "hwnas.toml").write_text(text)
    code, lines = told(capsys, "devices", "list", "-w", tmp_path)
    assert (code, len(lines)) == (2, 1)
    assert "hwnas.toml" in lines[0]


def test_an_interruption_says_that_nothing_is_lost(tmp_path, pretend):
    root = write_workspace(tmp_path / "ws")
    command = [sys.executable, "-m", "tests.rig.pretend", "run", "-w", str(root)]
    # started in the background of a shell, a test ignores Ctrl-C, and so would what it starts
    heeding = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)  # noqa: E731
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=heeding)
    deadline = time.monotonic() + 300
    while not list(root.glob("runs/stages/*")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 130
    assert out == ""
    assert err.splitlines()[-1] == "interrupted; what was finished is kept, run the same command again to go on"
    assert "Traceback" not in err


def test_an_interruption_of_the_imports_is_quiet(tmp_path):
    """The handler is there before anything heavy is imported."""
    program = "import sys; sys.modules['hwnas.cli.main'] = None\nfrom hwnas import __main__ as m\n"
    trap = "import builtins; real = builtins.__import__\n"
    trap += "def fake(name, *a, **k):\n    if name == 'hwnas.cli.main': raise KeyboardInterrupt\n    return real(name, *a, **k)\n"
    done = subprocess.run(
        [sys.executable, "-c", trap + program + "builtins.__import__ = fake\nm.main()"],
        capture_output=True,
        text=True,
        env=dict(os.environ),
    )
    assert (done.returncode, done.stderr) == (130, "")
