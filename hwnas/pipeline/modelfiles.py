"""Model files to be timed: every block of a space, some whole networks, the probe. Written once, found again by content."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from torch import nn

import hwnas.supernet.mobilenet_v3  # noqa: F401  (registers its supernets)
from hwnas.core.arch import Architecture, Block, SearchSpace
from hwnas.core.serial import content_id
from hwnas.export.exporter import PAGE_RUNTIMES, ExportSpec, Images, exporter_for
from hwnas.export.graph import Graph
from hwnas.export.level import DEFAULT, OnnxLevel
from hwnas.export.probes import PAGE_PAIRS, overhead_graph, probe_graph
from hwnas.pipeline.timings import TimedModel
from hwnas.space.family import family_of
from hwnas.store.sources import source_digest
from hwnas.supernet.family import supernet_family

CODE = (
    "hwnas.export.to_onnx",
    "hwnas.export.to_tflite",
    "hwnas.export.to_torch",
    "hwnas.export.torch_network",
    "hwnas.export.quantize",
    "hwnas.export.quantize_dynamic",
    "hwnas.export.probes",
    "hwnas.supernet.mobilenet_v3",
)
OVERHEAD = "overhead"
Shape = tuple[int, int, int]


@dataclass(frozen=True)
class ModelFiles:
    """Writes models of one space for one runtime and precision below ``folder``. Weights are random: time does not depend on them."""

    space: SearchSpace
    folder: Path
    runtime: str
    precision: str = "fp32"
    level: OnnxLevel = DEFAULT

    @cached_property
    def _code(self) -> str:
        return source_digest(*CODE)

    def blocks(self, blocks: Iterable[Block]) -> list[TimedModel]:
        """One model a block, alone; the key is the block's."""
        family = supernet_family(self.space)
        return [TimedModel(b.key, self._write(b.key, lambda b=b: family.block_module(b), b.in_shape)) for b in blocks]  # type: ignore[misc]

    def network(self, arch: Architecture) -> TimedModel:
        """A whole network; the key is ``net:<architecture id>``."""
        size = family_of(self.space).resolution(self.space, arch)
        key = f"net:{arch.id}"

        def build() -> nn.Module:
            return supernet_family(self.space).static(self.space, arch, seed=0).eval()

        return TimedModel(key, self._write(key, build, (self.space.input_shape[0], size, size)))

    def overhead(self) -> TimedModel:
        """The smallest model that there is: what a call costs."""
        return TimedModel(OVERHEAD, self._write(OVERHEAD, overhead_graph, None))

    def probe(self) -> Path:
        """A short chain of depthwise and pointwise convolutions, by which the agent sees how fast the device is at the moment."""
        if self.runtime in PAGE_RUNTIMES:
            return self._write("probe of a page", lambda: probe_graph(pairs=PAGE_PAIRS), None)
        return self._write("probe", probe_graph, None)

    def _write(self, key: str, build: Callable[[], nn.Module | Graph], shape: Shape | None) -> Path:
        exporter = exporter_for(self.runtime)
        precision = self.precision if shape else "fp32"
        name = content_id([key, shape, precision, exporter.format, self.level.opset, self.level.ir_version, self._code])
        path = self.folder / exporter.format / name[:2] / f"{name}.{exporter.format}"
        if not path.is_file():
            noise = _noise(shape) if shape and precision == "int8" else None
            spec = ExportSpec(input_shape=shape, precision=precision, calibration=noise, timing_only=True, level=self.level)
            exporter.export(build(), spec, path)
        return path


def _noise(shape: Shape) -> Images:
    """Inputs that calibrate a model that is only timed."""
    return np.random.default_rng(0).standard_normal((4, *shape)).astype(np.float32)
