"""The real litert-torch, in an environment of its own: it agrees with our writer, and converts what our writer does not know."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
REQUIREMENTS = ("torch==2.13.0", "litert-torch==0.10.0", "ai-edge-litert==2.3.0")
OURS = ("pydantic", "rich", "typer", "safetensors", "pillow", "scikit-learn", "flatbuffers")
RUN = """
import json, sys
from pathlib import Path
import numpy as np
import torch
from torch import nn
from hwnas.core.errors import UnsupportedOpError
from hwnas.export import EXPORTERS, ExportSpec
from hwnas.export.fallback import litert_torch_bytes
from hwnas.export.verify import parity
from tests.export.networks import small_net

class Unknown(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.classes = nn.Conv2d(3, 4, 3), nn.Linear(4, 5)
    def forward(self, x):
        return self.classes(torch.cumsum(torch.tanh(self.conv(x)), 2).mean((2, 3)))

folder, tflite = Path(sys.argv[1]), EXPORTERS.get("tflite")
images = np.random.default_rng(0).standard_normal((4, 3, 32, 32)).astype(np.float32)
spec = ExportSpec(input_shape=(3, 32, 32), metadata={"hwnas.labels": "[]"})
torch.manual_seed(0)
known, unknown = small_net(), Unknown().eval()
with torch.no_grad():
    wanted = {name: net(torch.from_numpy(images)).numpy() for name, net in (("known", known), ("unknown", unknown))}
ours = tflite.export(known, spec, folder / "ours.tflite")
theirs = tflite.export(unknown, spec, folder / "unknown.tflite")
cross = folder / "cross.tflite"
cross.write_bytes(litert_torch_bytes(known, spec, UnsupportedOpError("cross-check", "here")))
from dataclasses import replace
answers = {"ours": tflite.run(ours, images)[0], "cross": tflite.run(replace(ours, path=str(cross), sha256=""), images)[0]}
print(json.dumps({
    "ours": parity(wanted["known"], answers["ours"]).within_limit,
    "cross": parity(answers["cross"], answers["ours"]).within_limit,
    "unknown": parity(wanted["unknown"], tflite.run(theirs, images)[0]).within_limit,
    "metadata": b"hwnas.labels" in Path(theirs.path).read_bytes(),
}))
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a fresh environment with the converter, some 2 GB."""
    folder = tmp_path_factory.mktemp("converter") / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, capture_output=True)
    python = folder / "bin" / "python"
    install = subprocess.run([str(python), "-m", "pip", "install", "-q", *REQUIREMENTS, *OURS], capture_output=True, text=True)
    if install.returncode != 0:
        pytest.skip(f"pip cannot install {' '.join(REQUIREMENTS)}: {install.stderr.strip().splitlines()[-1:]}")
    return python


@pytest.mark.slow
def test_it_agrees_and_converts_what_we_do_not_know(python: Path, tmp_path: Path) -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    env["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "devices" / "agent")])
    done = subprocess.run([str(python), "-c", RUN, str(tmp_path)], capture_output=True, text=True, env=env, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.strip().split("\n")[-1])
    assert told == {"ours": True, "cross": True, "unknown": True, "metadata": True}
