"""Pythons of this machine with runtimes of a test's choice, in environments that are made once and kept outside the repository."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

INSTALL_S = 600


class NotHere(Exception):
    """What a test needs cannot be had on this machine; the words say why."""


def cache() -> Path:
    """Where the rigs keep what is slow to make."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hwnas" / "rig"


@contextlib.contextmanager
def made_once(path: Path) -> Iterator[bool]:
    """Inside, ``path`` belongs to this process; True where it still has to be made. What fails half-way is removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f"{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = path / "complete"
        if done.is_file():
            yield False
            return
        shutil.rmtree(path, ignore_errors=True)
        try:
            yield True
        except BaseException:
            shutil.rmtree(path, ignore_errors=True)
            raise
        done.touch()


@lru_cache
def find_python(version: str) -> str:
    """An interpreter of ``version`` (``3.8``), pyenv's first; `NotHere` where there is none that runs."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    found = [str(path) for path in sorted(root.glob(f"versions/{version}.*/bin/python"))]
    shim = shutil.which(f"python{version}")
    for path in [*found, *([shim] if shim else [])]:
        # a pyenv shim is found on the path but does not run where no version is chosen
        said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
        if said.returncode == 0 and said.stdout.startswith(f"Python {version}."):
            return path
    raise NotHere(f"there is no Python {version} here")


def environment(version: str, *requirements: str) -> str:
    """A Python of ``version`` with ``requirements``; `NotHere` where pip finds no wheels of them for it."""
    base = find_python(version)
    name = hashlib.sha256("\n".join([base, *requirements]).encode()).hexdigest()[:16]
    folder = cache() / f"python-{version}-{name}"
    python = folder / "bin" / "python"
    with made_once(folder) as to_make:
        if to_make:
            subprocess.run([base, "-m", "venv", str(folder)], check=True, capture_output=True, timeout=INSTALL_S)
            pip = [str(python), "-m", "pip", "install", "--quiet", "--no-cache-dir", "--disable-pip-version-check", "--only-binary=:all:"]
            done = subprocess.run([*pip, *requirements], capture_output=True, text=True, check=False, timeout=INSTALL_S)
            if done.returncode != 0:
                last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
                raise NotHere(f"Python {version}: pip cannot install {' '.join(requirements)}: {last}")
    return str(python)
