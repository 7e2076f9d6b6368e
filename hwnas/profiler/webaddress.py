"""Where a page is served: the ``address`` of a device whose transport is ``browser``.

``http://127.0.0.1:8744`` unless given. A page gets the fine clock and threads only in a secure context, which is this machine itself
(also from a phone, by ``adb reverse tcp:8744 tcp:8744``) or https. Over plain http from another machine it would measure with a clock of
100 us on one thread: that is refused. For https the address names the certificate that the phone trusts, and its key:
``https://192.168.1.5:8744?cert=/path/cert.pem&key=/path/key.pem``.
"""

from __future__ import annotations

import ipaddress
import ssl
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from hwnas.core.errors import ConfigError

DEFAULT = "http://127.0.0.1:8744"


@dataclass(frozen=True, slots=True)
class WebAddress:
    """A parsed address; port 0 is any free one. ``cert`` and ``key`` are there with https, and only with it."""

    secure: bool
    host: str
    port: int
    cert: Path | None = None
    key: Path | None = None

    @property
    def scheme(self) -> str:
        """``http`` or ``https``."""
        return "https" if self.secure else "http"

    def hosts(self, port: int) -> frozenset[str]:
        """What a browser may name as the host of a server that listens on ``port``."""
        names = {self.host, *(("127.0.0.1", "localhost") if _loopback(self.host) else ())}
        usual = port == (443 if self.secure else 80)
        return frozenset(f"{name}:{port}" for name in names) | (frozenset(names) if usual else frozenset())

    def context(self) -> ssl.SSLContext | None:
        """For https, the certificate loaded; one that cannot be raises `ConfigError`."""
        if self.cert is None or self.key is None:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            context.load_cert_chain(self.cert, self.key, password=_no_password)
        except (OSError, ssl.SSLError) as problem:
            raise ConfigError(f"the certificate {self.cert} and key {self.key} cannot be used: {problem.strerror or problem}") from None
        return context


def parse_address(text: str, *, where: str) -> WebAddress:
    """``text`` of the descriptor ``where``, or the default when it is empty; what cannot be served raises `ConfigError`."""
    url = urlsplit(text or DEFAULT)
    try:
        port = 8744 if url.port is None else url.port
    except ValueError:
        raise ConfigError(f"{where}: '{text}' has no sensible port") from None
    if url.scheme not in ("http", "https") or not url.hostname or url.path not in ("", "/") or url.fragment or url.username:
        raise ConfigError(f"{where}: address '{text}' is not of the form http://127.0.0.1:8744 or https://HOST:PORT?cert=FILE&key=FILE")
    host = url.hostname
    if ":" in host or host in ("0.0.0.0", "*"):  # noqa: S104 - refused, not bound
        raise ConfigError(f"{where}: '{host}': give the one name or IPv4 address that the phone calls")
    options = parse_qs(url.query)
    if url.scheme == "http":
        return _plain(host, port, options, where=where)
    if set(options) != {"cert", "key"} or any(len(values) != 1 for values in options.values()):
        raise ConfigError(f"{where}: https needs the certificate and its key: https://{host}:{port}?cert=FILE&key=FILE")
    return WebAddress(True, host, port, Path(options["cert"][0]), Path(options["key"][0]))


def _plain(host: str, port: int, options: dict[str, list[str]], *, where: str) -> WebAddress:
    if not _loopback(host):
        raise ConfigError(
            f"{where}: a page from http://{host} is no secure context: the browser gives it a clock of 100 us, one thread and no WebGPU;"
            f" use https with a certificate that the phone trusts, or http://127.0.0.1:{port} with 'adb reverse tcp:{port} tcp:{port}'"
        )
    if options:
        raise ConfigError(f"{where}: http takes no options, and there is '{next(iter(options))}'")
    return WebAddress(False, host, port)


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _no_password() -> str:
    raise ConfigError("the key of the certificate has a password; give one without")
