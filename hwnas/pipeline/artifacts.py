"""Stage: one chosen subnet as deployable files, with every figure that can be had without the device.

The files hold the weights, the labels and what a user must do to an image before feeding it; they run without hwnas.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hwnas.core.arch import Architecture
from hwnas.core.errors import VerificationError
from hwnas.core.result import Artifact
from hwnas.core.serial import canonical_json, plain, read_json, write_atomic
from hwnas.data import Preprocessing
from hwnas.export.exporter import EIGHT_BITS, MIXED, Exporter, ExportSpec, Images, as_graph, exporter_for
from hwnas.export.manifest import ModelFigures, tool_versions
from hwnas.export.sensitivity import with_float_layers
from hwnas.export.verify import Parity, accuracy
from hwnas.pipeline.accuracy import Trained
from hwnas.pipeline.context import Context
from hwnas.pipeline.fidelity import answers_of, compared, is_enough
from hwnas.pipeline.filespec import FileSpec
from hwnas.pipeline.modelfiles import CODE as EXPORT_CODE
from hwnas.space.family import family_of
from hwnas.store.stages import Stage

CODE = ("hwnas.export.verify", "hwnas.export.sensitivity", "hwnas.supernet.accuracy", *EXPORT_CODE)
GLUE = (__name__, "hwnas.pipeline.fidelity")
FACTS = "facts.json"


@dataclass(frozen=True, slots=True)
class Built:
    """The files of one subnet for one runtime: ``main``, perhaps ``int8``, and what was found about them.

    ``preprocessing`` ends in the layout that the files take, which is not always that of the images here.
    """

    arch: Architecture
    main: Artifact
    int8: Artifact | None
    facts: Mapping[str, Any]
    preprocessing: Preprocessing

    @property
    def accuracy_val(self) -> float:
        """Top-1 of the file itself on the validation part, as a share."""
        return float(self.facts["accuracy_val"])

    def figures(self, kind: str, path: str) -> ModelFigures:
        """What a manifest says of the file ``kind`` (``main`` or ``int8``), which lies at ``path`` there."""
        artifact = self.main if kind == "main" or self.int8 is None else self.int8
        compared = self.facts if kind == "main" else self.facts[kind]
        counts = self.facts["contents"][kind]
        return ModelFigures(
            path=path,
            runtime=artifact.runtime,
            precision=artifact.precision,
            nodes=counts["nodes"],
            transposes=counts["transposes"],
            parity=Parity(**compared["parity"]),
            accuracy_val=compared["accuracy_val"],
        )

    @property
    def tools(self) -> Mapping[str, str]:
        """Versions of what the files were built with, by package."""
        return dict(self.facts["tools"])

    def kept_float(self, kind: str) -> tuple[str, ...]:
        """Which layers of the file ``kind`` (``main`` or ``int8``) stay float though it is of 8 bits."""
        return tuple(self.facts["kept_float"].get(kind, ()))

    @property
    def parity_max_abs(self) -> float:
        """Largest difference from the torch subnet's outputs on fixed inputs."""
        return float(self.facts["parity"]["max_abs"])


def built(ctx: Context, trained: Trained, arch: Architecture, wanted: FileSpec) -> Built:
    """Extract, recalibrate, export and compare ``arch``; reused where it is there already.

    A main file that differs from its subnet by more than fp32 may, or costs more than int8 may, raises `VerificationError`.
    """
    exporter = exporter_for(wanted.runtime)
    tools = tool_versions()
    inputs = [
        trained.id,
        arch.id,
        wanted.runtime,
        wanted.precision,
        wanted.int8 is not None,
        plain(wanted.limits),
        plain(wanted.level),
        wanted.dynamic_batch,
        tools,
    ]
    stage = ctx.store.stage("artifact", inputs, code=CODE, glue=GLUE)
    names = {"main": f"model.{exporter.format}", "int8": f"model.int8.{exporter.format}"}
    if not stage.done:
        _build(ctx, trained, arch, wanted, stage, names, tools)
    facts = json.loads((stage.folder / FACTS).read_text())
    files = {
        kind: _artifact(stage.folder / names[kind], facts["files"].get(kind), wanted, arch, kind, facts["kept_float"].get(kind, ()))
        for kind in names
    }
    main = files["main"]
    if main is None:
        raise VerificationError(f"{stage.folder}: {names['main']} is missing; remove the folder and run again")
    return Built(arch, main, files["int8"], facts, replace(trained.preprocessing(arch), layout=exporter.layout))


