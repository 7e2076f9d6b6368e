import subprocess

import pytest

from hwnas.core.errors import ConfigError
from hwnas.profiler.hostkeys import HostKey, pin_key, pinned_keys

ED25519 = HostKey("ssh-ed25519", "AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl")
OTHER = HostKey("ssh-ed25519", "AAAAC3NzaC1lZDI1NTE5AAAAIBN8pdwRsqLPvMVPFMqDbXVSbmFFZlRSRbNKmXYoyP4r")


def test_a_fingerprint_is_the_one_that_github_publishes():
    assert str(ED25519) == "ssh-ed25519 SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU"


def test_the_fingerprint_is_the_one_that_openssh_shows(tmp_path):
    (tmp_path / "key.pub").write_text(f"{OTHER.type} {OTHER.base64} a comment\n")
    try:
        told = subprocess.run(["ssh-keygen", "-l", "-f", str(tmp_path / "key.pub")], capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("no ssh-keygen here")
    if told.returncode != 0:
        pytest.skip("ssh-keygen does not read the key")
    assert told.stdout.split()[1] == OTHER.fingerprint


def test_no_file_pins_nothing(tmp_path):
    assert pinned_keys(tmp_path / "known_hosts", "pi4") == ()


def test_a_pinned_key_is_found_under_its_name_only(tmp_path):
    path = tmp_path / "devices" / "known_hosts"
    pin_key(path, "pi4", ED25519)
    pin_key(path, "nano", OTHER)
    assert pinned_keys(path, "pi4") == (ED25519,)
    assert pinned_keys(path, "nano") == (OTHER,)
    assert pinned_keys(path, "pi") == ()
    assert path.read_text().startswith("# Host keys of devices")


def test_pinning_again_replaces_and_leaves_the_rest(tmp_path):
    path = tmp_path / "known_hosts"
    path.write_text(f"# ours\n\npi4 {ED25519.type} {ED25519.base64} from the desk\nnano {ED25519.type} {ED25519.base64}\n")
    pin_key(path, "pi4", OTHER)
    assert pinned_keys(path, "pi4") == (OTHER,)
    assert pinned_keys(path, "nano") == (ED25519,)
    assert path.read_text().startswith("# ours\n\nnano ")


@pytest.mark.parametrize(
    "line",
    [
        "pi4",
        "pi4 ssh-ed25519",
        "pi4 ssh-ed25519 not-base64!",
        f"pi4 ssh-rsa {ED25519.base64}",
        "pi4 ssh-ed25519 AAAA",
        "pi4 ssh-ed25519 äöü",
    ],
)
def test_a_malformed_line_is_told_by_its_number(tmp_path, line):
    path = tmp_path / "known_hosts"
    path.write_text(f"# ours\n{line}\n")
    with pytest.raises(ConfigError, match=r"known_hosts: line 2 is not 'name type key'"):
        pinned_keys(path, "nano")
    with pytest.raises(ConfigError):
        pin_key(path, "nano", ED25519)
    assert path.read_text() == f"# ours\n{line}\n"
