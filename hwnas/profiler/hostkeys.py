"""Pinned host keys: a file in the form of OpenSSH's ``known_hosts``, with ids of devices in the place of host names.

A line is ``name type base64``; ``#`` begins a comment. The keys are public, and the file is kept with the descriptors
(``devices/known_hosts``), so that a changed key shows in review. A jump host is named ``host:port``, since several devices may share it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from pathlib import Path

from hwnas.core.errors import ConfigError
from hwnas.core.serial import write_atomic

_HEAD = "# Host keys of devices, pinned by 'hwnas devices trust'; public, to be kept with the descriptors.\n"


@dataclass(frozen=True, slots=True)
class HostKey:
    """A public key of a host: its type and its blob in base64."""

    type: str
    base64: str

    @property
    def fingerprint(self) -> str:
        """As OpenSSH shows it: ``SHA256:`` and the digest of the blob in base64 without padding."""
        digest = hashlib.sha256(base64.b64decode(self.base64)).digest()
        return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")

    def __str__(self) -> str:
        return f"{self.type} {self.fingerprint}"


def pinned_keys(path: Path, name: str) -> tuple[HostKey, ...]:
    """The keys that ``path`` pins for ``name``: none if there is no such file; a malformed line raises `ConfigError`."""
    return tuple(key for owner, key in _read(path) if owner == name)


def pin_key(path: Path, name: str, key: HostKey) -> None:
    """Make ``key`` the only one pinned for ``name``; other lines and comments stay."""
    _read(path)
    text = path.read_text(encoding="utf-8") if path.is_file() else _HEAD
    lines = [line for line in text.splitlines() if line.split()[:1] != [name]]
    write_atomic(path, "\n".join([*lines, f"{name} {key.type} {key.base64}"]) + "\n")


def _read(path: Path) -> list[tuple[str, HostKey]]:
    if not path.is_file():
        return []
    found = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as problem:
        raise ConfigError(f"{path}: not readable: {problem}") from None
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if len(words) < 3 or not _is_key(words[1], words[2]):
            raise ConfigError(f"{path}: line {number} is not 'name type key'; remove it and run 'hwnas devices trust' for its device")
        found.append((words[0], HostKey(words[1], words[2])))
    return found


def _is_key(kind: str, blob: str) -> bool:
    """Whether ``blob`` is base64 of a key that says itself that it is of this type."""
    try:
        raw = base64.b64decode(blob, validate=True)
    except (binascii.Error, ValueError):
        return False
    return raw[4 : 4 + int.from_bytes(raw[:4], "big")] == kind.encode()
