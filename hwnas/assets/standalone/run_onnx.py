"""Classify an image with the model in this folder: python run_onnx.py IMAGE. Needs numpy and onnxruntime."""

from pathlib import Path

import onnxruntime
from picture import main

HERE = Path(__file__).resolve().parent


def run(x):
    """The logits of one input."""
    session = onnxruntime.InferenceSession(str(HERE / "model.onnx"), providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: x})[0]


if __name__ == "__main__":
    main(run, HERE)