def _artifact(path: Path, sha256: str | None, wanted: FileSpec, arch: Architecture, kind: str, kept: Sequence[str]) -> Artifact | None:
    if sha256 is None:
        return None
    precision = MIXED if kept else "int8" if kind == "int8" else wanted.precision
    return Artifact(str(path), sha256, wanted.runtime, precision, arch.id)


def _build(
    ctx: Context,
    trained: Trained,
    arch: Architecture,
    wanted: FileSpec,
    stage: Stage,
    names: Mapping[str, str],
    tools: Mapping[str, str],
) -> None:
    exporter = exporter_for(wanted.runtime)
    module = trained.module(arch)
    preprocessing = trained.preprocessing(arch)  # of images as the data set and `Exporter.run` have them: NCHW
    size = family_of(ctx.space).resolution(ctx.space, arch)
    shape = (ctx.space.input_shape[0], size, size)
    metadata = file_metadata(ctx, arch, replace(preprocessing, layout=exporter.layout))

    def spec(precision: str, calibration: Images | None) -> ExportSpec:
        return ExportSpec(
            input_shape=shape,
            precision=precision,
            dynamic_batch=wanted.dynamic_batch,
            calibration=calibration,
            metadata=metadata,
            arch_id=arch.id,
            level=wanted.level,
            ranges="minmax" if wanted.limits is None else wanted.limits.ranges,
        )

    calibration = None
    if wanted.limits is not None:
        calibration = preprocessing.normalise(np.asarray(ctx.dataset.images("train", size)[: wanted.limits.calibration_images]))
    paths = {kind: stage.folder / name for kind, name in names.items()}
    images, labels = preprocessing.normalise(np.asarray(ctx.dataset.images("val", size))), ctx.dataset.labels("val")
    artifacts: dict[str, Artifact] = {}
    kept: dict[str, tuple[str, ...]] = {}
    if wanted.precision != "int8":
        artifacts["main"] = exporter.export(module, spec(wanted.precision, calibration), paths["main"])
    kind = "main" if wanted.precision == "int8" else "int8"
    if wanted.limits is not None and calibration is not None and (kind == "main" or wanted.precision not in EIGHT_BITS):
        reference = exporter.run(artifacts["main"], images)[0] if kind == "int8" else answers_of(module, images)
        artifacts[kind], kept[kind] = with_float_layers(
            exporter,
            as_graph(module, spec("int8", calibration)),
            spec("int8", calibration),
            paths[kind],
            most=wanted.limits.max_float_layers,
            enough=partial(is_enough, exporter, wanted.limits, images, labels, reference),
            images=calibration,
        )
    facts = {
        **compared(module, exporter, artifacts, images, labels, wanted),
        "contents": {kind: _counts(exporter, artifact) for kind, artifact in artifacts.items()},
        "kept_float": kept,
        "files": {kind: artifact.sha256 for kind, artifact in artifacts.items()},
        "size_bytes": {kind: paths[kind].stat().st_size for kind in artifacts},
        "tools": tools,
    }
    write_atomic(stage.folder / FACTS, canonical_json(facts) + "\n")
    stage.finish(FACTS, *(names[kind] for kind in artifacts))


def _counts(exporter: Exporter, artifact: Artifact) -> dict[str, int]:
    found = exporter.contents(artifact)
    return {"nodes": found.nodes, "transposes": found.transposes}


def accuracy_on_test(ctx: Context, built: Built, artifact: Artifact) -> float:
    """Top-1 of the file itself on the test part, which is read here and nowhere else."""
    known = Path(artifact.path).with_suffix(".test.json")
    if known.is_file():
        record = read_json(known)
        if record.get("sha256") == artifact.sha256 and record.get("dataset") == ctx.dataset.id:
            return float(record["accuracy_test"])
    size = family_of(ctx.space).resolution(ctx.space, built.arch)
    images = replace(built.preprocessing, layout="NCHW").normalise(np.asarray(ctx.dataset.images("test", size)))
    value = accuracy(exporter_for(artifact.runtime), artifact, images, ctx.dataset.labels("test"))
    write_atomic(known, canonical_json({"sha256": artifact.sha256, "dataset": ctx.dataset.id, "accuracy_test": value}) + "\n")
    return value


def file_metadata(ctx: Context, arch: Architecture, preprocessing: Preprocessing) -> dict[str, str]:
    """What travels inside a file: labels, preprocessing in its own layout, architecture; nothing that differs from run to run."""
    return {
        "hwnas.architecture": canonical_json(ctx.space.values(arch.indices)),
        "hwnas.architecture_id": arch.id,
        "hwnas.labels": canonical_json(ctx.dataset.class_names),
        "hwnas.preprocessing": canonical_json(preprocessing),
        "hwnas.space": ctx.space.name,
    }
