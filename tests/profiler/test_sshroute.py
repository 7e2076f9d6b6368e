"""The way to a device: addresses, ~/.ssh/config, jump hosts."""

import getpass
import sys
from pathlib import Path

import pytest

from hwnas.core.access import SshOptions
from hwnas.core.device import Device
from hwnas.core.errors import ConfigError, UsageError
from hwnas.profiler.sshroute import route

pytest.importorskip("paramiko")


@pytest.fixture
def config(tmp_path, monkeypatch):
    """Writes ``~/.ssh/config``."""
    monkeypatch.setenv("HOME", str(tmp_path))

    def write(text):
        (tmp_path / ".ssh").mkdir(exist_ok=True)
        (tmp_path / ".ssh" / "config").write_text(text)

    return write


def way(address, **options):
    return route(Device("pi4", "ssh", address, ssh=SshOptions(**options)))


def told(hop):
    return f"{hop.user}@{hop.host}:{hop.port}"


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("pi@10.0.0.7", "pi@10.0.0.7:22"),
        ("pi@board.local:2222", "pi@board.local:2222"),
        ("ssh://pi@board:2222", "pi@board:2222"),
        ("pi@[fe80::1]:2222", "pi@fe80::1:2222"),
        ("board", f"{getpass.getuser()}@board:22"),
    ],
)
def test_an_address_is_read(config, address, expected):
    (hop,) = way(address)
    assert told(hop) == expected
    assert (hop.name, hop.keys, hop.agent) == ("pi4", (), False)


@pytest.mark.parametrize(
    "address",
    ["pi@", "@board", "pi@board:0", "pi@board:65536", "pi@board:x", "a b", "-oProxyCommand=x", "pi@-x", "fe80::1", "board/x", "b\n"],
)
def test_what_is_no_address_is_refused(config, address):
    with pytest.raises(ConfigError, match=r"pi4: .* is no address; write user@host:port"):
        way(address)


def test_a_device_without_an_address_is_told(config):
    with pytest.raises(ConfigError, match="pi4: a device over ssh needs its address"):
        way("")


def test_an_alias_is_what_the_configuration_says(config, tmp_path):
    config("Host pi\n HostName 10.0.0.7\n User me\n Port 2200\n IdentityFile ~/.ssh/id_pi\nHost *\n IdentityFile ~/.ssh/id_all\n")
    (hop,) = way("pi")
    assert told(hop) == "me@10.0.0.7:2200"
    assert hop.keys == (tmp_path / ".ssh" / "id_pi", tmp_path / ".ssh" / "id_all")


def test_the_descriptor_goes_before_the_configuration(config):
    config("Host pi\n HostName 10.0.0.7\n User me\n Port 2200\n IdentityFile ~/.ssh/id_pi\n ProxyJump gate\n")
    (hop,) = way("you@pi:22", key="/keys/mine", jump="none", agent=True)
    assert told(hop) == "you@10.0.0.7:22"
    assert hop.keys == (Path("/keys/mine"),)
    assert hop.agent


def test_jump_hosts_come_in_order_each_with_its_own_configuration(config):
    config("Host pi\n ProxyJump first,me@second:23\nHost first\n HostName 10.1.1.1\n ProxyJump outer\n IdentityFile /keys/first\n")
    hops = way("me@pi", key="/keys/mine")
    assert [hop.host for hop in hops] == ["outer", "10.1.1.1", "second", "pi"]
    assert told(hops[2]) == "me@second:23"
    assert [hop.name for hop in hops] == ["outer:22", "10.1.1.1:22", "second:23", "pi4"]
    assert hops[1].keys == (Path("/keys/first"),)
    assert hops[2].keys == (Path("/keys/mine"),)
    assert hops[3].label == "pi4 (me@pi:22)"
    assert hops[2].label == "me@second:23"


def test_jumps_that_go_in_a_circle_end(config):
    config("Host pi\n ProxyJump a\nHost a\n ProxyJump b\nHost b\n ProxyJump a\n")
    with pytest.raises(ConfigError, match="more than 8 jump hosts"):
        way("pi")


def test_a_proxy_command_is_refused_rather_than_overlooked(config):
    config("Host pi\n ProxyCommand nc %h %p\n")
    with pytest.raises(ConfigError, match=r"ProxyCommand in ~/\.ssh/config is not supported"):
        way("pi")


def test_a_wrong_port_in_the_configuration_is_told(config):
    config("Host pi\n Port ssh\n")
    with pytest.raises(ConfigError, match=r"Port in ~/\.ssh/config is not a number: ssh"):
        way("pi")


def test_a_configuration_that_cannot_be_read_is_told(config):
    config("Match wrong\n")
    with pytest.raises(ConfigError, match="config: not readable"):
        way("pi")


def test_without_paramiko_the_extra_is_named(config, monkeypatch):
    monkeypatch.setitem(sys.modules, "paramiko", None)
    with pytest.raises(UsageError, match=r"need paramiko; pip install 'hwnas\[ssh\]'"):
        way("pi")
