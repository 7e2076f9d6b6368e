"""How do files of every format and precision answer, how lean are they, and is any slower than a plain export or than one by hand?

Random subnets of ``ofa-w1.0`` and ``tiny-32``, untrained, recalibrated on Fashion-MNIST, with a last layer that is fitted to its classes
on their random features, so that the best class means something. ``pt2`` in fp16 and bf16 is for GPUs and left out. A plain export is
``torch.onnx.export`` (of the module in the same precision) and litert-torch's, where that is installed; the one by hand is
`benchmarks.export._handwritten`. Times are of one thread, file by file in turn, so that whatever else the machine does befalls all alike;
a ratio is the median over the turns, then over the subnets.
"""

from __future__ import annotations

import copy
import importlib.util
import sys
import tempfile
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

import hwnas.supernet.mobilenet_v3  # noqa: F401  (registers its supernets)
from benchmarks.export._handwritten import handwritten
from benchmarks.harness import Outcome, Target, main
from hwnas.core.arch import Architecture, SearchSpace
from hwnas.core.result import Artifact
from hwnas.data import BUILT_IN, Limits, Preprocessing, load_dataset
from hwnas.export import EXPORTERS, ExportSpec
from hwnas.export.exporter import FORMAT_PRECISIONS, Images
from hwnas.export.to_onnx import onnx_session
from hwnas.export.to_tflite import tflite_runner
from hwnas.export.verify import PARITY_LIMITS, ParityLimit, parity
from hwnas.space.family import family_of, find_space
from hwnas.space.moves import sample
from hwnas.supernet.calibrate import recalibrate
from hwnas.supernet.family import supernet_family
from hwnas.supernet.static import Network

SPACES = ("ofa-w1.0", "tiny-32")
FORMATS = [(form, precision) for form in FORMAT_PRECISIONS for precision in FORMAT_PRECISIONS[form] if form != "pt2" or precision == "fp32"]
SUBNETS, QUICK_SUBNETS = 30, 2
FITTED, ANSWERED, CALIBRATED = 64, 32, 8
ROUNDS, CALLS = 15, 3
LITERT_TORCH = importlib.util.find_spec("litert_torch") is not None
LITERT_SUBNETS = 3  # of each space: it takes half a minute for one
RIDGE = 10.0
TARGETS = {
    "fp32_parity": Target("<=", 1.0),
    "fp16_parity": Target("<=", 1.0),
    "fp16_top1_agreement": Target(">=", 0.995),
    "transposes": Target("<=", 0),
    "onnx_fp32_to_plain": Target("<=", 1.02),
    "onnx_fp32_to_hand": Target("<=", 1.02),
    "onnx_fp16_to_plain": Target("<=", 1.02),
    "onnx_fp16_to_hand": Target("<=", 1.02),
    **({"tflite_fp32_to_plain": Target("<=", 1.02)} if LITERT_TORCH else {}),
}
Key = tuple[str, str, str]


@dataclass
class Found:
    """Of one format and precision in one space, a figure a subnet."""

    off: list[float] = field(default_factory=list)
    same: list[float] = field(default_factory=list)
    nodes: list[int] = field(default_factory=list)
    transposes: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    size_bytes: list[int] = field(default_factory=list)
    to_plain: list[float] = field(default_factory=list)
    to_hand: list[float] = field(default_factory=list)


def measure(quick: bool) -> Outcome:
    """Every subnet in every format."""
    found: dict[Key, Found] = defaultdict(Found)
    n = QUICK_SUBNETS if quick else SUBNETS
    with tempfile.TemporaryDirectory() as folder:
        for name in SPACES[1:] if quick else SPACES:
            for number, (net, images) in enumerate(_subnets(find_space(name), n)):
                _one(net, images, Path(folder), {key: found[name, *key] for key in FORMATS}, converted=number < LITERT_SUBNETS)
                print(f"{name}: {number + 1} of {n}", file=sys.stderr)
    rows: list[tuple[object, ...]] = [_row(key, one) for key, one in found.items()]
    columns = ("space", "format", "subnets", "off / limit", "same class %", "nodes", "transposes", "s", "kB", "to plain", "by hand")
    return Outcome(columns, rows, _figures(found), TARGETS)


