"""``hwnas verify``: files that were exported earlier, checked again: every byte, the accuracy of the file itself, its latency."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hwnas.core.errors import ConfigError, DeviceError, VerificationError
from hwnas.core.result import Artifact
from hwnas.core.serial import parse, read_json
from hwnas.data import Preprocessing
from hwnas.export.exporter import EXPORTERS, exporter_for
from hwnas.export.manifest import FileEntry, Manifest, check_manifest
from hwnas.export.verify import accuracy, check_artifact
from hwnas.pipeline.context import Context
from hwnas.pipeline.goals import Target
from hwnas.pipeline.profiling import profiled
from hwnas.pipeline.release import MANIFEST
from hwnas.pipeline.verification import Bench
from hwnas.store.journal import Journal

SAME_ACCURACY = 0.002


def verify_files(ctx: Context, path: Path, *, timing: bool) -> dict[str, Any]:
    """Check the manifest at ``path`` (or in that folder) and what it lists.

    Raises `ConfigError` where nothing is at ``path``, and `VerificationError` for a missing, changed or unsafe file or another accuracy.
    The verdict is ``ok``, ``over budget`` or ``not measured``.
    """
    lost = path.name == MANIFEST and path.parent.is_dir()  # an artifact folder without its manifest is no mistake of who types
    if not path.exists() and not lost:
        raise ConfigError(f"{path}: no such file or folder; give the folder of an exported model, or its {MANIFEST}")
    path = path / MANIFEST if path.is_dir() else path
    manifest = check_manifest(path)
    folder = path.parent
    models = [entry for entry in manifest.files if Path(entry.path).suffix[1:] in EXPORTERS.names()]
    for entry in models:
        check_artifact(folder / entry.path, sha256=entry.sha256, size_bytes=entry.size_bytes)
    checked: dict[str, Any] = {"manifest": str(path), "arch": manifest.arch_id, "files": len(manifest.files), "bytes": "as exported"}
    main = _main(manifest, models, path)
    if "accuracy_test" in manifest.metrics:
        checked["accuracy_test"] = _same_accuracy(ctx, manifest, folder, main)
    if manifest.latency is None or not timing:
        return {**checked, "verdict": "not measured"}
    return {**checked, **_timed(ctx, manifest, folder, main)}


def _main(manifest: Manifest, models: list[FileEntry], path: Path) -> Artifact:
    plain = [entry for entry in models if ".int8." not in entry.path]
    if not plain:
        raise VerificationError(f"{path}: lists no model file")
    runtime = EXPORTERS.get(plain[0].path.rpartition(".")[2]).runtime
    return Artifact(str(path.parent / plain[0].path), plain[0].sha256, runtime, manifest.precision, manifest.arch_id)


def _same_accuracy(ctx: Context, manifest: Manifest, folder: Path, main: Artifact) -> float:
    if manifest.dataset.get("id") != ctx.dataset.id:
        raise VerificationError(f"{folder}: was made from data set {manifest.dataset.get('name')}, which is not the one of this workspace")
    steps = parse(
        Preprocessing, read_json(folder / "preprocessing.json"), where=str(folder / "preprocessing.json"), error=VerificationError
    )
    images = replace(steps, layout="NCHW").normalise(np.asarray(ctx.dataset.images("test", steps.size)))
    found = accuracy(exporter_for(main.runtime), main, images, ctx.dataset.labels("test"))
    if abs(found - manifest.metrics["accuracy_test"]) > SAME_ACCURACY:
        stated = 100 * manifest.metrics["accuracy_test"]
        raise VerificationError(
            f"{main.path}: {100 * found:.2f} % on the test part, not {stated:.2f} as its manifest says; export it again"
        )
    return found


def _timed(ctx: Context, manifest: Manifest, folder: Path, main: Artifact) -> dict[str, Any]:
    """A new timing under the conditions of the manifest, in a journal of its own so that an earlier one does not answer."""
    figures = manifest.latency
    if figures is None or figures.budget_ms is None:
        raise DeviceError(f"{folder}: the manifest names no device and budget; use --no-timing")
    target = Target(figures.device, figures.runtime, manifest.precision, figures.threads)
    journal = Journal(ctx.store.root / "verify" / f"{main.sha256[:16]}.jsonl")
    journal.path.unlink(missing_ok=True)
    bench = Bench(ctx, profiled(ctx, target), Journal(journal.path), hold=False)
    timing = bench.time([main], statistic=figures.statistic, regime=figures.regime)[main.sha256]
    return {
        "device": figures.device,
        "runtime": figures.runtime,
        "budget_ms": figures.budget_ms,
        "predicted_ms": figures.predicted_ms,
        "measured_ms": timing.measured_ms,
        "measured_ci_ms": list(timing.interval_ms),
        "measured_typical_ms": timing.typical_ms,
        "verdict": "ok" if timing.within(figures.budget_ms) else "over budget",
    }
