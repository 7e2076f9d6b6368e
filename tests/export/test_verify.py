"""What is refused before a file is loaded, and what is said when its answers are off."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from onnx import helper

from hwnas.core.errors import DataError, UsageError, VerificationError
from hwnas.core.result import Artifact
from hwnas.export import EXPORTERS, ExportSpec
from hwnas.export.safety import check_artifact
from hwnas.export.tflite_file import TfliteFile
from hwnas.export.verify import Parity, ParityLimit, accuracy, parity, require_parity
from tests.export.networks import small_net

FLIPS = 200


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    folder = tmp_path_factory.mktemp("verify")
    spec = ExportSpec(input_shape=(3, 16, 16))
    return {name: EXPORTERS.get(name).export(small_net(), spec, folder / f"model.{name}") for name in EXPORTERS}


def test_parity_of_known_arrays() -> None:
    reference = np.array([[1.0, -4.0], [2.0, 3.0]], dtype=np.float32)
    outputs = np.array([[1.0, -4.0], [2.5, 2.0]], dtype=np.float32)
    figures = parity(reference, outputs)
    assert figures.max_abs == 1.0
    assert figures.limit == pytest.approx(4e-4)
    assert figures.top1_agreement == 0.5
    assert figures.psnr_db == pytest.approx(20 * np.log10(4 / np.sqrt((0.25 + 1) / 4)))
    assert figures.samples == 2
    assert not figures.within_limit
    with pytest.raises(
        VerificationError, match=r"^model\.onnx: outputs differ .* by 1, more than the 0\.0004 allowed; top-1 agreement 50\.0%"
    ):
        require_parity(figures, what="model.onnx")


def test_equal_outputs_have_no_noise() -> None:
    ones = np.ones((3, 4), dtype=np.float32)
    figures = parity(ones, ones)
    assert figures == Parity(max_abs=0.0, limit=1e-4, psnr_db=None, top1_agreement=1.0, samples=3)
    require_parity(figures, what="it")


@given(reference=hnp.arrays(np.float32, (4, 5), elements=st.floats(-1000, 1000, width=32)), scale=st.floats(0, 3))
def test_the_limit_divides_what_passes_from_what_does_not(reference: np.ndarray, scale: float) -> None:
    limit = 1e-2 * max(1.0, float(np.abs(reference).max()))
    outputs = reference.copy()
    outputs[2, 3] += np.float32(scale * limit)
    assert parity(reference, outputs, limit=ParityLimit(1e-2)).within_limit == (abs(float(outputs[2, 3]) - float(reference[2, 3])) <= limit)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_outputs_that_are_not_numbers(bad: float) -> None:
    ones = np.ones((1, 2), dtype=np.float32)
    with pytest.raises(VerificationError, match="NaN or infinity"):
        parity(ones, ones * np.float32(bad))
    with pytest.raises(VerificationError, match="cannot be compared"):
        parity(ones, np.ones((1, 3), dtype=np.float32))
    with pytest.raises(VerificationError, match="cannot be compared"):
        parity(ones[:0], ones[:0])


@pytest.mark.parametrize("name", EXPORTERS.names())
def test_accuracy_is_that_of_the_file(name: str, artifacts: dict[str, Artifact]) -> None:
    images = np.random.default_rng(0).standard_normal((10, 3, 16, 16)).astype(np.float32)
    labels = EXPORTERS.get(name).run(artifacts[name], images)[0].argmax(1)
    labels[:3] = (labels[:3] + 1) % 10
    assert accuracy(EXPORTERS.get(name), artifacts[name], images, labels) == pytest.approx(0.7)
    with pytest.raises(DataError, match="10 images and 9 labels"):
        accuracy(EXPORTERS.get(name), artifacts[name], images, labels[:9])


@pytest.mark.parametrize("name", EXPORTERS.names())
def test_a_whole_file_passes_and_no_flipped_byte_does(name: str, artifacts: dict[str, Artifact], tmp_path: Path) -> None:
    artifact = artifacts[name]
    data = Path(artifact.path).read_bytes()
    check_artifact(Path(artifact.path), sha256=artifact.sha256, size_bytes=len(data))
    rng = np.random.default_rng(5)
    target = tmp_path / f"flipped.{name}"
    for position in rng.integers(0, len(data), FLIPS):
        flipped = bytearray(data)
        flipped[position] ^= int(rng.integers(1, 256))
        target.write_bytes(flipped)
        with pytest.raises(VerificationError, match="was changed after it was exported"):
            check_artifact(target, sha256=artifact.sha256, size_bytes=len(data))


@pytest.mark.parametrize("name", EXPORTERS.names())
def test_damage_to_the_tables_is_refused_or_harmless_but_never_a_crash(name: str, artifacts: dict[str, Artifact], tmp_path: Path) -> None:
    data = Path(artifacts[name].path).read_bytes()
    rng = np.random.default_rng(6)
    target = tmp_path / f"damaged.{name}"
    refused = 0
    for _ in range(FLIPS):
        damaged = bytearray(data[: int(rng.integers(1, len(data)))])
        damaged[int(rng.integers(0, min(400, len(damaged))))] ^= int(rng.integers(1, 256))
        target.write_bytes(damaged)
        try:
            check_artifact(target)
        except VerificationError:
            refused += 1
    assert refused > FLIPS / 2


def test_files_that_are_not_what_they_say(artifacts: dict[str, Artifact], tmp_path: Path) -> None:
    with pytest.raises(VerificationError, match="no such file"):
        check_artifact(tmp_path / "nothing.onnx")
    with pytest.raises(VerificationError, match=r"bytes; 5 were expected"):
        check_artifact(Path(artifacts["onnx"].path), size_bytes=5)
    for name, content in (
        ("a.onnx", b"hello"),
        ("b.onnx", b""),
        ("c.tflite", b"hello"),
        ("d.tflite", b"\x08\0\0\0TFL3" + b"\xff" * 8),
        ("e.pt2", b"hello"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(VerificationError, match=r"not an? (ONNX model|TFLite model|PyTorch program)"):
            check_artifact(tmp_path / name)
    (tmp_path / "model.pkl").write_bytes(b"x")
    with pytest.raises(UsageError, match=r"known: onnx, pt2, tflite"):
        check_artifact(tmp_path / "model.pkl")


def test_a_link_is_refused(artifacts: dict[str, Artifact], tmp_path: Path) -> None:
    """What it leads to may be another file tomorrow."""
    artifact = artifacts["onnx"]
    (tmp_path / "model.onnx").symlink_to(artifact.path)
    with pytest.raises(VerificationError, match=r"model\.onnx: is a link"):
        check_artifact(tmp_path / "model.onnx", sha256=artifact.sha256)


def test_a_tflite_file_without_operators_is_refused(tmp_path: Path) -> None:
    file = TfliteFile("empty")
    index = file.tensor("image", (1, 1))
    (tmp_path / "m.tflite").write_bytes(file.pack({"image": index}, {"logits": index}, {}))
    with pytest.raises(VerificationError, match="computes nothing"):
        check_artifact(tmp_path / "m.tflite")


def tampered_tflite(artifact: Artifact, path: Path, *, custom: str = "", offset: int = 0) -> Path:
    import flatbuffers

    model = schema.ModelT.InitFromPackedBuf(Path(artifact.path).read_bytes(), 0)
    if custom:
        model.operatorCodes[0].builtinCode = schema.BuiltinOperator.CUSTOM
        model.operatorCodes[0].customCode = custom
    model.buffers[3].offset = offset
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(bytes(builder.Output()))
    return path


def test_custom_operators_and_outside_weights_of_tflite_are_refused(artifacts: dict[str, Artifact], tmp_path: Path) -> None:
    check_artifact(tampered_tflite(artifacts["tflite"], tmp_path / "plain.tflite"))
    with pytest.raises(VerificationError, match="custom operator 'Evil'"):
        check_artifact(tampered_tflite(artifacts["tflite"], tmp_path / "m.tflite", custom="Evil"))
    with pytest.raises(VerificationError, match="outside of the file"):
        check_artifact(tampered_tflite(artifacts["tflite"], tmp_path / "m.tflite", offset=1 << 30))


def external(name: str, location: str) -> onnx.TensorProto:
    tensor = onnx.TensorProto(name=name, data_type=1, dims=[1], data_location=onnx.TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value=location)
    return tensor


def subgraph(node: onnx.NodeProto, *tensors: onnx.TensorProto) -> onnx.NodeProto:
    output = helper.make_tensor_value_info("inner", 1, [1])
    branch = helper.make_graph([node], "branch", [], [output], tensors)
    return helper.make_node("If", ["c"], ["logits"], then_branch=branch, else_branch=branch)


@pytest.mark.parametrize(
    ("node", "tensors", "message"),
    [
        (helper.make_node("Relu", ["w"], ["logits"]), [external("w", "../../etc/passwd")], r"'w' outside of the file, in '\.\./\.\./etc"),
        (helper.make_node("Constant", [], ["logits"], value=external("c", "x.bin")), [], "'c' outside of the file, in 'x.bin'"),
        (subgraph(helper.make_node("Identity", ["w"], ["inner"]), external("w", "y.bin")), [], "'w' outside of the file, in 'y.bin'"),
        (helper.make_node("Evil", ["image"], ["logits"], domain="evil.com"), [], r"custom operator 'evil\.com\.Evil'"),
        (subgraph(helper.make_node("Evil", [], ["inner"], domain="evil.com")), [], r"custom operator 'evil\.com\.Evil'"),
    ],
)
def test_onnx_files_that_reach_outside_are_refused(
    node: onnx.NodeProto, tensors: list[onnx.TensorProto], message: str, tmp_path: Path
) -> None:
    info = [helper.make_tensor_value_info(name, 1, [1]) for name in ("image", "logits")]
    graph = helper.make_graph([node], "g", info[:1], info[1:], tensors)
    (tmp_path / "m.onnx").write_bytes(helper.make_model(graph).SerializeToString())
    with pytest.raises(VerificationError, match=message):
        check_artifact(tmp_path / "m.onnx")


def test_onnx_files_with_functions_of_their_own_are_refused(artifacts: dict[str, Artifact], tmp_path: Path) -> None:
    model = onnx.load(artifacts["onnx"].path)
    model.functions.add(name="Sneaky", domain="evil.com")
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(VerificationError, match=r"functions of its own \(Sneaky\)"):
        check_artifact(tmp_path / "m.onnx")
