"""The files of onnxruntime-web that a page measures with: fetched once, on request, from npm into a cache folder; never by themselves.

The version and its hash are pinned here and nowhere else: what a page runs is what was tested.
"""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path

from hwnas.core.errors import ConfigError, DeviceError
from hwnas.core.serial import canonical_json, read_json, sha256_file, write_atomic

PACKAGE = "onnxruntime-web"
VERSION = "1.30.0"
INTEGRITY = "sha512-q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
"""What the registry says of the package's archive, as in a lock file of npm."""
FILES = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
"""The runtime on the CPU, 14 MB."""
WEBGPU_FILES = ("ort.webgpu.min.mjs", "ort-wasm-simd-threaded.asyncify.mjs", "ort-wasm-simd-threaded.asyncify.wasm")
"""The runtime on WebGPU, 27 MB."""
LISTING = "files.json"
MAX_FILE_BYTES = 64 * 1024 * 1024
NPM_TIMEOUT_S = 600.0


def cache_folder() -> Path:
    """Where the files of this version are kept: below ``$XDG_CACHE_HOME``, or ``~/.cache``."""
    base = os.environ.get("XDG_CACHE_HOME") or ""
    return (Path(base) if Path(base).is_absolute() else Path.home() / ".cache") / "hwnas" / f"{PACKAGE}-{VERSION}"


def web_files(folder: Path | None = None) -> Mapping[str, Path]:
    """The files by name; where they were not fetched, or were changed since, a `DeviceError` that says what to run."""
    folder = cache_folder() if folder is None else folder
    listing = folder / LISTING
    if not listing.is_file():
        raise DeviceError(f"{PACKAGE} {VERSION} is not here yet; run 'hwnas agent fetch-web' to fetch it from npm")
    said = read_json(listing, error=DeviceError)
    if not isinstance(said, dict):
        raise DeviceError(f"{listing}: not as it was written; run 'hwnas agent fetch-web' again")
    files = {name: folder / name for name in (*FILES, *WEBGPU_FILES) if name in said}
    for name, path in files.items():
        if not path.is_file() or sha256_file(path) != said[name]:
            raise DeviceError(f"{path}: not as it was fetched; run 'hwnas agent fetch-web' again")
    if not set(FILES) <= set(files):
        raise DeviceError(f"{listing}: incomplete; run 'hwnas agent fetch-web' again")
    return files


def fetch_web(folder: Path | None = None, *, npm: str = "npm", webgpu: bool = False) -> Mapping[str, Path]:
    """Fetch the package with the npm client, check its SHA-512, and keep the files that are needed; the files by name.

    No npm, no network and another hash than the pinned one raise `ConfigError`.
    """
    folder = cache_folder() if folder is None else folder
    program = shutil.which(npm)
    if program is None:
        raise ConfigError(f"{npm}: not found; install npm (it comes with Node.js), then run 'hwnas agent fetch-web' again")
    wanted = (*FILES, *WEBGPU_FILES) if webgpu else FILES
    with tempfile.TemporaryDirectory(prefix="hwnas-web-") as name:
        archive = _packed(program, Path(name))
        _check_integrity(archive)
        folder.mkdir(parents=True, exist_ok=True)
        _unpack(archive, wanted, folder)
    hashes = {file: sha256_file(folder / file) for file in (*FILES, *WEBGPU_FILES) if (folder / file).is_file()}
    write_atomic(folder / LISTING, canonical_json(hashes) + "\n")
    return web_files(folder)


def _packed(program: str, to: Path) -> Path:
    command = [program, "pack", "--silent", "--ignore-scripts", f"{PACKAGE}@{VERSION}", "--pack-destination", str(to)]
    try:
        done = subprocess.run(
            command, cwd=to, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False, timeout=NPM_TIMEOUT_S
        )
    except subprocess.TimeoutExpired:
        raise ConfigError(f"npm did not fetch {PACKAGE} within {NPM_TIMEOUT_S:.0f} s; look at the network, then try again") from None
    found = sorted(to.glob("*.tgz"))
    if done.returncode != 0 or len(found) != 1:
        words = " ".join(done.stderr.split())[-300:] or f"exit code {done.returncode}"
        raise ConfigError(f"npm cannot fetch {PACKAGE}@{VERSION}: {words}")
    return found[0]


def _check_integrity(archive: Path) -> None:
    with archive.open("rb") as file:
        digest = hashlib.file_digest(file, "sha512").digest()
    found = "sha512-" + base64.b64encode(digest).decode()
    if found != INTEGRITY:
        raise ConfigError(f"{PACKAGE}@{VERSION} from npm has the hash {found[:23]}…, not the pinned one; nothing was kept")


def _unpack(archive: Path, wanted: tuple[str, ...], folder: Path) -> None:
    """Only members of known names are read, and their bytes written under these names: an archive decides about no path."""
    with tarfile.open(archive, "r:gz") as tar:
        for name in wanted:
            try:
                member = tar.getmember(f"package/dist/{name}")
            except KeyError:
                raise ConfigError(f"{PACKAGE}@{VERSION} has no {name}; nothing to serve a page with") from None
            file = tar.extractfile(member) if member.isreg() and member.size <= MAX_FILE_BYTES else None
            if file is None:
                raise ConfigError(f"{PACKAGE}@{VERSION}: {name} is no file of a sensible size")
            with file:
                write_atomic(folder / name, file.read())
