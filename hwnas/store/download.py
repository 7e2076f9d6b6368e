"""A file from the web, for whoever knows its SHA-256: bounded in size and time, and kept only where the hash is right."""

from __future__ import annotations

import hashlib
import http.client
import os
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from hwnas.core.errors import CheckpointError
from hwnas.core.serial import sha256_file

SCHEMES = ("http", "https")
MAX_BYTES = 4_000_000_000
SILENCE_S = 60.0
WHOLE_S = 3600.0
"""How long a server may say nothing, and how long all of it may take."""
_CHUNK = 1 << 20


def downloaded(
    url: str, to: Path, *, sha256: str, max_bytes: int = MAX_BYTES, silence_s: float = SILENCE_S, whole_s: float = WHOLE_S
) -> Path:
    """The file behind ``url`` as ``to``; one that is there with that hash is not fetched again.

    Another scheme than http and https, here or after a redirect, no answer, more than ``max_bytes``, too slow, or another hash raise
    `CheckpointError`, and nothing is kept.
    """
    if to.is_file() and sha256_file(to) == sha256:
        return to
    to.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=to.parent, prefix=f".{to.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            found = _fetch(url, file, max_bytes=max_bytes, silence_s=silence_s, until=time.monotonic() + whole_s)
        if found != sha256:
            raise CheckpointError(f"{url}: has the SHA-256 {found}, not {sha256}; nothing was kept")
        Path(name).chmod(0o644)
        Path(name).replace(to)
    except OSError as problem:
        raise CheckpointError(f"{url}: cannot be fetched: {getattr(problem, 'reason', None) or problem.strerror or problem}") from None
    finally:
        Path(name).unlink(missing_ok=True)
    return to


def _fetch(url: str, file: IO[bytes], *, max_bytes: int, silence_s: float, until: float) -> str:
    """Write what is behind ``url`` to ``file``; its SHA-256 in hexadecimal."""
    if urlsplit(url).scheme not in SCHEMES:
        raise CheckpointError(f"{url}: only http and https are fetched; give a file's path for one that is here")
    opener = urllib.request.OpenerDirector()  # without the handlers of file:, ftp: and data:
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPRedirectHandler,
        urllib.request.HTTPErrorProcessor,
        urllib.request.UnknownHandler,
    ):
        opener.add_handler(handler())
    digest, size = hashlib.sha256(), 0
    try:
        with opener.open(urllib.request.Request(url, headers={"User-Agent": "hwnas"}), timeout=silence_s) as answer:  # noqa: S310 (checked)
            while chunk := answer.read(_CHUNK):
                size += len(chunk)
                if size > max_bytes:
                    raise CheckpointError(f"{url}: is larger than {max_bytes} bytes; nothing was kept")
                if time.monotonic() > until:
                    raise CheckpointError(f"{url}: is too slow: {size} bytes so far; nothing was kept")
                digest.update(chunk)
                file.write(chunk)
    except urllib.error.HTTPError as problem:
        problem.close()
        raise CheckpointError(f"{url}: the server answers {problem.code} {' '.join(str(problem.reason).split())}") from None
    except (http.client.HTTPException, ValueError) as problem:
        raise CheckpointError(f"{url}: no proper answer: {type(problem).__name__}") from None
    return digest.hexdigest()
