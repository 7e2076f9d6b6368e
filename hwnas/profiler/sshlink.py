"""A connection to a device over ssh: host keys checked against pinned ones, one login a hop, and nothing waited for without end."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from hwnas_agent.wire import printable

from hwnas.core.errors import DeviceError, DeviceLost, HostKeyMismatch, Unreachable
from hwnas.profiler.hostkeys import HostKey, pinned_keys
from hwnas.profiler.sshlib import paramiko
from hwnas.profiler.sshlogin import log_in, reason
from hwnas.profiler.sshroute import Hop
from hwnas.profiler.watch import Watch

CONNECT_S = 10.0
"""Patience with a connection, a greeting, a login, and a new channel, each."""
BROKEN_S = 15.0
"""A link on which nothing is acknowledged for so long is given up."""
KEEPALIVE_S = 1

CheckKey = Callable[[Hop, HostKey], None]


class Link:
    """An authenticated connection, over as many hops as it takes."""

    def __init__(self, transports: Sequence[Any], hop: Hop) -> None:
        self._transports = tuple(transports)
        self.hop = hop
        self._watch = Watch(self._drop)

    @property
    def transport(self) -> Any:
        """The `paramiko.Transport` to the device itself."""
        return self._transports[-1]

    @property
    def alive(self) -> bool:
        """Whether the connection still stands, as far as this side knows."""
        return all(transport.is_active() for transport in self._transports)

    def fault(self) -> str:
        """Why the connection broke off; empty while it stands."""
        faults = [transport.saved_exception for transport in self._transports if transport.saved_exception is not None]
        if self.alive and not faults:
            return ""
        words = [words for fault in faults if (words := getattr(fault, "strerror", None) or str(fault))]
        return "the connection broke off" + (f" ({printable(words[0])})" if words else "")

    @contextlib.contextmanager
    def attended(self, doing: str, *, patience_s: float | None = None, hint: str = "") -> Iterator[Callable[[], None]]:
        """Inside, calls that wait for the device end: after ``patience_s`` without a call of what this yields, the link is closed.

        paramiko waits for some answers without a limit of its own. What it raises inside becomes, with ``doing``, `DeviceLost` where the
        connection is to blame, and `DeviceError` with ``hint`` where the device refuses.
        """
        library = paramiko()
        patience_s = CONNECT_S if patience_s is None else patience_s
        try:
            with self._watch.armed(patience_s) as touch:
                yield touch
        except (library.SSHException, library.SFTPError, EOFError, OSError) as problem:
            about = f"{self.hop.label}: {printable(doing)}: "  # a path of the device may be in it
            if self._watch.barked or isinstance(problem, TimeoutError):
                raise DeviceLost(f"{about}the device answered nothing for {patience_s:g} s") from None
            if not self.alive or isinstance(problem, (library.SSHException, library.SFTPError, EOFError, ConnectionError)):
                raise DeviceLost(about + (self.fault() or reason(problem))) from None
            raise DeviceError(about + reason(problem) + hint) from None

    def close(self) -> None:
        """Close every hop; never raises."""
        self._watch.end()
        self._drop()

    def _drop(self) -> None:
        for transport in reversed(self._transports):
            with contextlib.suppress(OSError, EOFError, paramiko().SSHException):
                transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def pinned_in(path: Path) -> CheckKey:
    """A check that lets through only what the file ``path`` pins; anything else is a `HostKeyMismatch`."""

    def check(hop: Hop, key: HostKey) -> None:
        pinned = pinned_keys(path, hop.name)
        if not pinned:
            raise HostKeyMismatch(f"{hop.label}: its host key {key} is not trusted yet; compare it with the device's own, then trust it")
        if key not in pinned:
            raise HostKeyMismatch(
                f"{hop.label}: the host key is {key}, but {' or '.join(map(str, pinned))} is pinned; "
                "another machine may be answering; if it is the device, set up anew, trust it"
            )

    return check


def connect(hops: Sequence[Hop], check: CheckKey, *, known_hosts: Path) -> Link:
    """Connect and log in, hop by hop. Raises `Unreachable`, `HostKeyMismatch` and `AuthFailed`.

    ``check`` is asked about each host key before anything is sent to its host; ``known_hosts`` only says which types of key to ask for.
    """
    with _way(hops[:-1], check, known_hosts) as transports:
        transports.append(_greet(hops[-1], transports, known_hosts))
        check(hops[-1], key_of(transports[-1]))
        log_in(transports[-1], hops[-1])
        transports[-1].set_keepalive(KEEPALIVE_S)
        return Link(transports, hops[-1])


def offered_key(hops: Sequence[Hop], check: CheckKey, *, known_hosts: Path) -> HostKey:
    """The host key that the last of ``hops`` shows; nobody logs in there. Raises as `connect` does."""
    with _way(hops[:-1], check, known_hosts) as transports:
        transports.append(_greet(hops[-1], transports, known_hosts))
        try:
            return key_of(transports[-1])
        finally:
            Link(transports, hops[-1]).close()


def key_of(transport: Any) -> HostKey:
    """The host key of a connection whose keys are exchanged."""
    key = transport.get_remote_server_key()
    return HostKey(key.get_name(), key.get_base64())


@contextlib.contextmanager
def _way(hops: Sequence[Hop], check: CheckKey, known_hosts: Path) -> Iterator[list[Any]]:
    """Transports through all of ``hops``; closed if anything goes wrong while they are there."""
    transports: list[Any] = []
    try:
        for hop in hops:
            transports.append(_greet(hop, transports, known_hosts))
            check(hop, key_of(transports[-1]))
            log_in(transports[-1], hop)
            transports[-1].set_keepalive(KEEPALIVE_S)
        yield transports
    except BaseException:
        for transport in reversed(transports):
            transport.close()
        raise


def _greet(hop: Hop, before: Sequence[Any], known_hosts: Path) -> Any:
    """A transport whose keys are exchanged, over a socket of its own or through the hop before."""
    library = paramiko()
    under = _tunnel(before[-1], hop) if before else _socket(hop)
    transport = library.Transport(under)
    transport.banner_timeout = transport.handshake_timeout = transport.auth_timeout = transport.channel_timeout = CONNECT_S
    _prefer(transport, pinned_keys(known_hosts, hop.name))
    deadline = time.monotonic() + CONNECT_S
    try:
        transport.start_client(timeout=CONNECT_S)
        transport.get_remote_server_key()
    except (library.SSHException, EOFError, OSError) as problem:
        transport.close()
        waited = time.monotonic() >= deadline or "banner" in str(problem)
        why = f"nothing there speaks ssh within {CONNECT_S:g} s" if waited else f"no ssh connection: {reason(problem)}"
        raise Unreachable(f"{hop.label}: {why}; is this the port of the ssh server?") from None
    return transport


def _prefer(transport: Any, pinned: Sequence[HostKey]) -> None:
    """Ask for a key of a pinned type first: a host has several, and any other one would look like a changed key."""
    signatures = {"ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256")}
    wanted = [name for key in pinned for name in signatures.get(key.type, (key.type,))]
    options = transport.get_security_options()
    offered = tuple(options.key_types)
    first = tuple(name for name in dict.fromkeys(wanted) if name in offered)
    options.key_types = first + tuple(name for name in offered if name not in first)


def _socket(hop: Hop) -> socket.socket:
    try:
        made = socket.create_connection((hop.host, hop.port), timeout=CONNECT_S)
    except TimeoutError:
        raise Unreachable(f"{hop.label}: no answer within {CONNECT_S:g} s; is it switched on, and in this network?") from None
    except socket.gaierror as problem:
        raise Unreachable(f"{hop.label}: the name is not known: {problem.strerror}; is the address right?") from None
    except (OSError, UnicodeError) as problem:
        raise Unreachable(f"{hop.label}: {reason(problem)}; is it switched on, and does its ssh server run?") from None
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(1000 * BROKEN_S))
    return made


def _tunnel(transport: Any, hop: Hop) -> Any:
    try:
        return transport.open_channel("direct-tcpip", (hop.host, hop.port), ("127.0.0.1", 0), timeout=CONNECT_S)
    except (paramiko().SSHException, EOFError, OSError) as problem:
        raise Unreachable(f"{hop.label}: the jump host does not get through to it: {reason(problem)}") from None
