"""Who vouches for a manifest: an Ed25519 signature (RFC 8032) of its bytes, beside it as ``manifest.json.sig``, 64 bytes as they are.

Keys are PEM files as ``openssl genpkey -algorithm ed25519`` and ``openssl pkey -pubout`` write them, and openssl can check the signature
too (``pkeyutl -verify -rawin``). Nothing that is in a private key is ever shown, logged or put into an error.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from hwnas.core.errors import ConfigError, VerificationError
from hwnas.core.serial import write_atomic
from hwnas.export.exporter import require

SUFFIX = ".sig"
_MOST_BYTES = 16_384
_OTHERS = 0o077


def signature_path(manifest: Path) -> Path:
    """Where the signature of ``manifest`` lies: beside it."""
    return manifest.with_name(manifest.name + SUFFIX)


def sign(manifest: Path, private_key: Path) -> str:
    """Sign the bytes of ``manifest`` with the key in the file ``private_key``; returns the fingerprint of its public half.

    A key that others may read, that has a passphrase, or that is none of Ed25519 raises `ConfigError`.
    """
    key = _private(private_key)
    write_atomic(signature_path(manifest), key.sign(manifest.read_bytes()))
    return _fingerprint(key.public_key())


def check_signature(manifest: Path, public_key: Path) -> str:
    """The fingerprint of ``public_key`` where the signature beside ``manifest`` is of its bytes by that key; else `VerificationError`."""
    key = _public(public_key)
    try:
        signature = signature_path(manifest).read_bytes()
    except OSError:
        raise VerificationError(f"{manifest}: is not signed ({signature_path(manifest).name} is missing)") from None
    try:
        key.verify(signature, manifest.read_bytes())
    except require("cryptography.exceptions", extra="sign").InvalidSignature:
        raise VerificationError(
            f"{manifest}: its signature is not of these bytes by the key {_fingerprint(key)} of {public_key}; do not use these files"
        ) from None
    return _fingerprint(key)


def _private(path: Path) -> Any:
    data = _read(path, "private")
    if path.stat().st_mode & _OTHERS:
        raise ConfigError(f"{path}: the private key may be read by others; run 'chmod 600' on it")
    tools = require("cryptography.hazmat.primitives.serialization", extra="sign")
    try:
        key = tools.load_pem_private_key(data, password=None)
    except TypeError:
        raise ConfigError(f"{path}: the private key has a passphrase, which cannot be asked for here; give one without") from None
    except Exception:  # noqa: BLE001 (whatever the library says might quote the file)
        raise ConfigError(f"{path}: not a private key in PEM; 'openssl genpkey -algorithm ed25519' makes one") from None
    if not isinstance(key, _kinds().Ed25519PrivateKey):
        raise ConfigError(f"{path}: not a key of Ed25519; 'openssl genpkey -algorithm ed25519' makes one")
    return key


def _public(path: Path) -> Any:
    data = _read(path, "public")
    tools = require("cryptography.hazmat.primitives.serialization", extra="sign")
    hint = "'openssl pkey -in KEY -pubout' gives one"
    if b"PRIVATE" in data:
        raise ConfigError(f"{path}: is a private key; give the public one here: {hint}")
    try:
        key = tools.load_pem_public_key(data)
    except Exception:  # noqa: BLE001 (of many types)
        raise ConfigError(f"{path}: not a public key in PEM; {hint}") from None
    if not isinstance(key, _kinds().Ed25519PublicKey):
        raise ConfigError(f"{path}: not a key of Ed25519; {hint}")
    return key


def _kinds() -> Any:
    return require("cryptography.hazmat.primitives.asymmetric.ed25519", extra="sign")


def _read(path: Path, kind: str) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_MOST_BYTES)
    except OSError as problem:
        raise ConfigError(f"{path}: the {kind} key cannot be read ({problem.strerror})") from None


def _fingerprint(public: Any) -> str:
    """SHA-256 of the 32 bytes of the public key, its first 16 digits."""
    return hashlib.sha256(public.public_bytes_raw()).hexdigest()[:16]
