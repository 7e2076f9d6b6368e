"""Classify an image with the model in this folder: python run_tflite.py IMAGE. Needs numpy and ai-edge-litert (or tflite-runtime)."""

from pathlib import Path

import numpy as np
from picture import main

try:
    from ai_edge_litert.interpreter import Interpreter
except ImportError:
    from tflite_runtime.interpreter import Interpreter

HERE = Path(__file__).resolve().parent


def run(x):
    """The logits of one input; an 8-bit model gets its input in its own scale and answers in it."""
    interpreter = Interpreter(model_path=str(HERE / "model.tflite"))
    interpreter.allocate_tensors()
    (into,), (out,) = interpreter.get_input_details(), interpreter.get_output_details()
    if into["dtype"] == np.int8:
        scale, zero = into["quantization"]
        x = np.clip(np.round(x / scale) + zero, -128, 127).astype(np.int8)
    interpreter.set_tensor(into["index"], x)
    interpreter.invoke()
    y = interpreter.get_tensor(out["index"])
    if out["dtype"] == np.int8:
        scale, zero = out["quantization"]
        y = (y.astype(np.float32) - zero) * scale
    return y


if __name__ == "__main__":
    main(run, HERE)
