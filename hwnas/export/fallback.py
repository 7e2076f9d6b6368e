"""The way out for networks with operations that the TFLite writer does not know: litert-torch, where it is installed."""

from __future__ import annotations

import importlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from hwnas.core.errors import UnsupportedOpError, UsageError
from hwnas.export.exporter import ExportSpec
from hwnas.export.graph import INPUT, OUTPUT, Graph
from hwnas.export.tflite_file import relabelled

if TYPE_CHECKING:
    from torch import nn


def litert_torch_bytes(module: nn.Module | Graph, spec: ExportSpec, problem: UnsupportedOpError) -> bytes:
    """``module`` as a TFLite model by litert-torch, channels last; without it, ``problem`` with what to install."""
    if isinstance(module, Graph) or spec.input_shape is None:
        raise problem
    try:
        converter = importlib.import_module("litert_torch")
    except ImportError:
        raise UsageError(f"{problem}; 'pip install \"litert-torch>=0.10,<0.11\"' lets it be converted (1.2 GB)") from None
    import torch

    channels, height, width = spec.input_shape
    example = torch.zeros(spec.batch, height, width, channels)
    last = converter.to_channel_last_io(module, args=[0]).eval()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        converter.convert(last, (example,)).export(str(path))
        return relabelled(path.read_bytes(), inputs=(INPUT,), outputs=(OUTPUT,), metadata=spec.metadata)
