"""What others trained, taken into a workspace: an accuracy predictor without data, and a supernet that is exported."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from hwnas.export.exporter import exporter_for
from hwnas.pipeline.context import Context
from hwnas.pipeline.searching import stored_space
from hwnas.space.family import SpaceOptions, family_of, find_space
from hwnas.space.moves import sample
from hwnas.supernet.family import supernet_family
from hwnas.supernet.ofa import official_name
from hwnas.supernet.predictor import load_accuracy
from hwnas.workspace import Workspace
from tests.cli.test_commands import hw, hw_json, snapshot
from tests.supernet.test_ofa_predictor import published

CONFIG = """
[data]
source = "{source}"
[space]
preset = "{preset}"
resolutions = [{sizes}]
[accuracy]
subnets = 10
recalibration_images = 4
"""


def workspace(root, *, preset="ofa-w1.2", sizes="160, 224", source="nowhere"):
    root.mkdir(exist_ok=True)
    (root / "hwnas.toml").write_text(CONFIG.format(preset=preset, sizes=sizes, source=source))
    return root


@pytest.fixture
def predictor(tmp_path):
    np.savez(tmp_path / "predictor.npz", **published())
    return tmp_path / "predictor.npz"


def test_a_published_predictor_is_stored_for_search(capsys, tmp_path, predictor):
    root = workspace(tmp_path / "ws")
    told = hw_json(capsys, "accuracy", "import", predictor, "-w", root)
    assert (told["space"], told["resolutions"], told["classes"]) == ("ofa-w1.2", [160, 224], 1000)
    space = stored_space(Workspace.open(root))
    assert space.id == find_space("ofa-w1.2", SpaceOptions(resolutions=(160, 224))).id
    codes = sample(space, 3, np.random.default_rng(0))
    assert load_accuracy(root / "runs" / "predictors" / "accuracy.json", space).predict(codes).mean.shape == (3,)
    assert "accuracy predictor of ofa-w1.2 at 160, 224 px" in hw(capsys, "accuracy", "import", predictor, "-w", root)[1]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"preset": "tiny-32", "sizes": "16"}, "predicts subnets of space 'ofa-w1.2', and hwnas.toml asks for 'tiny-32'"),
        ({"sizes": "128"}, "was not fitted at 128 pixels"),
        ({"sizes": ""}, "was not fitted at all of the preset's resolutions"),
    ],
)
def test_a_predictor_of_another_space_is_refused(capsys, tmp_path, predictor, settings, message):
    root = workspace(tmp_path / "ws", **settings)
    before = snapshot(root)
    code, out, err = hw(capsys, "accuracy", "import", predictor, "-w", root)
    assert (code, out) == (2, "")
    assert message in err
    assert snapshot(root) == before


@pytest.fixture
def pictures(tmp_path):
    """Two classes of a few coloured squares."""
    rng = np.random.default_rng(0)
    for part, n in (("train", 4), ("val", 2), ("test", 2)):
        for label, colour in (("red", (200, 40, 40)), ("blue", (40, 40, 200))):
            folder = tmp_path / "pictures" / part / label
            folder.mkdir(parents=True)
            for i in range(n):
                pixels = np.clip(rng.normal(colour, 30, (24, 24, 3)), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / f"{i}.png")
    return tmp_path / "pictures"


@pytest.fixture
def checkpoint(tmp_path):
    """A file as Once-for-All's authors publish them, of a net for two classes."""
    space = find_space("ofa-w1.0", SpaceOptions(classes=2))
    net = supernet_family(space).build(space, seed=5)
    state = {official_name(name): value for name, value in net.state_dict().items()}
    torch.save({"state_dict": state}, tmp_path / "ofa_mbv3_d234_e346_k357_w1.0")
    return tmp_path / "ofa_mbv3_d234_e346_k357_w1.0"


@pytest.mark.slow
def test_an_imported_supernet_is_evaluated_and_exported(capsys, tmp_path, pictures, checkpoint):
    root = workspace(tmp_path / "ws", preset="ofa-w1.0", sizes="128", source=pictures)
    told = hw_json(capsys, "train", "--from-ofa", checkpoint, "-w", root, "-q")
    assert told["space"] == "ofa-w1.0"
    assert told["supernet"].endswith("supernet.safetensors")
    # later commands take it without being told, and say so
    written = hw_json(capsys, "export", "smallest", "--out", tmp_path / "out", "--no-int8", "-w", root, "-q")
    assert {f["path"] for f in written["files"]} == {"model.onnx", "model.tflite"}
    assert all(f["parity_max_abs"] < 1e-3 for f in written["files"])
    code, _, err = hw(capsys, "train", "-w", root)
    assert code == 0
    assert "was imported from ofa_mbv3_d234_e346_k357_w1.0" in " ".join(err.split())
    assert "train ofa-w1.0" not in err
    _same_logits(root, tmp_path / "out", written["arch"])


def _same_logits(root, folder, arch_id):
    """Both files answer like the recalibrated subnet."""
    from hwnas.core.result import Artifact
    from hwnas.pipeline.accuracy import Trained

    trained = Trained.load(Context(Workspace.open(root)))
    space = trained.ctx.space
    arch = space.parse(json.loads((folder / "manifest.json").read_text())["architecture"])
    assert arch.id == arch_id
    x = np.random.default_rng(0).normal(size=(2, 3, 128, 128)).astype(np.float32)
    with torch.inference_mode():
        expected = trained.module(arch)(torch.from_numpy(x)).numpy()
    for runtime, name in (("onnxruntime", "model.onnx"), ("litert", "model.tflite")):
        (logits,) = exporter_for(runtime).run(Artifact(str(folder / name), "", runtime, "fp32", arch.id), x)
        assert np.abs(logits - expected).max() <= 1e-4 * max(1.0, np.abs(expected).max())


def test_a_checkpoint_that_does_not_fit_changes_nothing(capsys, tmp_path, pictures, checkpoint):
    root = workspace(tmp_path / "ws", preset="ofa-w1.2", sizes="128", source=pictures)
    code, out, err = hw(capsys, "train", "--from-ofa", checkpoint, "-w", root, "-q")
    assert (code, out) == (2, "")
    assert "is of space 'ofa-w1.0' with 3 channels and 2 classes, not of 'ofa-w1.2'" in err
    code, _, err = hw(capsys, "train", "--from-ofa", tmp_path / "none", "-w", root, "-q")
    assert code == 2
    assert "none: cannot be read" in err
    assert not (root / "runs" / "supernets").exists()
    assert not list((root / "runs").glob("stages/*"))


def test_an_imported_supernet_is_kept_to_and_never_trained_anew_in_silence(capsys, tmp_path, pictures, checkpoint):
    from hwnas.pipeline.accuracy import Trained
    from hwnas.pipeline.imported import import_ofa

    root = workspace(tmp_path / "ws", preset="ofa-w1.0", sizes="128", source=pictures)
    import_ofa(Context(Workspace.open(root)), checkpoint)
    trained = Trained.load(Context(Workspace.open(root)))
    largest = family_of(trained.ctx.space).extremes(trained.ctx.space)[1]
    weights = torch.load(checkpoint, weights_only=True)["state_dict"]
    assert torch.equal(trained.module(largest).head.classifier.weight, weights["classifier.linear.weight"])
    (weights,) = (root / "runs").glob("stages/import-*/supernet.safetensors")
    weights.unlink()
    code, _, err = hw(capsys, "train", "-w", root, "-q")
    assert code == 2
    assert "run 'hwnas train --from-ofa ofa_mbv3_d234_e346_k357_w1.0' again, or remove" in " ".join(err.split())
