"""The folder of an agent on a device: what is accepted into it, who owns it, when it goes."""

import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import hwnas_agent
import pytest
from hwnas_agent import wire
from hwnas_agent.workfolder import OWNER, STALE_S, WorkFolder

PACKAGE = str(Path(hwnas_agent.__file__).parent.parent)
NAME = "hwnas-work-" + 16 * "a"
DATA = b"a model"
SHA = hashlib.sha256(DATA).hexdigest()


def made(root, digit="a"):
    folder = root / ("hwnas-work-" + 16 * digit)
    folder.mkdir()
    return folder


@pytest.fixture
def work(tmp_path):
    folder = WorkFolder(str(made(tmp_path)))
    yield folder
    os.close(folder._fd)


def test_a_whole_file_gets_its_name(work):
    (work.path / f"{SHA}.onnx.part").write_bytes(DATA)
    work.accept(f"{SHA}.onnx", SHA)
    assert {p.name for p in work.path.iterdir()} == {OWNER, f"{SHA}.onnx"}


def test_a_torn_file_is_refused_and_gets_no_name(work):
    (work.path / f"{SHA}.onnx.part").write_bytes(DATA[:-1])
    with pytest.raises(wire.WireError, match="arrived torn"):
        work.accept(f"{SHA}.onnx", SHA)
    assert not (work.path / f"{SHA}.onnx").exists()


def test_a_file_that_did_not_arrive_is_refused(work):
    with pytest.raises(wire.WireError, match="cannot be used: No such file"):
        work.accept(SHA, SHA)


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", SHA[:-1], f"{SHA}.onnx.part", f"{SHA}.ONNX", f"{SHA}\n", f"{SHA}.", 5])
def test_a_name_that_is_not_of_content_is_not_of_the_protocol(name):
    with pytest.raises(wire.WireError, match="field 'name'"):
        wire.check({"type": "file", "name": name, "sha256": SHA}, wire.TO_AGENT)


@pytest.mark.parametrize("name", ["home", "hwnas-work-", "hwnas-work-" + 16 * "g", "hwnas-work-" + 17 * "a"])
def test_a_folder_of_another_name_is_never_taken(tmp_path, name):
    (tmp_path / name).mkdir()
    with pytest.raises(ValueError, match="not a work folder"):
        WorkFolder(str(tmp_path / name))


def test_a_link_or_a_relative_path_is_never_taken(tmp_path, monkeypatch):
    (tmp_path / "real").mkdir()
    (tmp_path / NAME).symlink_to(tmp_path / "real")
    with pytest.raises(ValueError, match="not a work folder"):
        WorkFolder(str(tmp_path / NAME))
    monkeypatch.chdir(tmp_path)
    made(tmp_path, "b")
    with pytest.raises(ValueError, match="not a work folder"):
        WorkFolder("hwnas-work-" + 16 * "b")


def test_a_folder_has_one_owner(work):
    with pytest.raises(ValueError, match="another agent owns"):
        WorkFolder(str(work.path))


def test_only_what_nobody_owns_is_swept(work):
    root = work.path.parent
    dead, fresh, old = made(root, "1"), made(root, "2"), made(root, "3")
    (dead / OWNER).write_text("1\n")
    long_ago = old.stat().st_mtime - STALE_S - 60
    os.utime(old, (long_ago, long_ago))
    owned = WorkFolder(str(made(root, "4")))
    (root / "hwnas-work-notes").mkdir()
    work.sweep()
    assert {p.name for p in root.iterdir()} == {work.path.name, fresh.name, owned.path.name, "hwnas-work-notes"}
    os.close(owned._fd)


@pytest.mark.parametrize("end", ["stdin", "silence", "refused", "SIGTERM", "SIGHUP"])
def test_an_agent_takes_its_folder_with_it(tmp_path, end):
    folder = made(tmp_path)
    (folder / "model").write_bytes(DATA)
    options = ["--silence-s", "0.3"] if end == "silence" else []
    process = subprocess.Popen(
        [sys.executable, "-m", "hwnas_agent", "--work", str(folder), *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": PACKAGE},
    )
    assert process.stdout.readline().decode().strip() == wire.AGENT_MAGIC
    if end == "stdin":
        process.stdin.close()
    elif end.startswith("SIG"):
        process.send_signal(signal.Signals[end])
    elif end == "refused":
        process.stdin.write(b"nonsense\n")
        process.stdin.flush()
    assert process.wait(60) == (3 if end == "refused" else 0)
    assert list(tmp_path.iterdir()) == []
    process.stdin.close()
    process.stdout.close()


def test_an_agent_without_a_folder_takes_no_files(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "hwnas_agent"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": PACKAGE}
    )
    encoder = wire.Encoder(wire.HOST_MAGIC, wire.TO_AGENT)
    process.stdin.write(encoder.opening() + encoder.encode({"type": "file", "name": SHA, "sha256": SHA}))
    process.stdin.flush()
    assert process.stdout.readline().decode().strip() == wire.AGENT_MAGIC
    assert b"this agent has no folder" in process.stdout.readline()
    process.communicate(timeout=60)
