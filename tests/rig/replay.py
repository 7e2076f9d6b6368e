"""Devices that replay recorded durations: real agents, over real channels, of machines that are not there."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import hwnas_agent

from hwnas.core.serial import sha256_file
from hwnas.pipeline.context import Context
from hwnas.pipeline.goals import Target
from hwnas.pipeline.profiling import prepared
from hwnas.workspace import Workspace
from tests.rig.pretend import samples_ms

HERE = Path(__file__).with_name("recorded")
AGENT = str(Path(hwnas_agent.__file__).parents[1])


def model_files(root: Path, runtime: str = "onnxruntime") -> list[Path]:
    """Every file that a profile in the workspace at ``root`` measures on a runtime, written."""
    descriptor = root / "devices" / "model.toml"
    descriptor.write_text(f'transport = "local"\nruntimes = ["{runtime}"]\n')
    work = prepared(Context(Workspace.open(root)), Target("model", runtime, "fp32"))
    descriptor.unlink()
    return [*(model.path for model in work.models), work.rig.probe, work.rig.reference]


def recording(models: Iterable[Path], *, slow: float) -> dict[str, list[float]]:
    """Durations of model files, in ms by SHA-256: those of the pretended device, on one that is ``slow`` times slower."""
    return {sha256_file(path): [round(ms, 6) for ms in samples_ms(path, slow=slow)] for path in models}


def interpreter(folder: Path, recorded: Mapping[str, list[float]], *, boot_id: str, silent_after_s: float | None = None) -> str:
    """A Python whose agent replays, as a device of its own; after so many seconds of measuring it stands still.

    Devices are one by ``boot_id`` and by the folder that theirs are in, which also has their locks.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "recording.json").write_text(json.dumps(recorded))
    setting = {
        "agent": AGENT,
        "recording": str(folder / "recording.json"),
        "boot_id": boot_id,
        "silent_after_s": silent_after_s,
        "locks": str(folder.parent),
    }
    path = folder / "python"
    environment = f"PYTHONPATH={shlex.quote(str(HERE))} HWNAS_REPLAY={shlex.quote(json.dumps(setting))}"
    path.write_text(f'#!/bin/sh\nexec env {environment} {shlex.quote(sys.executable)} "$@"\n')
    path.chmod(0o755)
    return str(path)


def web_runtime(folder: Path, recorded: Mapping[str, list[float]]) -> dict[str, Path]:
    """The files of a page's runtime that replays, as `hwnas.profiler.webruntime.web_files` gives them."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "ort.wasm.min.mjs"
    path.write_text((HERE / "ort.mjs").read_text().replace("/*RECORDED*/ {}", json.dumps(recorded)))
    return {"ort.wasm.min.mjs": path, "ort-wasm-simd-threaded.mjs": path, "ort-wasm-simd-threaded.wasm": path}
