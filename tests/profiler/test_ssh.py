"""Devices over ssh, on a real sshd: what works, who is let in, and what is left behind."""

import os
import subprocess
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import pytest

from hwnas.core.device import MeasurePlan
from hwnas.core.errors import AuthFailed, ConfigError, DeviceError, HostKeyMismatch, ProtocolError, Unreachable
from hwnas.profiler.channel import LAUNCHERS
from hwnas.profiler.check import check, read_hello
from hwnas.profiler.hostkeys import pin_key
from hwnas.profiler.local import LocalLauncher
from hwnas.profiler.session import Job, run_session
from tests.agent.models import onnx_convolution
from tests.rig.sshd import Board, board, make_key, missing, running

pytest.importorskip("paramiko")
assert board  # a fixture

PLAN = MeasurePlan(min_repeats=5, min_total_ms=0.0, max_seconds=120.0, warmup=1)


def launcher(device):
    return LAUNCHERS.get("ssh")(device)


def answers(board: Board, **options) -> bool:
    """Whether the board's agent says hello; nothing of it is left."""
    with launcher(board.device(**options)).launch() as channel:
        said = read_hello(channel, runtimes=("none",)).agent
    assert board.is_clean()
    return bool(said)


def measure(start, jobs, probe, on_measured=lambda key: None):
    measured = {}

    def keep(key, regimes):
        measured[key] = regimes
        on_measured(key)

    with start.launch() as channel:
        run_session(channel, jobs, PLAN, runtime="onnxruntime", probe=probe, reference=probe, on_measured=keep)
    return {key: {name: len(m.samples_ms) for name, m in regimes.items() if name == "quiet"} for key, regimes in measured.items()}


def test_models_are_measured_as_they_are_on_this_machine(board, tmp_path):
    probe = onnx_convolution(tmp_path / "probe.onnx", channels=32, size=16)
    jobs = [Job(f"c{c}", onnx_convolution(tmp_path / f"{c}.onnx", channels=c, size=12)) for c in (4, 16)]
    seen = []

    def look(key):
        (work,) = board.home.glob(".cache/hwnas/hwnas-work-*")
        seen.append((sorted(p.name for p in work.iterdir()), work.stat().st_mode & 0o777))

    over_ssh = measure(launcher(board.device()), jobs, probe, look)
    assert over_ssh == measure(LocalLauncher(), jobs, probe)
    files, mode = seen[0]
    assert mode == 0o700
    # the probe is also the reference: the same content goes over once
    assert len([name for name in files if name.endswith(".onnx")]) == 3
    assert {"agent.pyz", "owner"} < set(files)
    assert not any(name.endswith(".part") for name in files)
    assert board.is_clean()


def test_the_device_is_described_and_nothing_is_left(board):
    report = check(launcher(board.device()))
    assert report.runtimes["onnxruntime"].max_ir == 10
    assert report.cores
    assert board.is_clean()


def test_files_come_and_go(board, tmp_path):
    (tmp_path / "model.bin").write_bytes(bytes(range(256)) * 1000)
    with launcher(board.device()).launch() as channel:
        path = channel.push(tmp_path / "model.bin", "any")
        assert channel.push(tmp_path / "model.bin", "other") == path
        read_hello(channel, runtimes=("none",))
        channel.pull(path, tmp_path / "back")
        channel.pull(Path(path).name, tmp_path / "again")
        with pytest.raises(DeviceError, match=r"fetching missing: .*No such file"):
            channel.pull("missing", tmp_path / "none")
        with pytest.raises(ConfigError, match="nowhere: no such file"):
            channel.push(tmp_path / "nowhere", "x")
    assert (tmp_path / "back").read_bytes() == (tmp_path / "again").read_bytes() == (tmp_path / "model.bin").read_bytes()
    assert not list(tmp_path.glob("*.part")) + list(tmp_path.glob("none*"))
    assert board.is_clean()


def test_a_file_that_arrives_torn_is_refused(board, tmp_path, monkeypatch):
    (tmp_path / "model.bin").write_bytes(b"model")
    with launcher(board.device()).launch() as channel:
        monkeypatch.setattr("hwnas.profiler.ssh.sha256_file", lambda path: 64 * "0")
        channel.push(tmp_path / "model.bin", "any")
        with pytest.raises(DeviceError, match="a pushed file arrived torn"):
            read_hello(channel, runtimes=("none",))
    assert board.is_clean()


