"""Devices that replay recorded durations: real agents, over real channels, of machines that are not there.

For tests of everything but measuring itself: the same durations give the same samples, whatever this machine does meanwhile. Boards that
share this machine are different devices.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from hwnas.core.serial import sha256_file
from tests.rig.board import stand_in
from tests.rig.pretend import samples_ms

HERE = Path(__file__).with_name("recorded")


def model(path: Path, *, us: float, pace_ms: float = 0.0, size_bytes: int = 0) -> Path:
    """Write a model that takes so long, and really ``pace_ms``; ``size_bytes`` of padding make it large to push."""
    path.write_text(json.dumps({"us": us, "pace_ms": pace_ms, "padding": "x" * size_bytes}))
    return path


def recording(models: Iterable[Path], *, slow: float) -> dict[str, list[float]]:
    """Durations of model files, in ms by SHA-256: those of the pretended device, on one that is ``slow`` times slower."""
    return {sha256_file(path): [round(ms, 6) for ms in samples_ms(path, slow=slow)] for path in models}


def interpreter(
    folder: Path,
    recorded: Mapping[str, list[float]] | None = None,
    *,
    boot_id: str | None = None,
    locks: Path | None = None,
    silence_s: float | None = None,
    silent_after_s: float | None = None,
) -> str:
    """A Python in ``folder`` whose agent replays what was ``recorded``, or models of `model`.

    Devices are one if they have their ``locks`` in one folder (``folder`` where none is named) and the same ``boot_id`` (this machine's
    where none is given). The agent bears so much silence of its host, and stands still itself after so many seconds of measuring.
    """
    folder.mkdir(parents=True, exist_ok=True)
    setting = {
        "recorded": recorded,
        "boot_id": boot_id,
        "locks": str(locks or folder),
        "silence_s": silence_s,
        "silent_after_s": silent_after_s,
    }
    (folder / "setting.json").write_text(json.dumps(setting))
    agent = [sys.executable, str(HERE / "agent.py"), str(folder)]
    return stand_in(folder / "python", f'exec {shlex.join(agent)} "$@"')


def web_runtime(folder: Path, recorded: Mapping[str, list[float]]) -> dict[str, Path]:
    """The files of a page's runtime that replays, as `hwnas.profiler.webruntime.web_files` gives them."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "ort.wasm.min.mjs"
    path.write_text((HERE / "ort.mjs").read_text().replace("/*RECORDED*/ {}", json.dumps(recorded)))
    return {"ort.wasm.min.mjs": path, "ort-wasm-simd-threaded.mjs": path, "ort-wasm-simd-threaded.wasm": path}
