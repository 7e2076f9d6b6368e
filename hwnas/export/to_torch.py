"""Graphs as PyTorch exported programs (``.pt2``), for devices that run them with torch on CUDA: channels last, in fp32, fp16 or bf16.

Formats: https://docs.pytorch.org/docs/stable/export.html. The file is a zip archive of JSON and raw tensors; nothing in it is pickled (the
example inputs, which torch would pickle, are left out), and nothing in it says where it was made.
"""

from __future__ import annotations

import io
import json
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hwnas.core.result import Artifact
from hwnas.core.serial import canonical_json
from hwnas.export.exporter import (
    DYNAMIC_BATCH,
    EXPORTERS,
    Contents,
    ExportSpec,
    Images,
    Layout,
    as_graph,
    batches,
    loadable,
    require_precision,
    store,
)
from hwnas.export.graph import Graph

if TYPE_CHECKING:
    import torch
    from torch import nn

METADATA = "hwnas.json"
_MOVES = ("permute", "transpose")
MAX_BATCH = 4096
_SOURCES = ("stack_trace", "nn_module_stack", "source_fn_stack", "torch_fn", "from_node")
"""What torch notes with every node of a program: files and modules of the machine that made it."""


class TorchExporter:
    """The ``pt2`` format: NCHW input, channels last in memory; run by torch on the CPU here."""

    format = "pt2"
    runtime = "torch-cuda"
    layout: Layout = "NCHW"

    def export(self, module: nn.Module | Graph, spec: ExportSpec, out: Path) -> Artifact:
        """Write ``out``; ``spec.metadata`` becomes the archive's ``hwnas.json``."""
        require_precision(self.format, spec.precision)
        metadata = canonical_json(spec.metadata)
        data = torch_bytes(as_graph(module, spec), precision=spec.precision, metadata=metadata, dynamic_batch=spec.dynamic_batch)
        return store(data, spec, out, runtime=self.runtime)

    def run(self, artifact: Artifact, images: Images) -> tuple[NDArray[np.float32], ...]:
        """``images (n, C, H, W) -> (n, K)`` logits on the CPU, batch by batch, in the file's own precision."""
        import torch

        program = torch.export.load(loadable(artifact, self.format))
        (taken,) = (node.meta["val"] for node in program.graph.nodes if node.name in program.graph_signature.user_inputs)
        network = program.module()
        answers = []
        with torch.no_grad():
            size = taken.shape[0]
            for batch in batches(images, size if isinstance(size, int) else min(len(images), DYNAMIC_BATCH)):
                image = torch.from_numpy(batch).to(taken.dtype).contiguous(memory_format=torch.channels_last)
                answers.append(network(image).float().contiguous().numpy())
        return (np.concatenate(answers)[: len(images)],)

    def contents(self, artifact: Artifact) -> Contents:
        """Calls, permutations and transpositions among them, and the archive's ``hwnas.json``."""
        import torch

        extra = {METADATA: ""}
        program = torch.export.load(loadable(artifact, self.format), extra_files=extra)
        calls = [str(node.target) for node in program.graph.nodes if node.op == "call_function"]
        moved = sum(any(word in call for word in _MOVES) for call in calls)
        return Contents(len(calls), moved, json.loads(extra[METADATA]))


EXPORTERS.register("pt2", TorchExporter())


def torch_bytes(graph: Graph, *, precision: str = "fp32", metadata: str = "{}", dynamic_batch: bool = False) -> bytes:
    """``graph`` as a serialised exported program, the same bytes for the same graph and version of torch.

    With ``dynamic_batch`` it takes any number of images.
    """
    import torch

    from hwnas.export.torch_network import Network

    dtype = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[precision]
    network = Network(graph).eval().to(dtype).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    # a batch of one would be taken for a constant
    shape = (2, *graph.input_shape[1:]) if dynamic_batch else graph.input_shape
    example = torch.zeros(shape, dtype=dtype).contiguous(memory_format=torch.channels_last)
    sides = ({0: torch.export.Dim("batch", min=1, max=MAX_BATCH)},) if dynamic_batch else None
    buffer = io.BytesIO()  # torch writes the name of a file into it
    with torch.no_grad(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="No complete tensor found")  # it takes channels last for a view
        program = torch.export.export(network, (example,), dynamic_shapes=sides)
        _forget_sources(program)
        torch.export.save(program, buffer, extra_files={METADATA: metadata})
    return buffer.getvalue()


def _forget_sources(program: torch.export.ExportedProgram) -> None:
    program._example_inputs = None
    for node in program.graph.nodes:
        for name in _SOURCES:
            node.meta.pop(name, None)
