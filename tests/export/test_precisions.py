"""Every format in every precision that it is written in: close enough, the same bytes twice, lean, and for any batch where asked."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from ai_edge_litert import schema_py_generated as schema
from torch import nn

from hwnas.core.device import PRECISIONS
from hwnas.core.errors import ConfigError, UnknownNameError, VerificationError
from hwnas.core.result import Artifact
from hwnas.export import EXPORTERS, ExportSpec
from hwnas.export.exporter import FORMAT_PRECISIONS, MIXED, file_name, parse_format, precisions_of, require_precision
from hwnas.export.half import as_half
from hwnas.export.level import OnnxLevel
from hwnas.export.verify import PARITY_LIMITS, ParityLimit, parity, require_parity
from tests.export.networks import BlockConfig, block, small_net

SHAPE = (3, 16, 16)
IMAGES = np.random.default_rng(0).standard_normal((20, *SHAPE)).astype(np.float32)
METADATA = {"b": "ü", "a": "1"}
EACH = [(form, precision) for form in EXPORTERS for precision in precisions_of(form)]
# torch takes seconds for a program; the others tens of milliseconds
MARKED = [pytest.param(*one, marks=pytest.mark.slow if one[0] == "pt2" else ()) for one in EACH]
each = pytest.mark.parametrize(("form", "precision"), MARKED)
any_batch = pytest.mark.parametrize(("form", "precision"), [one for one in MARKED if one.values[0] != "pt2" or one.values[1] == "fp32"])


def export(form: str, precision: str, path: Path, *, module: nn.Module | None = None, dynamic_batch: bool = False) -> Artifact:
    calibration = IMAGES[:8] if precision == "int8" else None
    spec = ExportSpec(
        input_shape=SHAPE, precision=precision, calibration=calibration, metadata=METADATA, arch_id="a", dynamic_batch=dynamic_batch
    )
    return EXPORTERS.get(form).export(module or small_net(), spec, path)


def answers(module: nn.Module) -> np.ndarray:
    with torch.no_grad():
        return module(torch.from_numpy(IMAGES)).numpy()


def test_every_format_says_its_precisions() -> None:
    assert set(FORMAT_PRECISIONS) == set(EXPORTERS.names())
    assert set(PRECISIONS) - {MIXED} == set(PARITY_LIMITS) == {precision for _, precision in EACH}
    assert all(precisions_of(form)[0] == "fp32" for form in EXPORTERS)


@each
def test_close_the_same_twice_and_lean(form: str, precision: str, tmp_path: Path) -> None:
    artifact = export(form, precision, tmp_path / "one")
    exporter = EXPORTERS.get(form)
    (got,) = exporter.run(artifact, IMAGES)
    assert got.dtype == np.float32
    figures = parity(answers(small_net()), got, limit=ParityLimit(PARITY_LIMITS[precision].tolerance))
    require_parity(figures, what=f"{form} {precision}")
    assert figures.psnr_db is not None
    assert figures.psnr_db > 25
    assert precision == "fp32" or figures.max_abs > 1e-5, "nothing was rounded"
    contents = exporter.contents(artifact)
    assert contents.metadata == METADATA
    assert contents.transposes == 0
    assert contents.nodes >= 48
    assert (artifact.precision, artifact.arch_id) == (precision, "a")
    assert export(form, precision, tmp_path / "two").sha256 == artifact.sha256
    if precision != "fp32":
        assert Path(artifact.path).stat().st_size < 0.8 * Path(export(form, "fp32", tmp_path / "wide").path).stat().st_size


@any_batch
def test_a_dynamic_batch_takes_any_number_of_images(form: str, precision: str, tmp_path: Path) -> None:
    artifact = export(form, precision, tmp_path / "m", dynamic_batch=True)
    exporter = EXPORTERS.get(form)
    (wanted,) = exporter.run(export(form, precision, tmp_path / "one"), IMAGES)
    atol = 2e-2 if precision == "int8_dynamic" else 1e-3  # activations are scaled batch by batch
    for n in (1, 3, 20):
        np.testing.assert_allclose(exporter.run(artifact, IMAGES[:n])[0], wanted[:n], atol=atol)
    assert export(form, precision, tmp_path / "again", dynamic_batch=True).sha256 == artifact.sha256


def test_a_dynamic_batch_goes_through_large_kernels_and_flattened_maps(tmp_path: Path) -> None:
    """In TFLite those are slices and reshapes, whose constants hold the batch."""
    module = nn.Sequential(block(BlockConfig(3, 4, 3, 7, 1, False)), nn.Flatten(), nn.Linear(4 * 16 * 16, 5)).eval()
    for form in ("onnx", "tflite"):
        artifact = export(form, "fp32", tmp_path / form, module=module, dynamic_batch=True)
        (got,) = EXPORTERS.get(form).run(artifact, IMAGES)
        require_parity(parity(answers(module), got), what=form)


def test_a_dynamic_batch_has_no_number() -> None:
    with pytest.raises(ConfigError, match="leave out batch 2"):
        ExportSpec(batch=2, dynamic_batch=True)


@pytest.mark.parametrize("level", [OnnxLevel(7, 12), OnnxLevel(10, 21)])
def test_onnx_fp16_is_float32_at_both_ends_only(level: OnnxLevel, tmp_path: Path) -> None:
    spec = ExportSpec(input_shape=SHAPE, precision="fp16", level=level)
    artifact = EXPORTERS.get("onnx").export(small_net(), spec, tmp_path / "m.onnx")
    model = onnx.load(artifact.path)
    kinds = Counter(tensor.data_type for tensor in model.graph.initializer)
    assert set(kinds) == {onnx.TensorProto.FLOAT16}
    ends = [*model.graph.input, *model.graph.output]
    assert {end.type.tensor_type.elem_type for end in ends} == {onnx.TensorProto.FLOAT}
    assert [node.op_type for node in model.graph.node].count("Cast") == 2
    figures = parity(answers(small_net()), EXPORTERS.get("onnx").run(artifact, IMAGES)[0], limit=PARITY_LIMITS["fp16"])
    require_parity(figures, what="fp16")


@pytest.mark.parametrize(("precision", "kind"), [("fp16", "FLOAT16"), ("int8_dynamic", "INT8")])
def test_tflite_weights_are_small_and_activations_float32(precision: str, kind: str, tmp_path: Path) -> None:
    artifact = export("tflite", precision, tmp_path / "m.tflite")
    model = schema.ModelT.InitFromPackedBuf(Path(artifact.path).read_bytes(), 0)
    graph = model.subgraphs[0]
    small = {i for i, tensor in enumerate(graph.tensors) if tensor.type == getattr(schema.TensorType, kind)}
    made = {i for operator in graph.operators for i in operator.outputs}
    assert len(small) > 15
    assert not small & made
    assert all(graph.tensors[i].type == schema.TensorType.FLOAT32 for i in made)


@pytest.mark.parametrize("form", ["onnx", "tflite"])
def test_a_weight_beyond_float16_is_refused(form: str, tmp_path: Path) -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 1)).eval()
    nn.init.constant_(module[0].weight, 1e5)  # type: ignore[arg-type]
    with pytest.raises(VerificationError, match=r"weight' holds 1e\+05, more than float16 reaches"):
        export(form, "fp16", tmp_path / "m", module=module)
    assert not (tmp_path / "m").exists()
    np.testing.assert_array_equal(as_half("w", np.float32([65504, 1 / 3])), np.float16([65504, 1 / 3]))


def test_formats_by_name() -> None:
    assert parse_format("onnx") == ("onnx", "fp32")
    assert parse_format("tflite:int8_dynamic") == ("tflite", "int8_dynamic")
    with pytest.raises(UnknownNameError, match="unknown format 'onx'; did you mean 'onnx'"):
        parse_format("onx:fp16")
    with pytest.raises(ConfigError, match="'onnx' is not written in bf16; it is in fp32, fp16, int8"):
        parse_format("onnx:bf16")
    with pytest.raises(ConfigError, match="not written in int8"):
        require_precision("pt2", "int8")
    assert [file_name("onnx", "fp32"), file_name("onnx", "fp16"), file_name("onnx", "fp16", main=True)] == [
        "model.onnx",
        "model.fp16.onnx",
        "model.onnx",
    ]


def test_agreement_is_held_to_its_limit_but_for_one_image() -> None:
    reference = np.eye(4, dtype=np.float32)[np.arange(400) % 4]
    limit = ParityLimit(2.0, 0.995)
    for wrong, within in ((0, True), (2, True), (3, False)):
        outputs = reference.copy()
        outputs[:wrong] = -outputs[:wrong]
        assert parity(reference, outputs, limit=limit).within_limit == within
    few = parity(reference[:10], np.concatenate([-reference[:1], reference[1:10]]), limit=limit)
    assert few.within_limit
    assert few.top1_limit == 0.9
    figures = parity(reference, -reference, limit=limit)
    with pytest.raises(VerificationError, match=r"^it: outputs differ .* by 2; top-1 agreement 0\.0% .*, less than the 99\.5% needed$"):
        require_parity(figures, what="it")
