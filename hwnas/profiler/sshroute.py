"""The way to a device over ssh: its address, what ``~/.ssh/config`` knows of it, and the hosts to jump through.

Of the configuration ``HostName``, ``User``, ``Port``, ``IdentityFile`` and ``ProxyJump`` are used, under ``Host`` and ``Match``; what the
descriptor says goes before it. ``ProxyCommand`` is refused rather than overlooked; ``Include`` is not followed.
"""

from __future__ import annotations

import getpass
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwnas.core.access import SshOptions
from hwnas.core.device import Device
from hwnas.core.errors import ConfigError
from hwnas.profiler.sshlib import paramiko

PORT = 22
MAX_HOPS = 8
_ADDRESS = re.compile(
    r"(?:ssh://)?(?:(?P<user>[^@\s]+)@)?(?:\[(?P<v6>[0-9a-fA-F:.%\w]+)\]|(?P<host>[^@:\s\[\]/-][^@:\s\[\]/]*))(?::(?P<port>\d{1,5}))?"
)


@dataclass(frozen=True, slots=True)
class Hop:
    """One connection of the way. ``name`` is what its host key is pinned under; ``keys`` are files of private keys to try."""

    name: str
    user: str
    host: str
    port: int
    keys: tuple[Path, ...]
    agent: bool

    @property
    def label(self) -> str:
        """``name (user@host:port)``, for messages."""
        where = f"{self.user}@{self.host}:{self.port}"
        return where if self.name in where else f"{self.name} ({where})"


@dataclass(frozen=True, slots=True)
class _Address:
    user: str | None
    host: str
    port: int | None


def route(device: Device) -> tuple[Hop, ...]:
    """The hops to ``device``, the device itself last; a wrong address or configuration raises `ConfigError`."""
    options = device.ssh or SshOptions()
    if not device.address:
        raise ConfigError(f'{device.id}: a device over ssh needs its address, as in address = "pi@192.168.0.7"')
    config = _configuration()
    target = _address(device.address, device.id)
    known = config.lookup(target.host)
    jumps = _jumps(options.jump or known.get("proxyjump", ""), device.id, config)
    mine = (Path(options.key),) if options.key else ()
    hops = [_hop(None, jump, config.lookup(jump.host), options, mine, device.id) for jump in jumps]
    return (*hops, _hop(device.id, target, known, options, mine, device.id))


def _hop(name: str | None, address: _Address, known: Any, options: SshOptions, mine: tuple[Path, ...], device: str) -> Hop:
    if known.get("proxycommand", "none").lower() != "none":
        raise ConfigError(f"{device}: ProxyCommand in ~/.ssh/config is not supported; use ProxyJump there, or jump in [ssh]")
    try:
        port = address.port or int(known.get("port", PORT))
    except ValueError:
        raise ConfigError(f"{device}: Port in ~/.ssh/config is not a number: {known['port']}") from None
    host = known.get("hostname", address.host)
    configured = tuple(Path(file).expanduser() for file in known.get("identityfile", ()))
    # the descriptor's key is the device's; jump hosts have their own where the configuration says so
    keys = (mine or configured) if name else (configured or mine)
    user = address.user or known.get("user") or getpass.getuser()
    return Hop(name or f"{host}:{port}", user, host, port, keys, options.agent)


def _jumps(text: str, device: str, config: Any) -> list[_Address]:
    """Addresses to go through, in order. As with OpenSSH, the first of a list may itself lie behind another."""
    found: list[_Address] = []
    while text and text.lower() != "none":
        found = [_address(part.strip(), device) for part in text.split(",")] + found
        if len(found) >= MAX_HOPS:
            raise ConfigError(f"{device}: more than {MAX_HOPS} jump hosts; does ProxyJump in ~/.ssh/config go in a circle?")
        text = config.lookup(found[0].host).get("proxyjump", "")
    return found


def _address(text: str, device: str) -> _Address:
    match = _ADDRESS.fullmatch(text)
    port = int(match["port"]) if match and match["port"] else None
    if match is None or not text.isprintable() or (port is not None and not 0 < port < 65536):
        raise ConfigError(f"{device}: {text!r} is no address; write user@host:port, where user and port may be left out")
    return _Address(match["user"], match["host"] or match["v6"], port)


def _configuration() -> Any:
    library = paramiko()
    config = library.SSHConfig()
    path = Path.home() / ".ssh" / "config"
    try:
        with path.open(encoding="utf-8") as file:
            config.parse(file)
    except FileNotFoundError:
        pass
    except (OSError, UnicodeDecodeError, library.ConfigParseError) as problem:
        raise ConfigError(f"{path}: not readable: {problem}") from None
    return config
