"""A 64-bit Arm board in a test: a Debian 11 root of that architecture with its own Python 3.9, runtimes and sshd, run by qemu-user.

It shows that the agent works there, never how fast: it runs 75 to 2000 times slower than a board. The root is made once and kept outside
the repository; nothing is written into it afterwards. sshd runs in a mount namespace of its own, in which the test's folder is bound into
the root under its own name and ``/tmp`` and ``/run`` are fresh.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

from tests.rig.pythons import INSTALL_S, NotHere, cache, made_once
from tests.rig.sshd import Board, missing

SUITE = "bullseye"
PACKAGES = ("python3-minimal", "python3", "openssh-server", "openssh-sftp-server", "dash", "coreutils", "libstdc++6", "libgomp1")
WHEELS = {
    "onnxruntime": ("onnxruntime==1.19.2", "numpy==1.26.4"),
    "litert": ("ai-edge-litert==2.1.0", "numpy==1.26.4"),
    "tflite": ("tflite-runtime==2.13.0", "numpy==1.26.4"),
}
"""Folders below ``/opt`` of the root, each with what one runtime needs: the newest with wheels for Python 3.9 and glibc 2.31."""
PLATFORMS = (
    "manylinux2014_aarch64",
    "manylinux_2_17_aarch64",
    "manylinux_2_27_aarch64",
    "manylinux_2_28_aarch64",
    "manylinux_2_31_aarch64",
)
BINFMT = Path("/proc/sys/fs/binfmt_misc/qemu-aarch64")
USERS = "root:x:0:0:root:/root:/bin/sh\nsshd:x:101:65534::/run/sshd:/usr/sbin/nologin\n"
GROUPS = "root:x:0:\nnogroup:x:65534:\n"
ENTER = """\
set -e
root="$1" folder="$2"; shift 2
mount --rbind /proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/tmp"
mount -t tmpfs tmpfs "$root/run"
mkdir -p "$root/run/sshd" "$root$folder"
mount --bind "$folder" "$root$folder"
exec chroot "$root" "$@"
"""


def lacking() -> str:
    """What this machine lacks for such a board; empty where it has all."""
    if os.geteuid() != 0:
        return "not root, so that nothing can be mounted or run in another root"
    if shutil.which("mmdebstrap") is None or shutil.which("unshare") is None or not BINFMT.exists():
        return "no mmdebstrap or no qemu for aarch64 here; tests/rig/setup.sh arm64 installs them"
    return missing()


def root() -> Path:
    """The root, made where it is not there yet (a minute); `NotHere` where packages or wheels cannot be had."""
    folder = cache() / f"arm64-{SUITE}"
    with made_once(folder) as to_make:
        if to_make:
            _debian(folder)
            for name in ("proc", "sys", "dev", "tmp", "run", "root"):
                (folder / name).mkdir(exist_ok=True)
            (folder / "etc" / "passwd").write_text(USERS)
            (folder / "etc" / "group").write_text(GROUPS)
            for name, wheels in WHEELS.items():
                _unpack(wheels, folder / "opt" / name)
    return folder


def _debian(folder: Path) -> None:
    command = ["mmdebstrap", "--variant=extract", "--architectures=arm64", f"--include={','.join(PACKAGES)}", SUITE, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=INSTALL_S)
    if done.returncode != 0:
        raise NotHere(f"mmdebstrap cannot make an arm64 root: {(done.stderr.strip().splitlines() or ['no reason given'])[-1]}")


def _unpack(wheels: tuple[str, ...], to: Path) -> None:
    downloaded = to.with_name(f"{to.name}-wheels")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--disable-pip-version-check"]
    kind = ["--python-version", "3.9", "--implementation", "cp", *(word for name in PLATFORMS for word in ("--platform", name))]
    done = subprocess.run([*pip, *kind, "-d", str(downloaded), *wheels], capture_output=True, text=True, check=False, timeout=INSTALL_S)
    if done.returncode != 0:
        raise NotHere(f"pip cannot fetch {' '.join(wheels)} for aarch64: {(done.stderr.strip().splitlines() or ['no reason given'])[-1]}")
    for wheel in downloaded.glob("*.whl"):
        zipfile.ZipFile(wheel).extractall(to)
    shutil.rmtree(downloaded)


@contextlib.contextmanager
def running(folder: Path, debian: Path) -> Iterator[Board]:
    """A board that runs inside; its runtimes are found once `use` has named them."""
    folder.mkdir(parents=True)
    board = Board(folder / "board", before=("unshare", "--mount", "sh", "-c", ENTER, "sh", str(debian), str(folder)))
    try:
        board.start()
        yield board
    finally:
        board.stop()


def use(board: Board, *names: str) -> None:
    """Let every login find the runtimes of these folders of `WHEELS`."""
    board.greet(f"export PYTHONPATH={':'.join(f'/opt/{name}' for name in names)}")
