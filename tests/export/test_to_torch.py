"""PyTorch programs: lean, without a word of where they were made, in three precisions."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from hwnas.core.errors import ConfigError, VerificationError
from hwnas.export import EXPORTERS, ExportSpec
from hwnas.export.safety import check_artifact
from hwnas.export.verify import parity
from tests.agent.test_runtime_torch import rewritten, with_pickled_inputs, with_pickled_weight
from tests.export.networks import small_net

SHAPE = (3, 20, 20)


def export(folder: Path, precision: str = "fp32", **options: object):
    spec = ExportSpec(input_shape=SHAPE, precision=precision, **options)  # type: ignore[arg-type]
    return EXPORTERS.get("pt2").export(small_net(), spec, folder / "model.pt2")


@pytest.mark.parametrize(("precision", "least_db"), [("fp16", 45.0), ("bf16", 25.0)])
def test_half_precisions_answer_nearly_the_same(precision: str, least_db: float, tmp_path: Path) -> None:
    images = np.random.default_rng(0).standard_normal((4, *SHAPE)).astype(np.float32)
    with torch.no_grad():
        wanted = small_net()(torch.from_numpy(images)).numpy()
    artifact = export(tmp_path, precision)
    (got,) = EXPORTERS.get("pt2").run(artifact, images)
    figures = parity(wanted, got)
    assert got.dtype == np.float32
    assert figures.psnr_db is not None
    assert figures.psnr_db > least_db
    assert Path(artifact.path).stat().st_size < Path(export(tmp_path).path).stat().st_size


def test_the_file_holds_its_metadata_and_nothing_of_this_machine(tmp_path: Path) -> None:
    path = export(tmp_path, metadata={"labels": "cat"}).path
    with zipfile.ZipFile(path) as archive:
        (told,) = (archive.read(name) for name in archive.namelist() if name.endswith("hwnas.json"))
        words = b"".join(archive.read(name) for name in archive.namelist() if name.endswith(".json"))
    assert json.loads(told) == {"labels": "cat"}
    assert str(Path(__file__).parents[2]).encode() not in words
    assert str(Path(torch.__file__).parents[1]).encode() not in words
    assert b"batch_norm" not in words  # folded
    check_artifact(Path(path))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (with_pickled_inputs, "holds pickled objects"),
        (with_pickled_weight, "holds pickled objects"),
        (lambda name, data: b"" if name.endswith("models/model.json") else data, "computes nothing"),
        (lambda name, data: b"[]" if name.endswith("_config.json") else data, "not a PyTorch program"),
    ],
)
def test_a_file_that_is_not_safe_to_load_is_refused(change, words: str, tmp_path: Path) -> None:
    path = Path(export(tmp_path).path)
    path.write_bytes(rewritten(path, change))
    with pytest.raises(VerificationError, match=words):
        check_artifact(path)


@pytest.mark.parametrize(("name", "precision"), [("pt2", "int8"), ("onnx", "bf16"), ("tflite", "bf16")])
def test_a_precision_that_a_format_has_not_is_refused(name: str, precision: str, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).standard_normal((2, *SHAPE)).astype(np.float32)
    with pytest.raises(ConfigError, match=f"format '{name}' is not written in {precision}; it is in fp32, "):
        EXPORTERS.get(name).export(small_net(), ExportSpec(input_shape=SHAPE, precision=precision, calibration=noise), tmp_path / "m")
    assert not list(tmp_path.iterdir())
