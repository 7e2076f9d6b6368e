"""Which ONNX a file is written in: the newest that both sides know. A device's onnxruntime refuses a file that is newer than itself.

Versions: https://onnxruntime.ai/docs/reference/compatibility.html.
"""

from __future__ import annotations

from dataclasses import dataclass

from hwnas.core.errors import ConfigError

OLDEST_IR, OLDEST_OPSET = 6, 11
"""The first opset in which Clip takes its bounds as the writer gives them, and the IR of its time."""


@dataclass(frozen=True, slots=True)
class OnnxLevel:
    """IR version and opset of a file."""

    ir_version: int
    opset: int

    def __post_init__(self) -> None:
        if self.ir_version < OLDEST_IR or self.opset < OLDEST_OPSET:
            raise ConfigError(
                f"{self} is too old to be written; IR {OLDEST_IR} and opset {OLDEST_OPSET} are the oldest, which onnxruntime 1.2 brought: "
                "update the device's onnxruntime"
            )

    def __str__(self) -> str:
        return f"ONNX IR {self.ir_version} and opset {self.opset}"


DEFAULT = OnnxLevel(8, 17)
"""For devices that nobody can ask: every onnxruntime since 1.12 reads it."""
NEWEST = OnnxLevel(10, 21)
"""What the writer is tested with; later ones add nothing to the operators that it uses but types."""


def newest_level(max_ir: int | None, max_opset: int | None) -> OnnxLevel:
    """The newest level for a runtime that reads up to ``max_ir`` and ``max_opset``; the default where it does not say."""
    if max_ir is None or max_opset is None:
        return DEFAULT
    return OnnxLevel(min(max_ir, NEWEST.ir_version), min(max_opset, NEWEST.opset))
