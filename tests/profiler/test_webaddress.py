"""Where a page may be served, and where it is refused with the reason."""

import pytest

from hwnas.core.device import Device
from hwnas.core.errors import ConfigError
from hwnas.profiler.browser import browser_launcher
from hwnas.profiler.channel import LAUNCHERS
from hwnas.profiler.webaddress import parse_address


def parse(text):
    return parse_address(text, where="devices/phone.toml")


def test_loopback_is_the_default_and_is_called_by_both_of_its_names():
    address = parse("")
    assert (address.scheme, address.host, address.port) == ("http", "127.0.0.1", 8744)
    assert address.hosts(8744) == {"127.0.0.1:8744", "localhost:8744"}
    assert parse("http://localhost:80").hosts(80) == {"127.0.0.1:80", "localhost:80", "127.0.0.1", "localhost"}
    assert address.context() is None


@pytest.mark.parametrize("host", ["192.168.1.5", "10.0.0.1", "my-machine", "my-machine.local", "127.0.0.1.example.org"])
def test_plain_http_from_another_machine_is_refused_with_the_reason_and_the_ways_out(host):
    with pytest.raises(
        ConfigError, match=rf"devices/phone\.toml: a page from http://{host} .*100 us, one thread.*https.*adb reverse tcp:9000"
    ):
        parse(f"http://{host}:9000")


def test_a_descriptor_is_refused_in_the_same_way():
    assert LAUNCHERS.get("browser") is browser_launcher
    with pytest.raises(ConfigError, match=r"devices/phone\.toml: a page from http://192\.168\.1\.5"):
        browser_launcher(Device("phone", "browser", "http://192.168.1.5:8744"))


def test_https_takes_the_certificate_and_only_names_itself(tmp_path):
    address = parse(f"https://192.168.1.5:8443?cert={tmp_path}/c.pem&key={tmp_path}/k.pem")
    assert address.hosts(8443) == {"192.168.1.5:8443"}
    assert address.cert == tmp_path / "c.pem"
    with pytest.raises(ConfigError, match=r"c\.pem and key .* cannot be used: No such file"):
        address.context()
    (tmp_path / "c.pem").write_text("nonsense")
    (tmp_path / "k.pem").write_text("nonsense")
    with pytest.raises(ConfigError, match="cannot be used"):
        address.context()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("https://192.168.1.5:8443", "https needs the certificate"),
        ("https://192.168.1.5:8443?cert=a", "https needs the certificate"),
        ("https://192.168.1.5:8443?cert=a&key=b&key=c", "https needs the certificate"),
        ("http://127.0.0.1:8744?cert=a", "http takes no options"),
        ("http://0.0.0.0:8744", "the one name or IPv4 address"),
        ("http://[::1]:8744", "the one name or IPv4 address"),
        ("http://127.0.0.1:99999", "no sensible port"),
        ("ftp://127.0.0.1", "not of the form"),
        ("127.0.0.1:8744", "not of the form"),
        ("http://127.0.0.1:8744/path", "not of the form"),
        ("http://user@127.0.0.1:8744", "not of the form"),
    ],
)
def test_what_is_no_address_is_said(text, words):
    with pytest.raises(ConfigError, match=words):
        parse(text)
