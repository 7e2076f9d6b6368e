"""Exported files work where hwnas never was: numpy, the runtime, and what lies beside the file."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hwnas.core.serial import parse
from hwnas.data import Dataset, Preprocessing, load_dataset
from hwnas.export.tflite_file import METADATA_NAME, schema

ROOT = Path(__file__).parents[2]
IMAGES = 100

RUN = """
import importlib.util, json, sys
import numpy as np
assert importlib.util.find_spec("hwnas") is None and importlib.util.find_spec("torch") is None
folder, images = sys.argv[1], np.load(sys.argv[2])
steps = json.load(open(folder + "/preprocessing.json"))
labels = open(folder + "/labels.txt").read().split("\\n")[:-1]
if len(sys.argv) > 3 and sys.argv[3].endswith(".onnx"):
    import onnxruntime
    session = onnxruntime.InferenceSession(sys.argv[3], providers=["CPUExecutionProvider"])
    answer = lambda x: session.run(None, {"image": x})[0]
else:
    from ai_edge_litert.interpreter import Interpreter
    interpreter = Interpreter(model_path=sys.argv[3], num_threads=1)
    run = interpreter.get_signature_runner()
    answer = lambda x: run(image=x)["logits"]
mean, std = (np.array(steps[k], dtype=np.float32).reshape(1, -1, 1, 1) for k in ("mean", "std"))
axes = ["NCHW".index(axis) for axis in steps["layout"]]
found = []
for image in images:
    x = ((image[None].astype(np.float32) / steps["scale"]) - mean) / std
    x = np.ascontiguousarray(x.transpose(axes), dtype=np.float32)
    found.append(labels[int(answer(x).argmax())])
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment with numpy and the two runtimes."""
    folder = tmp_path_factory.mktemp("bare")
    subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
    python = folder / "venv" / "bin" / "python"
    command = [
        str(python),
        "-m",
        "pip",
        "install",
        "--quiet",
        "-c",
        str(ROOT / "constraints.txt"),
        "numpy",
        "onnxruntime",
        "ai-edge-litert",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        pytest.skip(f"the runtimes cannot be installed here: {done.stderr.strip()[-200:]}")
    return python


def taken(model: Path) -> tuple[list[int], dict[str, str]]:
    """The shape of a file's input as its runtime sees it, and the properties inside the file."""
    if model.suffix == ".onnx":
        session = pytest.importorskip("onnxruntime").InferenceSession(model, providers=["CPUExecutionProvider"])
        return session.get_inputs()[0].shape, session.get_modelmeta().custom_metadata_map
    interpreter = pytest.importorskip("ai_edge_litert.interpreter").Interpreter(model_path=str(model))
    tables = schema().ModelT.InitFromObj(schema().Model.GetRootAs(model.read_bytes()))
    properties = next(tables.buffers[entry.buffer].data for entry in tables.metadata if entry.name == METADATA_NAME.encode())
    return interpreter.get_input_details()[0]["shape"].tolist(), json.loads(bytes(properties))


def test_every_file_takes_the_layout_that_is_stated(finished: tuple[Path, dict[str, Any]]) -> None:
    root, document = finished
    seen = set()
    for row in document["targets"]:
        folder = (root / row["artifact"]).parent
        steps = json.loads((folder / "preprocessing.json").read_text())
        sides = {"N": 1, "C": len(steps["mean"]), "H": steps["size"], "W": steps["size"]}
        for model in (p for p in folder.iterdir() if p.suffix in (".onnx", ".tflite")):
            shape, properties = taken(model)
            assert shape == [sides[axis] for axis in steps["layout"]]
            assert json.loads(properties["hwnas.preprocessing"]) == steps
            seen.add((model.suffix, steps["layout"], ".int8." in model.name))
    assert seen >= {(".onnx", "NCHW", False), (".tflite", "NHWC", False)}


def dataset() -> Dataset:
    return load_dataset("fashion-mnist", root=ROOT, seed=0)


@pytest.mark.slow
def test_every_file_of_a_run_classifies_without_hwnas(bare: Path, finished: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    root, document = finished
    data = dataset()
    for row in document["targets"]:
        folder = shutil.copytree((root / row["artifact"]).parent, tmp_path / row["runtime"] / row["budget"].rstrip("%"))
        steps = parse(Preprocessing, json.loads((folder / "preprocessing.json").read_text()), where="preprocessing.json")
        images = np.asarray(data.images("test", steps.size)[:IMAGES])
        np.save(tmp_path / "images.npy", images)
        for model in sorted(p for p in folder.iterdir() if p.suffix in (".onnx", ".tflite")):
            env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "COV"))}
            command = [str(bare), "-c", RUN, str(folder), str(tmp_path / "images.npy"), str(model)]
            done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=env, stdin=subprocess.DEVNULL)
            assert done.returncode == 0, done.stderr
            found = json.loads(done.stdout)
            wanted = [data.class_names[i] for i in data.labels("test")[:IMAGES]]
            accuracy = float(np.mean([a == b for a, b in zip(found, wanted, strict=True)]))
            said = row["accuracy_test"] if ".int8." not in model.name else row["int8"]["accuracy_test"]
            assert accuracy == pytest.approx(said, abs=1e-9)  # the run's own test part is these images
