"""What does an 8-bit file cost in accuracy, and what does it gain in time?

The demo's supernet; its smallest, its largest and three subnets between them, as float and as 8-bit files in both formats, with each way of
choosing ranges and with the four most sensitive layers left in float. Accuracies are of the files themselves on the test part; times are
medians of calls in turn with the float file on one thread of this machine, in processor time, into which what else runs does not count.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.harness import Outcome, Target, main
from benchmarks.pipeline._workspace import reference_workspace
from hwnas.core.arch import Architecture
from hwnas.core.result import Artifact
from hwnas.export.exporter import Exporter, ExportSpec, Images, as_graph, exporter_for
from hwnas.export.ranges import RANGES
from hwnas.export.sensitivity import sensitivities
from hwnas.export.to_onnx import onnx_session
from hwnas.export.to_tflite import tflite_runner
from hwnas.export.verify import parity
from hwnas.pipeline.accuracy import Trained
from hwnas.pipeline.context import Context
from hwnas.space.family import family_of
from hwnas.space.moves import sample_spread
from hwnas.workspace import Workspace

RUNTIMES = {"onnx": "onnxruntime", "tflite": "litert"}
CALIBRATION = 256
FLOAT_LAYERS = 4
BETWEEN = 3
TURNS = 200
MIXED = f"minmax, {FLOAT_LAYERS} in float"
TARGETS = {f"{form}_worst_drop": Target("<=", 1.0) for form in RUNTIMES}


@dataclass(frozen=True, slots=True)
class Line:
    """One 8-bit file beside its float one: percent, points, dB, shares of time and size."""

    form: str
    subnet: str
    way: str
    float_test: float
    test: float
    psnr_db: float | None
    agreement: float
    time: float
    size: float

    @property
    def drop(self) -> float:
        return self.float_test - self.test


def measure(quick: bool) -> Outcome:
    """Every file of every subnet."""
    with tempfile.TemporaryDirectory() as folder:
        root = reference_workspace(Path(folder) / "workspace", quick=quick)
        ctx = Context(Workspace.open(root))
        archs = subnets(ctx)
        some = {"smallest": archs["smallest"]} if quick else archs
        lines = list(compared(ctx, Trained.load(ctx), some, turns=20 if quick else TURNS))
    figures: dict[str, float] = {}
    for form in RUNTIMES:
        for way in (*RANGES, MIXED):
            own = [line for line in lines if (line.form, line.way) == (form, way)]
            name = f"{form}_{'mixed' if way == MIXED else way}"
            figures |= {f"{name}_drop": statistics.mean(line.drop for line in own), f"{name}_time": statistics.median(x.time for x in own)}
        plain = [line for line in lines if (line.form, line.way) == (form, "minmax")]
        figures[f"{form}_worst_drop"] = max(line.drop for line in plain)
        figures[f"{form}_size"] = statistics.median(line.size for line in plain)
    return Outcome(("file", "subnet", "ranges", "fp32 %", "int8 %", "points", "PSNR dB", "top-1 same %", "time", "size"),
                   [_row(line) for line in lines], figures, TARGETS)  # fmt: skip


def subnets(ctx: Context) -> dict[str, Architecture]:
    """Those that are compared, by name."""
    smallest, largest = family_of(ctx.space).extremes(ctx.space)
    drawn = sample_spread(ctx.space, BETWEEN, np.random.default_rng(ctx.config.seed))
    return {"smallest": smallest, **{f"drawn {n}": ctx.space.architecture(row) for n, row in enumerate(drawn)}, "largest": largest}


def compared(ctx: Context, trained: Trained, archs: Mapping[str, Architecture], *, turns: int) -> Iterator[Line]:
    """A line for each format, subnet and way."""
    for name, arch in archs.items():
        for form, runtime in RUNTIMES.items():
            yield from _compared(ctx, trained, arch, name, form, exporter_for(runtime), turns)


def _compared(ctx: Context, trained: Trained, arch: Architecture, name: str, form: str, exporter: Exporter, turns: int) -> Iterator[Line]:
    steps, size = trained.preprocessing(arch), family_of(ctx.space).resolution(ctx.space, arch)
    test, labels = steps.normalise(np.asarray(ctx.dataset.images("test", size))), ctx.dataset.labels("test")
    calibration = steps.normalise(np.asarray(ctx.dataset.images("train", size)[:CALIBRATION]))
    whole = ExportSpec(input_shape=(ctx.space.input_shape[0], size, size), arch_id=arch.id)
    graph = as_graph(trained.module(arch), whole)
    eight = replace(whole, precision="int8", calibration=calibration)
    with tempfile.TemporaryDirectory() as folder:
        plain = exporter.export(graph, whole, Path(folder) / f"float.{form}")
        reference = exporter.run(plain, test)[0]
        worst = list(sensitivities(exporter, graph, eight, calibration))[:FLOAT_LAYERS]
        for way in (*RANGES, MIXED):
            spec = replace(eight, kept_float=frozenset(worst)) if way == MIXED else replace(eight, ranges=way)
            made = exporter.export(graph, spec, Path(folder) / f"int8.{form}")
            answers = exporter.run(made, test)[0]
            found = parity(reference, answers)
            yield Line(
                form,
                name,
                way,
                100 * _top1(reference, labels),
                100 * _top1(answers, labels),
                found.psnr_db,
                100 * found.top1_agreement,
                _time_ratio(form, plain, made, test, turns),
                Path(made.path).stat().st_size / Path(plain.path).stat().st_size,
            )


def _top1(logits: np.ndarray, labels: np.ndarray) -> float:
    return float((logits.argmax(1) == labels).mean())


def _time_ratio(form: str, plain: Artifact, made: Artifact, images: Images, turns: int) -> float:
    """How long the 8-bit file takes, as a share of the float one: medians of short runs in turn."""
    calls = [_call(form, Path(artifact.path), images[:1]) for artifact in (plain, made)]
    taken: tuple[list[float], list[float]] = ([], [])
    for turn in range(turns + turns // 10):
        for call, times in zip(calls, taken, strict=True):
            begin = time.thread_time()
            for _ in range(10):
                call()
            if turn >= turns // 10:  # the first ones warm up
                times.append(time.thread_time() - begin)
    return statistics.median(taken[1]) / statistics.median(taken[0])


def _call(form: str, path: Path, image: Images) -> Callable[[], object]:
    if form == "onnx":
        session = onnx_session(path)
        taken = session.get_inputs()[0].name
        return lambda: session.run(None, {taken: image})
    runner = tflite_runner(path)
    (name,) = runner.get_input_details()
    last = np.ascontiguousarray(image.transpose(0, 2, 3, 1))
    return lambda: runner(**{name: last})


def _row(line: Line) -> tuple[object, ...]:
    psnr = "-" if line.psnr_db is None else f"{line.psnr_db:.1f}"
    figures = (f"{line.float_test:.2f}", f"{line.test:.2f}", f"{-line.drop:+.2f}", psnr, f"{line.agreement:.1f}")
    return (line.form, line.subnet, line.way, *figures, f"{line.time:.2f}", f"{line.size:.2f}")


if __name__ == "__main__":
    sys.exit(main("export.int8", measure))
