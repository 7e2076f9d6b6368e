"""Static networks become files that run without hwnas: ONNX, TFLite and PyTorch programs, with the checks that make them trustworthy."""

from hwnas.core.errors import UnsupportedOpError
from hwnas.export import to_onnx, to_tflite, to_torch
from hwnas.export.exporter import EXPORTERS, RUNTIME_FORMATS, Exporter, ExportSpec, exporter_for
from hwnas.export.graph import Graph

__all__ = [
    "EXPORTERS",
    "RUNTIME_FORMATS",
    "ExportSpec",
    "Exporter",
    "Graph",
    "UnsupportedOpError",
    "exporter_for",
    "to_onnx",
    "to_tflite",
    "to_torch",
]