def _subnets(space: SearchSpace, n: int) -> Iterator[tuple[Network, Images]]:
    """Random subnets with the normalised images that they are asked about, ``(FITTED + ANSWERED, C, R, R)``."""
    limits = Limits(train=FITTED, val=10, test=ANSWERED)
    data = load_dataset(next(iter(BUILT_IN)), root=Path(), seed=0, limits=limits)
    channels = space.input_shape[0]
    labels = np.asarray(data.labels("train"))
    for number, row in enumerate(sample(space, n, np.random.default_rng(1))):
        arch = Architecture(space.id, tuple(int(i) for i in row))
        size = family_of(space).resolution(space, arch)
        pixels = np.concatenate([np.asarray(data.images(part, size)) for part in ("train", "test")])
        steps = Preprocessing(size=size, colour="L", mean=(0.286,), std=(0.353,))
        images = np.ascontiguousarray(np.repeat(steps.normalise(pixels), channels, axis=1))
        net = supernet_family(space).static(space, arch, seed=number)
        assert isinstance(net, Network)
        recalibrate(net, [torch.from_numpy(images[:FITTED])])
        _fit(net, images[:FITTED], labels)
        yield net, images


def _fit(net: Network, images: Images, labels: NDArray[np.int64]) -> None:
    """The last layer by ridge regression: 10 for the class of an image, 0 for the others."""
    head = net.head
    with torch.no_grad():
        x = net.final_expand(net.blocks(net.stem(torch.from_numpy(images))))
        features = torch.flatten(head.act(head.mix(head.pool(x))), 1).double()
        wanted = torch.zeros(len(images), head.classifier.out_features, dtype=torch.float64)
        wanted[torch.arange(len(images)), torch.from_numpy(labels.copy())] = 10.0
        level = wanted.mean(0)
        kernel = features @ features.T
        scale = kernel.diagonal().mean() / RIDGE / len(images)
        head.classifier.weight.copy_((features.T @ torch.linalg.solve(kernel + scale * torch.eye(len(images)), wanted - level)).T)
        head.classifier.bias.copy_(level)


def _one(net: Network, images: Images, folder: Path, found: Mapping[tuple[str, str], Found], *, converted: bool) -> None:
    asked, shape = images[FITTED:], images.shape[1:]
    with torch.no_grad():
        wanted = net(torch.from_numpy(asked)).numpy()
    files: dict[tuple[str, str], Artifact] = {}
    for (form, precision), one in found.items():
        calibration = images[:CALIBRATED] if precision == "int8" else None
        spec = ExportSpec(input_shape=shape, precision=precision, calibration=calibration)
        begin = time.process_time()
        artifact = EXPORTERS.get(form).export(net, spec, folder / f"{precision}.{form}")
        one.seconds.append(time.process_time() - begin)
        files[form, precision] = artifact
        tolerance = PARITY_LIMITS[precision].tolerance
        # 8 bits are held to no limit; their figure is a share of the largest logit
        figures = parity(wanted, EXPORTERS.get(form).run(artifact, asked)[0], limit=ParityLimit(1.0 if tolerance is None else tolerance))
        one.off.append(figures.max_abs / (figures.limit or 1.0))
        one.same.append(figures.top1_agreement)
        contents = EXPORTERS.get(form).contents(artifact)
        one.nodes.append(contents.nodes)
        one.transposes.append(contents.transposes)
        one.size_bytes.append(Path(artifact.path).stat().st_size)
    for precision in ("fp32", "fp16"):
        half = precision == "fp16"
        own = _onnx_call(Path(files["onnx", precision].path), asked[:1])
        plain, hand = folder / f"plain.{precision}.onnx", folder / f"hand.{precision}.onnx"
        _plain_onnx(net, asked[:1], plain, half=half)
        hand.write_bytes(handwritten(net, shape[-1], half=half))
        to_plain, to_hand = _ratios(own, [_onnx_call(path, asked[:1].astype(np.float16 if half else np.float32)) for path in (plain, hand)])
        found["onnx", precision].to_plain.append(to_plain)
        found["onnx", precision].to_hand.append(to_hand)
    if LITERT_TORCH and converted:
        plain = folder / "plain.tflite"
        _plain_tflite(net, asked[:1], plain)
        calls = [_tflite_call(Path(path), asked[:1]) for path in (files["tflite", "fp32"].path, plain)]
        found["tflite", "fp32"].to_plain += _ratios(calls[0], calls[1:])


