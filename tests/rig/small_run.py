"""A workspace small enough to be run whole in a test: real images, a real supernet, real files; only the device is pretended."""

import json
import shutil
from pathlib import Path

import pytest

CONFIG = """
seed = 1
[data]
source = "fashion-mnist"
[data.limits]
train = 240
val = 100
test = 100
[space]
preset = "tiny-32"
resolutions = [{sizes}]
[train]
epochs = 2
threads = 1
batch = 40
checkpoint_steps = 2
[profile]
networks = 6
min_repeats = 5
[accuracy]
subnets = 12
recalibration_images = 40
[search]
trials = 600
candidates = 2
"""
DEVICE = 'transport = "pretend"\nruntimes = ["onnxruntime", "litert"]\n'
RECIPE = """
device = "toy"
runtime = "{runtime}"
budgets = ["50%", "90%"]
[int8]
calibration_images = 32
max_accuracy_drop = 0.2
min_top1_agreement = 0.3
"""


@pytest.fixture(scope="session")
def pretend():
    """The pretended device's module; importing it adds the transport."""
    from tests.rig import pretend as module

    return module


def write_workspace(root: Path, *, runtimes=("onnxruntime", "litert")) -> Path:
    from hwnas.space.family import find_space

    sizes = find_space("tiny-32").choices[0].options
    files = {"hwnas.toml": CONFIG.format(sizes=f"{sizes[0]}, {sizes[-1]}"), "devices/toy.toml": DEVICE}
    files |= {f"export/recipes/toy-{runtime}.toml": RECIPE.format(runtime=runtime) for runtime in runtimes}
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def model_files(root: Path, runtime: str = "onnxruntime") -> list[Path]:
    """Every file that a profile in the workspace at ``root`` measures on a runtime, written."""
    from hwnas.pipeline.context import Context
    from hwnas.pipeline.goals import Target
    from hwnas.pipeline.profiling import prepared
    from hwnas.workspace import Workspace

    descriptor = root / "devices" / "model.toml"
    descriptor.write_text(f'transport = "local"\nruntimes = ["{runtime}"]\n')
    work = prepared(Context(Workspace.open(root)), Target("model", runtime, "fp32"))
    descriptor.unlink()
    return [*(model.path for model in work.models), work.rig.probe, work.rig.reference]


@pytest.fixture
def workspace(tmp_path):
    return write_workspace(tmp_path / "ws")


@pytest.fixture(scope="session")
def finished(tmp_path_factory, pretend):
    """A finished run: its workspace and its JSON. Tests that change anything take `copy`."""
    from hwnas.pipeline.context import Context
    from hwnas.pipeline.run import run
    from hwnas.workspace import Workspace

    root = write_workspace(tmp_path_factory.mktemp("finished") / "ws")
    result = run(Context(Workspace.open(root)))
    return root, json.loads(json.dumps(result.document()))


@pytest.fixture
def copy(finished, tmp_path):
    """A copy of the finished workspace, to be changed."""
    root, _ = finished
    return shutil.copytree(root, tmp_path / "copy")
