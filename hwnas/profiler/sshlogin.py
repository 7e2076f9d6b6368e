"""Logging in over ssh with keys: files, and what the user's agent holds where it may be asked. Never a password."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hwnas_agent.wire import printable

from hwnas.core.errors import AuthFailed, Unreachable
from hwnas.profiler.sshlib import key_errors, paramiko
from hwnas.profiler.sshroute import Hop


def log_in(transport: Any, hop: Hop) -> None:
    """Try the keys of ``hop`` in order until one is accepted; `AuthFailed` if none is, `Unreachable` if the connection ends."""
    library = paramiko()
    refused: list[str] = []
    unusable: list[str] = []
    for label, key in _keys(hop, unusable):
        try:
            if not transport.auth_publickey(hop.user, key):
                return
            raise AuthFailed(f"{hop.label}: the key is not enough there, a second factor is asked for; let a key alone suffice")
        except library.BadAuthenticationType:
            raise AuthFailed(f"{hop.label}: the device takes no keys; allow PubkeyAuthentication in its sshd_config") from None
        except (library.SSHException, EOFError, OSError) as problem:
            if not isinstance(problem, library.AuthenticationException) or not transport.is_active() or "timeout" in str(problem).lower():
                if refused:
                    raise AuthFailed(f"{hop.label}: it hung up after {len(refused) + 1} keys; name the right one as key in [ssh]") from None
                raise Unreachable(f"{hop.label}: the connection ended during login: {reason(problem)}") from None
            refused.append(label)
    if refused:
        tried = ", ".join(refused)
        raise AuthFailed(
            f"{hop.label}: none of the keys is accepted for '{hop.user}' ({tried}); is the user right, is a key in authorized_keys?"
        )
    if unusable:
        raise AuthFailed(f"{hop.label}: {unusable[0]}")
    agent = "your ssh agent holds none; ssh-add one" if hop.agent else "or agent = true"
    raise AuthFailed(f"{hop.label}: there is no key to log in with; give key in [ssh], IdentityFile in ~/.ssh/config, {agent}")


def _keys(hop: Hop, unusable: list[str]) -> Iterator[tuple[str, Any]]:
    """Keys to try, each with a label. Why a file gives none goes to ``unusable``: another one may do."""
    library = paramiko()
    for path in hop.keys:
        try:
            yield path.name, library.PKey.from_path(path)
        except FileNotFoundError:
            unusable.append(f"the key {path} is not there")
        except (library.PasswordRequiredException, TypeError):
            unusable.append(f"the key {path} has a passphrase; add it to your ssh agent and set agent = true")
        except key_errors() as problem:
            unusable.append(f"the key {path} cannot be read: {reason(problem)}")
    if hop.agent:
        agent = library.Agent()
        try:
            yield from (("a key of the agent", key) for key in agent.get_keys())
        finally:
            agent.close()


def reason(problem: BaseException) -> str:
    """What went wrong, in words that are fit for a line."""
    return printable(getattr(problem, "strerror", None) or str(problem) or type(problem).__name__)
