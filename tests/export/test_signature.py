"""Who signed a manifest, and what is no signature of it; nothing of a private key is ever told."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from hwnas.core.errors import ConfigError, HwnasError, VerificationError
from hwnas.export.signature import check_signature, sign, signature_path

PEM = serialization.Encoding.PEM


def write_key(path: Path, key: ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey, *, password: bytes = b"") -> Path:
    """Write a private key, and its public half beside it as ``.pub``; returns the path of the private one."""
    locked = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    path.write_bytes(key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, locked))
    path.chmod(0o600)
    public = key.public_key().public_bytes(PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    path.with_suffix(".pub").write_bytes(public)
    return path


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    path = tmp_path / "manifest.json"
    path.write_text('{"name": "a"}\n')
    return path


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return write_key(tmp_path / "key.pem", ed25519.Ed25519PrivateKey.generate())


def test_signed_by_one_key_and_no_other(manifest: Path, key: Path, tmp_path: Path) -> None:
    fingerprint = sign(manifest, key)
    assert signature_path(manifest).name == "manifest.json.sig"
    assert len(signature_path(manifest).read_bytes()) == 64
    assert check_signature(manifest, key.with_suffix(".pub")) == fingerprint
    first = signature_path(manifest).read_bytes()
    assert (sign(manifest, key), signature_path(manifest).read_bytes()) == (fingerprint, first), "the same bytes again"
    other = write_key(tmp_path / "other.pem", ed25519.Ed25519PrivateKey.generate())
    with pytest.raises(VerificationError, match=r"its signature is not of these bytes by the key [0-9a-f]{16} of .*other\.pub"):
        check_signature(manifest, other.with_suffix(".pub"))


def test_no_changed_byte_of_manifest_or_signature_passes(manifest: Path, key: Path) -> None:
    sign(manifest, key)
    for path in (manifest, signature_path(manifest)):
        whole = path.read_bytes()
        changes = [whole[:i] + bytes([whole[i] ^ 1]) + whole[i + 1 :] for i in range(len(whole))]
        for changed in (*changes, whole[:-1], whole + b"\n", b""):
            path.write_bytes(changed)
            with pytest.raises(VerificationError):
                check_signature(manifest, key.with_suffix(".pub"))
        path.write_bytes(whole)
    signature_path(manifest).unlink()
    with pytest.raises(VerificationError, match=r"is not signed \(manifest\.json\.sig is missing\)"):
        check_signature(manifest, key.with_suffix(".pub"))


def test_openssl_agrees(manifest: Path, tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    private, public = tmp_path / "k.pem", tmp_path / "k.pub"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", private], check=True, capture_output=True)
    subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-out", public], check=True, capture_output=True)
    private.chmod(0o600)
    assert sign(manifest, private) == check_signature(manifest, public)
    check = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", public, "-rawin", "-in", manifest, "-sigfile", signature_path(manifest)]
    assert subprocess.run(check, capture_output=True).returncode == 0


def test_keys_that_are_none(manifest: Path, key: Path, tmp_path: Path) -> None:
    """What is told never holds a line of the file."""
    foreign = write_key(tmp_path / "rsa.pem", rsa.generate_private_key(65537, 2048))
    locked = write_key(tmp_path / "locked.pem", ed25519.Ed25519PrivateKey.generate(), password=b"secret")
    torn = tmp_path / "torn.pem"
    torn.write_bytes(key.read_bytes()[:60])
    torn.chmod(0o600)
    for path, message in (
        (foreign, "not a key of Ed25519"),
        (locked, "has a passphrase"),
        (torn, "not a private key in PEM"),
        (tmp_path / "none.pem", "the private key cannot be read"),
        (key.with_suffix(".pub"), "may be read by others"),
    ):
        _refused(lambda path=path: sign(manifest, path), path, message)  # type: ignore[misc]
    key.chmod(0o640)
    _refused(lambda: sign(manifest, key), key, "may be read by others; run 'chmod 600'")
    assert not signature_path(manifest).exists()
    for path, message in (
        (key, "is a private key; give the public one"),
        (torn, "is a private key"),
        (foreign.with_suffix(".pub"), "not a key of Ed25519"),
        (manifest, "not a public key in PEM"),
        (tmp_path, "the public key cannot be read"),
    ):
        _refused(lambda path=path: check_signature(manifest, path), path, message)  # type: ignore[misc]


def _refused(act: object, path: Path, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as problem:
        act()  # type: ignore[operator]
    lines = path.read_text().splitlines() if path.is_file() else []
    assert not any(line in _said(problem.value) for line in lines if line)


def _said(problem: HwnasError) -> str:
    return f"{problem!r} {problem.__cause__!r}"
