"""TFLite files with weights of 8 bits and activations that stay float32: dynamic-range quantisation, which needs no images.

The runtime scales the activations of each call as they come and computes in integers where it has kernels for that, in float32
elsewhere. Weights have a scale per output channel (Jacob et al. 2018, arXiv:1712.05877).
"""

from __future__ import annotations

import contextlib
import io

from hwnas.export.exporter import require


def weights_to_int8(model: bytes) -> bytes:
    """A float32 TFLite model with weights of 8 bits; small ones stay as they are where that saves nothing."""
    tools, recipes = (require(f"ai_edge_quantizer.{name}", extra="tflite") for name in ("quantizer", "recipe"))
    quantizer = tools.Quantizer(bytearray(model), recipes.dynamic_wi8_afp32())
    with contextlib.redirect_stderr(io.StringIO()):  # a progress bar, whatever it is told
        result = quantizer.quantize(enable_progress_bar=False, enable_progress_report=False)
    return bytes(result.quantized_model)
