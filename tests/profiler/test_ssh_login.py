"""Who is let in over ssh, and which device is believed to be the one: keys, agents, host keys, jump hosts, on a real sshd."""

import subprocess

import pytest

from hwnas.core.errors import AuthFailed, HostKeyMismatch, Unreachable
from hwnas.profiler.check import read_hello
from hwnas.profiler.hostkeys import pin_key
from tests.profiler.test_ssh import answers, launcher
from tests.rig.board import soon
from tests.rig.sshd import board, make_key, running

pytest.importorskip("paramiko")
assert board  # a fixture


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
        assert soon(lambda: socket.exists() and subprocess.run(["ssh-add", "-q", str(board.key)], capture_output=True).returncode == 0)
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