def _plain_onnx(net: Network, image: Images, path: Path, *, half: bool) -> None:
    example = torch.from_numpy(image)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that this exporter is deprecated
        module = copy.deepcopy(net).half() if half else net
        torch.onnx.export(module, (example.half() if half else example,), str(path), dynamo=False, opset_version=17)


def _plain_tflite(net: Network, image: Images, path: Path) -> None:
    import litert_torch

    last = litert_torch.to_channel_last_io(net, args=[0]).eval()
    litert_torch.convert(last, (torch.from_numpy(np.ascontiguousarray(image.transpose(0, 2, 3, 1))),)).export(str(path))


def _onnx_call(path: Path, image: NDArray[np.floating]) -> Callable[[], object]:
    session = onnx_session(path)
    taken = {session.get_inputs()[0].name: image}
    return lambda: session.run(None, taken)


def _tflite_call(path: Path, image: Images) -> Callable[[], object]:
    runner = tflite_runner(path)
    taken = {next(iter(runner.get_input_details())): np.ascontiguousarray(image.transpose(0, 2, 3, 1))}
    return lambda: runner(**taken)


def _ratios(own: Callable[[], object], others: list[Callable[[], object]]) -> list[float]:
    """By how much ``own`` takes longer than each of the others: the median over turns of the ratio of the shortest calls in a turn."""
    calls = [own, *others]
    for call in calls:
        call()
    taken = np.empty((ROUNDS, len(calls)))
    for turn in range(ROUNDS):
        for i in (np.arange(len(calls)) + turn) % len(calls):
            taken[turn, i] = min(_seconds(calls[i]) for _ in range(CALLS))
    return [float(x) for x in np.median(taken[:, :1] / taken[:, 1:], axis=0)]


def _seconds(call: Callable[[], object]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def _row(key: Key, one: Found) -> tuple[object, ...]:
    space, form, precision = key
    ratios = [f"{np.median(ratio):.3f}" if ratio else "-" for ratio in (one.to_plain, one.to_hand)]
    return (
        space,
        f"{form} {precision}",
        len(one.off),
        f"{max(one.off):.3f}",
        f"{100 * np.mean(one.same):.2f}",
        f"{np.median(one.nodes):.0f}",
        max(one.transposes),
        f"{np.median(one.seconds):.2f}",
        f"{np.median(one.size_bytes) / 1000:.0f}",
        *ratios,
    )


def _figures(found: Mapping[Key, Found]) -> dict[str, float]:
    def those(form: str, precision: str) -> list[Found]:
        return [one for (_, f, p), one in found.items() if form in ("", f) and p == precision]

    figures = {f"{precision}_parity": max(max(one.off) for one in those("", precision)) for precision in ("fp32", "fp16")}
    figures["fp16_top1_agreement"] = float(np.mean([share for one in those("", "fp16") for share in one.same]))
    figures["transposes"] = float(max(max(one.transposes) for one in found.values()))
    for form, precision in (("onnx", "fp32"), ("onnx", "fp16"), ("tflite", "fp32")):
        for word in ("plain", "hand"):
            ratios = [ratio for one in those(form, precision) for ratio in getattr(one, f"to_{word}")]
            if ratios:
                figures[f"{form}_{precision}_to_{word}"] = float(np.median(ratios))
    return figures


if __name__ == "__main__":
    sys.exit(main("export.formats", measure))