def test_a_login_shell_that_talks_is_listened_over(board):
    board.greet("echo 'Welcome to the board'; echo 'hwnas-agent is not here'; echo quota >&2")
    assert answers(board)


def test_a_login_shell_that_never_stops_talking_is_not_the_protocol(board):
    board.greet("seq 1 100")
    with launcher(board.device()).launch() as channel, pytest.raises(ProtocolError, match="did not begin with hwnas-agent"):
        read_hello(channel, runtimes=("none",))
    assert board.is_clean()


def test_arguments_reach_the_device_as_they_are(board):
    folder = "a folder; touch $HOME/pwned 'quoted' \"twice\" `date`"
    with launcher(board.device(folder=folder)).launch() as channel:
        read_hello(channel, runtimes=("none",))
        assert len(list((board.home / folder).iterdir())) == 1
    assert list((board.home / folder).iterdir()) == []
    assert not (board.home / "pwned").exists()


def test_folders_of_dead_agents_go_with_the_next_one(board):
    stale = board.home / ".cache" / "hwnas" / "hwnas-work-0123456789abcdef"
    stale.mkdir(parents=True)
    (stale / "owner").write_text("1\n")
    assert answers(board)


def test_an_unprivileged_user_is_enough(tmp_path_factory):
    """A user of the board's own, in a user list that only its sshd sees."""
    python = "/usr/bin/python3"
    if missing() or os.geteuid() != 0 or not Path(python).exists():
        pytest.skip(missing() or "needs root, and a Python that every user may run")
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        root = Path(folder) / "board"
        users = Path(folder) / "passwd"
        users.write_text(Path("/etc/passwd").read_text() + f"rig:x:54321:54321::{root}/home:/bin/sh\n")
        program = 'mount --bind "$1" /etc/passwd && shift && exec "$@"'
        before = ("unshare", "--mount", "--propagation", "private", "sh", "-c", program, "sh", str(users))
        if subprocess.run([*before, "true"], capture_output=True).returncode != 0:
            pytest.skip("no mount namespaces here")
        with running(root, before=before) as board:
            os.chown(board.home, 54321, 54321)
            device = replace(board.device(python=python), address=f"rig@{board.address}:{board.port}")
            with launcher(device).launch() as channel:
                assert read_hello(channel, runtimes=("none",)).agent
                (agent,) = board.agents()
                assert Path(f"/proc/{agent}").stat().st_uid == 54321
            assert board.is_clean()


def test_an_interpreter_below_the_home_folder_is_found(board):
    python = Path(board.python("exec false"))
    (board.home / "venv").mkdir()
    python.rename(board.home / "venv" / "python")
    with launcher(board.device(python="~/venv/python")).launch() as channel, pytest.raises(DeviceError, match="the agent ended"):
        read_hello(channel)


@pytest.mark.parametrize(
    ("python", "message"),
    [
        ("no-such-python", r"'no-such-python' does not run there \(exit code 127: .*; install Python 3\.8, or name one in \[ssh\]"),
        ("false", r"'false' does not run there \(exit code 1: no word of why\)"),
    ],
)
def test_a_device_without_python_is_told(board, python, message):
    with pytest.raises(DeviceError, match=message):
        launcher(board.device(python=python)).launch()
    assert board.is_clean()


def test_a_python_that_is_too_old_is_told(board):
    old = board.root / "old"
    old.write_text("#!/bin/sh\necho hwnas-store whole 2 7\n")
    old.chmod(0o755)
    with pytest.raises(DeviceError, match=r"is Python 2\.7 there; the agent needs 3\.8"):
        launcher(board.device(python=str(old))).launch()
    assert board.is_clean()


def test_a_folder_that_cannot_be_made_is_told(board):
    (board.home / "file").write_text("")
    with pytest.raises(DeviceError, match=r"making a folder in .*/file/below: .*; name another as folder in \[ssh\]"):
        launcher(board.device(folder="file/below")).launch()


def test_a_key_that_is_not_authorised_is_refused(board, tmp_path):
    device = board.device(key=str(make_key(tmp_path / "other")))
    with pytest.raises(AuthFailed, match=r"board \(.*\): none of the keys is accepted for '.*' \(other\)"):
        launcher(device).launch()


