"""Layers that stay float: the worst ones, as few as are enough, and really float in the file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from ai_edge_litert.interpreter import Interpreter

from hwnas.core.result import Artifact
from hwnas.export import EXPORTERS, ExportSpec
from hwnas.export.graph import Activation, Conv, Flatten, GlobalAveragePool, Graph, Linear
from hwnas.export.sensitivity import layers_of, sensitivities, with_float_layers
from hwnas.export.verify import parity

FORMATS = ("onnx", "tflite")
IMAGES = np.random.default_rng(0).standard_normal((16, 4, 6, 6)).astype(np.float32)
SPEC = ExportSpec(precision="int8", calibration=IMAGES)
BAD = "bad"


@pytest.fixture(scope="module")
def graph() -> Graph:
    """Five layers; in front of the depthwise one, ``bad``, a channel is a thousand times larger than the others."""
    rng = np.random.default_rng(1)

    def conv(name: str, source: str, shape: tuple[int, ...], groups: int = 1) -> Conv:
        weight = (rng.standard_normal(shape) * 0.3).astype(np.float32)
        return Conv(name, (source,), weight, np.zeros(shape[0], np.float32), padding=(shape[2] // 2,) * 4, groups=groups)

    loud = conv("loud", "one", (8, 8, 1, 1))
    loud.weight[0] *= 1000
    after = conv("after", BAD, (8, 8, 1, 1))
    after.weight[:, 0] /= 1000
    return Graph(
        (1, 4, 6, 6),
        (
            conv("first", "image", (8, 4, 3, 3)),
            Activation("one", ("first",), "relu"),
            loud,
            conv(BAD, "loud", (8, 1, 3, 3), groups=8),
            after,
            GlobalAveragePool("pool", ("after",)),
            Flatten("flat", ("pool",)),
            Linear("logits", ("flat",), rng.standard_normal((5, 8)).astype(np.float32), np.zeros(5, np.float32)),
        ),
    )


@pytest.mark.parametrize("form", FORMATS)
def test_layers_are_ranked_by_what_they_do_alone(form: str, graph: Graph) -> None:
    found = sensitivities(EXPORTERS.get(form), graph, SPEC, IMAGES)
    assert set(found) == set(layers_of(graph)) == {"first", "loud", BAD, "after", "logits"}
    assert list(found.values()) == sorted(found.values(), reverse=True)
    assert {"first", "logits"} & set(list(found)[-3:]) == {"first", "logits"}, "what handles the loud channel is worse"
    assert all(value > 0 for value in found.values())


@pytest.mark.parametrize("form", FORMATS)
def test_what_is_kept_is_float_and_all_of_it_is_the_float_file(form: str, graph: Graph, tmp_path: Path) -> None:
    exporter = EXPORTERS.get(form)
    plain = exporter.export(graph, ExportSpec(), tmp_path / f"plain.{form}")
    for kept in ({"bad"}, {"first", "logits"}, set(layers_of(graph))):
        made = exporter.export(graph, replace(SPEC, kept_float=frozenset(kept)), tmp_path / f"mixed.{form}")
        assert made.precision == "mixed"
        assert float_layers(Path(made.path)) == kept
    left = parity(exporter.run(plain, IMAGES)[0], exporter.run(made, IMAGES)[0])
    assert left.psnr_db is None or left.psnr_db > 30, "without its layers next to nothing is quantised"


def float_layers(path: Path) -> set[str]:
    """Whose weights are float in a file."""
    if path.suffix == ".onnx":
        model = onnx.load(path)
        return {t.name.removesuffix(".weight") for t in model.graph.initializer if t.name.endswith(".weight") and t.data_type == 1}
    details = Interpreter(model_content=path.read_bytes()).get_tensor_details()
    return {d["name"].removesuffix(".weight") for d in details if d["name"].endswith(".weight") and d["dtype"] == np.float32}


def chosen(graph: Graph, tmp_path: Path, enough: Iterator[bool], most: int) -> tuple[Artifact, tuple[str, ...]]:
    return with_float_layers(
        EXPORTERS.get("onnx"), graph, SPEC, tmp_path / "m.onnx", most=most, enough=lambda _: next(enough), images=IMAGES
    )


@pytest.mark.parametrize(
    ("answers", "most", "kept"),
    [
        ([True], 4, 0),
        ([], 0, 0),
        ([False, True], 4, 1),
        ([False, False, True], 4, 2),
        ([False, False, False, True], 3, 3),
        ([False, False, False], 2, 0),
        ([False, False, False, False], 99, 0),
    ],
)
def test_no_more_layers_stay_float_than_are_needed(answers: list[bool], most: int, kept: int, graph: Graph, tmp_path: Path) -> None:
    asked = iter(answers)
    made, layers = chosen(graph, tmp_path, asked, most)
    assert next(asked, "no more") == "no more", "every answer was asked for"
    assert layers == tuple(list(sensitivities(EXPORTERS.get("onnx"), graph, SPEC, IMAGES))[:kept])
    assert made.precision == ("mixed" if kept else "int8")
    assert float_layers(tmp_path / "m.onnx") == set(layers)
