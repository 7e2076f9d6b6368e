"""``hwnas verify``: files that were exported earlier, checked again: every byte, the accuracy of the file itself, its latency."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hwnas.core.errors import ConfigError, DeviceError, VerificationError
from hwnas.core.result import Artifact
from hwnas.core.serial import parse, read_json
from hwnas.data import Preprocessing
from hwnas.export.exporter import EXPORTERS, exporter_for
from hwnas.export.manifest import FileEntry, Manifest, check_manifest
from hwnas.export.safety import check_artifact
from hwnas.export.signature import check_signature, sign, signature_path
from hwnas.export.verify import accuracy
from hwnas.pipeline.context import Context
from hwnas.pipeline.goals import Target
from hwnas.pipeline.profiling import profiled
from hwnas.pipeline.release import MANIFEST, STEPS
from hwnas.pipeline.verification import Bench
from hwnas.store.journal import Journal

SAME_ACCURACY = 0.002


@dataclass(frozen=True, slots=True)
class Vouched:
    """A manifest that holds for the files beside it; ``signer`` is the fingerprint of the key that signed it, None where none was asked."""

    path: Path
    manifest: Manifest
    signer: str | None

    @property
    def document(self) -> dict[str, Any]:
        """What was found, for people and as JSON."""
        return {
            "manifest": str(self.path),
            "arch": self.manifest.arch_id,
            "files": len(self.manifest.files),
            "bytes": "as exported",
            "signature": self.signer or ("not checked" if signature_path(self.path).is_file() else "none"),
        }


def vouched(path: Path, *, key: Path | None = None) -> Vouched:
    """The manifest at ``path`` (or in that folder), once it and every file that it lists proved to be as exported and safe to load.

    With ``key`` it must be signed by that public key. Raises `ConfigError` where nothing is at ``path``, `VerificationError` otherwise.
    """
    path = _manifest_at(path)
    signer = None if key is None else check_signature(path, key)
    manifest = check_manifest(path)
    for entry in _model_files(manifest):
        check_artifact(path.parent / entry.path, sha256=entry.sha256, size_bytes=entry.size_bytes)
    return Vouched(path, manifest, signer)


def signed(path: Path, key: Path) -> dict[str, Any]:
    """Sign the manifest at ``path``, or all below that folder, once they hold; a folder without any raises `ConfigError`."""
    paths = sorted(path.rglob(MANIFEST)) if path.is_dir() else [path]
    if not paths:
        raise ConfigError(f"{path}: no {MANIFEST} below this folder; 'hwnas export' and 'hwnas ci' write them")
    held = [vouched(one).path for one in paths]
    fingerprints = {sign(one, key) for one in held}
    return {"key": fingerprints.pop(), "signatures": [str(signature_path(one)) for one in held]}


def verify_files(ctx: Context, path: Path, *, timing: bool, key: Path | None = None) -> dict[str, Any]:
    """Check the manifest at ``path`` (or in that folder) and what it lists, as `vouched` does, and what only this workspace can check.

    Raises `VerificationError` for metadata that say something else than the files beside them, and for another accuracy. The verdict is
    ``ok``, ``over budget`` or ``not measured``.
    """
    found = vouched(path, key=key)
    manifest, folder = found.manifest, found.path.parent
    models = _model_files(manifest)
    main = _main(manifest, models, found.path)
    for entry in models:
        _same_metadata(manifest, folder, entry)
    checked: dict[str, Any] = found.document
    if "accuracy_test" in manifest.metrics:
        checked["accuracy_test"] = _same_accuracy(ctx, manifest, folder, main)
    if manifest.latency is None or not timing:
        return {**checked, "verdict": "not measured"}
    return {**checked, **_timed(ctx, manifest, folder, main)}


def _manifest_at(path: Path) -> Path:
    lost = path.name == MANIFEST and path.parent.is_dir()  # an artifact folder without its manifest is no mistake of who types
    if not path.exists() and not lost:
        raise ConfigError(f"{path}: no such file or folder; give the folder of an exported model, or its {MANIFEST}")
    return path / MANIFEST if path.is_dir() else path


def _model_files(manifest: Manifest) -> list[FileEntry]:
    return [entry for entry in manifest.files if Path(entry.path).suffix[1:] in EXPORTERS.names()]


def _artifact(entry: FileEntry, folder: Path, manifest: Manifest, precision: str) -> Artifact:
    runtime = EXPORTERS.get(Path(entry.path).suffix[1:]).runtime
    return Artifact(str(folder / entry.path), entry.sha256, runtime, precision, manifest.arch_id)


def _same_metadata(manifest: Manifest, folder: Path, entry: FileEntry) -> None:
    """What a model file says about its images and its architecture must be what the manifest and the files beside it say."""
    artifact = _artifact(entry, folder, manifest, "")
    metadata = exporter_for(artifact.runtime).contents(artifact).metadata
    own = folder / f"preprocessing.{Path(entry.path).suffix[1:]}.json"
    steps = own if own.is_file() else folder / STEPS
    beside = {"hwnas.preprocessing": steps.read_text().strip(), "hwnas.architecture_id": manifest.arch_id}
    for key, wanted in beside.items():
        if metadata.get(key, wanted) != wanted:
            what = steps.name if key == "hwnas.preprocessing" else "the manifest"
            raise VerificationError(f"{artifact.path}: says something else under '{key}' than {what} beside it; export it again")


def _main(manifest: Manifest, models: list[FileEntry], path: Path) -> Artifact:
    """The file that the manifest's figures are of: the first of its models, or of older ones the only one that is not beside another."""
    first = {model.path for model in manifest.models[:1]}
    plain = [entry for entry in models if (entry.path in first if first else ".int8." not in entry.path)]
    if not plain:
        raise VerificationError(f"{path}: lists no model file")
    return _artifact(plain[0], path.parent, manifest, manifest.precision)


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