def test_no_key_means_no_login(board, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(AuthFailed, match=r"there is no key to log in with; give key in \[ssh\]"):
        launcher(board.device(key="")).launch()


@pytest.mark.parametrize("how", ["missing", "garbage", "passphrase"])
def test_a_key_that_cannot_be_used_is_told_by_its_file(board, tmp_path, how):
    key, words = tmp_path / "id", "is not there"
    if how == "garbage":
        key.write_text("no key")
        words = "cannot be read"
    elif how == "passphrase":
        make_key(key, "-N", "secret")
        words = "has a passphrase; add it to your ssh agent"
    with pytest.raises(AuthFailed, match=f"the key {key} {words}"):
        launcher(board.device(key=str(key))).launch()


def test_a_key_file_that_is_not_there_does_not_hide_the_next_one(board, tmp_path):
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "config").write_text(f"Host *\n IdentityFile ~/.ssh/id_none\n IdentityFile {board.key}\n")
    assert answers(board, key="")


def test_a_device_that_hangs_up_after_many_keys_is_told_apart_from_one_that_is_gone(board, tmp_path):
    board.stop()
    with (board.root / "config").open("a") as file:
        file.write("MaxAuthTries 2\n")
    board.start()
    (tmp_path / ".ssh").mkdir()
    keys = [make_key(tmp_path / f"key{i}") for i in range(3)]
    (tmp_path / ".ssh" / "config").write_text("Host *\n" + "".join(f" IdentityFile {key}\n" for key in [*keys, board.key]))
    with pytest.raises(AuthFailed, match=r"it hung up after \d keys; name the right one as key in \[ssh\]"):
        launcher(board.device(key="")).launch()


def test_a_key_of_the_users_agent_is_used_only_when_asked_for(board, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    socket = tmp_path / "agent.sock"
    try:
        agent = subprocess.Popen(["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.DEVNULL)
    except FileNotFoundError:
        pytest.skip("no ssh-agent here")
    try:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
        for _ in range(200):
            if socket.exists() and subprocess.run(["ssh-add", "-q", str(board.key)], capture_output=True).returncode == 0:
                break
            time.sleep(0.05)
        with pytest.raises(AuthFailed, match="no key"):
            launcher(board.device(key="")).launch()
        assert answers(board, key="", agent=True)
        monkeypatch.delenv("SSH_AUTH_SOCK")
        with pytest.raises(AuthFailed, match="your ssh agent holds none"):
            launcher(board.device(key="", agent=True)).launch()
    finally:
        agent.kill()
        agent.wait()


def test_a_host_key_that_nobody_trusted_is_shown_with_what_to_do(board):
    with pytest.raises(HostKeyMismatch) as caught:
        launcher(board.device(trusted=False)).launch()
    text = str(caught.value)
    assert f"its host key {board.host_key} is not trusted yet" in text
    assert text.endswith("trust it: hwnas devices trust board")


def test_a_changed_host_key_is_refused_with_both_fingerprints(board):
    device, old = board.device(), board.host_key
    board.stop()
    board.new_host_key()
    board.start()
    with pytest.raises(HostKeyMismatch) as caught:
        launcher(device).launch()
    assert old.fingerprint in str(caught.value)
    assert board.host_key.fingerprint in str(caught.value)
    assert old.fingerprint != board.host_key.fingerprint


def test_a_pinned_key_of_another_type_is_asked_for(board):
    board.stop()
    rsa = board.root / "rsa_key"
    subprocess.run(["ssh-keygen", "-q", "-t", "rsa", "-b", "2048", "-N", "", "-f", str(rsa)], check=True, timeout=60)
    with (board.root / "config").open("a") as file:
        file.write(f"HostKey {rsa}\n")
    board.start()
    device = board.device()
    kind, blob = (board.root / "rsa_key.pub").read_text().split()[:2]
    pin_key(board.root / "known_hosts", "board", type(board.host_key)(kind, blob))
    with launcher(device).launch() as channel:
        assert read_hello(channel, runtimes=("none",)).agent


def test_a_board_behind_another_one_is_reached_through_it(board, tmp_path):
    with running(tmp_path / "inner") as inner:
        jump = f"{board.address}:{board.port}"
        options = {"jump": jump, "key": str(inner.key)}
        (board.root / "authorized_keys").write_text((inner.root / "user_key.pub").read_text())
        device = inner.device("inner", **options)
        with pytest.raises(HostKeyMismatch, match=f"@{jump}: its host key"):
            launcher(device).launch()
        pin_key(inner.root / "known_hosts", jump, board.host_key)
        with launcher(device).launch() as channel:
            assert read_hello(channel, runtimes=("none",)).agent
        assert inner.is_clean()
        inner.stop()
        with pytest.raises(Unreachable, match="the jump host does not get through to it"):
            launcher(device).launch()
