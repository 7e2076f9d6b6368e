"""Does an official checkpoint of Once-for-All compute here what the reference implementation computes, and do exported files, too?

The published fixture holds random weights under the reference's keys and the reference's logits: of eight subnets at two resolutions in
single and double precision, after channel sorting, and after recalibration. The weights are written as official files spell them and
read back as any checkpoint is. Then every subnet is exported; and one goes a user's way: ``hwnas train --from-ofa``, ``hwnas export``.

That one is a net of random weights whose batch norm knows noise alone. On pixels that are unlike what it was recalibrated on it enlarges
every rounding a thousandfold, so that torch in single precision is no better than the files: rows ``rounding_…`` tell how far each is
from the same net in double precision. There is no target for them: single precision has no answer that is right to the limit.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

import hwnas.export
import hwnas.supernet.mobilenet_v3  # noqa: F401  (registers its supernets)
from benchmarks.harness import Outcome, Target, main
from benchmarks.reference import published
from hwnas.cli.main import call
from hwnas.core.arch import SearchSpace
from hwnas.core.result import Artifact
from hwnas.export.exporter import ExportSpec, exporter_for
from hwnas.export.lower import lower
from hwnas.export.torch_network import Network as GraphNetwork
from hwnas.export.verify import TOLERANCE, parity
from hwnas.pipeline.accuracy import Trained
from hwnas.pipeline.context import Context
from hwnas.space.family import SpaceOptions, find_space
from hwnas.supernet.calibrate import recalibrate
from hwnas.supernet.family import Supernet, supernet_family
from hwnas.supernet.ofa import read_ofa
from hwnas.supernet.sorting import sort_supernet
from hwnas.workspace import Workspace
from tests.rig.ofa import SORTED, Arrays, architecture, as_published, read_fixture, settings_of, state_of

RUNTIMES = ("onnxruntime", "litert")
SIZES = (160, 176)
CHECKPOINT = "ofa_mbv3_d234_e346_k357_w1.0"
CONFIG = """
[data]
source = "images"
[space]
preset = "ofa-w1.0"
resolutions = [160]
[accuracy]
subnets = 10
recalibration_images = 20
"""
ROUNDING, NOISE_IMAGES = "rounding_", 8
Row = tuple[str, str, float, float]
"""What was compared, how, the largest difference, and the largest that is allowed."""


def measure(quick: bool) -> Outcome:
    """Compare everything; ``quick`` leaves out most of the exported subnets and the commands."""
    published("ofa_parity/ofa_mbv3_parity.npz")
    fixture, space = read_fixture(), find_space("ofa-w1.0", SpaceOptions(classes=10))
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder) / CHECKPOINT
        torch.save({"state_dict": as_published(state_of(fixture))}, checkpoint)

        def load(kind: torch.dtype = torch.float32) -> Supernet:
            net = supernet_family(space).build(space, seed=0)
            read_ofa(checkpoint, net)
            return net.to(kind).eval()

        rows = [
            *_plain(fixture, space, load(), "logits", 1e-5),
            *_plain(fixture, space, load(torch.float64), "logits64", 1e-9),
            *_sorted(fixture, space, load()),
            *_recalibrated(fixture, space, load()),
            *_exported(fixture, space, load(), Path(folder), only=2 if quick else None),
        ]
        if not quick:
            rows += _commands(Path(folder), checkpoint)
    kinds = list(dict.fromkeys(row[1] for row in rows))
    held = [kind for kind in kinds if not kind.startswith(ROUNDING)]
    figures = {f"worst_share_of_limit_{kind}": max(row[2] / row[3] for row in rows if row[1] == kind) for kind in kinds}
    figures |= {f"max_abs_{kind}": max(row[2] for row in rows if row[1] == kind) for kind in kinds} | {"comparisons": float(len(rows))}
    shown: list[tuple[object, ...]] = [(what, how, f"{found:.2g}", f"{limit:.2g}") for what, how, found, limit in rows]
    columns = ("what", "how", "largest difference", "allowed")
    return Outcome(columns, shown, figures, {f"worst_share_of_limit_{kind}": Target("<=", 1.0) for kind in held})


def _images(fixture: Arrays, size: int) -> torch.Tensor:
    return torch.from_numpy(fixture[f"input/{size}"].astype(np.float32))


def _off(logits: torch.Tensor, expected: NDArray[np.generic]) -> float:
    return float(np.abs(logits.numpy().astype(np.float64) - expected.astype(np.float64)).max())


def _plain(fixture: Arrays, space: SearchSpace, net: Supernet, name: str, limit: float) -> Iterator[Row]:
    """Every subnet as part of the supernet, and taken out of it."""
    kind = next(net.parameters()).dtype
    for i, setting in enumerate(settings_of(fixture)):
        for size in SIZES:
            arch, x = architecture(space, setting, size), _images(fixture, size).to(kind)
            with torch.inference_mode():
                outputs = (net(x, arch), supernet_family(space).extract(net, arch)(x))
            off = max(_off(logits, fixture[f"{name}/{i}/{size}"]) for logits in outputs)
            yield f"{setting['name']} at {size}", "float32" if kind == torch.float32 else "float64", off, limit


def _sorted(fixture: Arrays, space: SearchSpace, net: Supernet) -> Iterator[Row]:
    sort_supernet(net)
    for name, setting in SORTED.items():
        with torch.inference_mode():
            logits = net(_images(fixture, 160), architecture(space, setting, 160))
        yield f"{name} at 160", "sorted", _off(logits, fixture[f"sorted_logits/{name}/160"]), 1e-5


def _recalibrated(fixture: Arrays, space: SearchSpace, net: Supernet) -> Iterator[Row]:
    static = supernet_family(space).extract(net, architecture(space, SORTED["min"], 160))
    x = _images(fixture, 160)
    recalibrate(static, [x, x.flip(3)])
    with torch.inference_mode():
        yield "min at 160", "recalibrated", _off(static(x), fixture["recal_logits/min/160"]), 1e-5


def _exported(fixture: Arrays, space: SearchSpace, net: Supernet, folder: Path, *, only: int | None) -> Iterator[Row]:
    """Files of subnets with the batch norm of the checkpoint, against the reference's logits."""
    for i, setting in enumerate(settings_of(fixture)[:only]):
        arch = architecture(space, setting, 160)
        static = supernet_family(space).extract(net, arch)
        for norm in static.modules():
            if isinstance(norm, nn.BatchNorm2d) and norm.num_batches_tracked is not None:
                norm.num_batches_tracked.fill_(1)  # the statistics are the fixture's: they are what the reference used
        for runtime in RUNTIMES:
            exporter = exporter_for(runtime)
            file = exporter.export(static, ExportSpec(input_shape=(3, 160, 160), arch_id=arch.id), folder / f"{i}.{exporter.format}")
            figures = parity(fixture[f"logits/{i}/160"], exporter.run(file, fixture["input/160"].astype(np.float32))[0])
            yield f"{setting['name']} at 160", f"file_{exporter.format}", figures.max_abs, figures.limit or 0.0


def _commands(folder: Path, checkpoint: Path) -> Iterator[Row]:
    """The command line on ten classes of random squares: files against the recalibrated subnet in torch, on the test part."""
    root, rng = folder / "workspace", np.random.default_rng(0)
    for part, n in (("train", 2), ("val", 2), ("test", 1)):
        for label in range(10):
            place = root / "images" / part / f"class{label}"
            place.mkdir(parents=True)
            for i in range(n):
                Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)).resize((160, 160)).save(place / f"{i}.png")
    (root / "hwnas.toml").write_text(CONFIG)
    out = folder / "out"
    for command in (["train", "--from-ofa", str(checkpoint)], ["export", "largest", "--no-int8", "--out", str(out)]):
        if call([*command, "-w", str(root), "-q", "--json"]):
            raise SystemExit(f"hwnas {command[0]} failed")
    trained = Trained.load(Context(Workspace.open(root)))
    arch = trained.ctx.space.parse(json.loads((out / "manifest.json").read_text())["architecture"])
    x = trained.preprocessing(arch).normalise(np.asarray(trained.ctx.dataset.images("test", 160)))
    with torch.inference_mode():
        expected = trained.module(arch)(torch.from_numpy(x)).numpy()
    for runtime in RUNTIMES:
        exporter = exporter_for(runtime)
        file = Artifact(str(out / f"model.{exporter.format}"), "", runtime, "fp32", arch.id)
        figures = parity(expected, exporter.run(file, x)[0])
        yield "largest at 160", f"command_{exporter.format}", figures.max_abs, figures.limit or 0.0
    yield from _rounding(trained.module(arch), out, arch.id)


def _rounding(static: nn.Module, out: Path, arch_id: str) -> Iterator[Row]:
    """On standard normal pixels: how far from double precision each is, and what rounding weights or pixels once does by itself."""
    rng = np.random.default_rng(1)
    x = rng.standard_normal((NOISE_IMAGES, 3, 160, 160)).astype(np.float32)
    exact = deepcopy(static).double()
    folded = GraphNetwork(lower(static, (3, 160, 160))).double()
    moved = x.astype(np.float64) * (1 + 2.0**-24 * rng.choice([-1.0, 1.0], x.shape))
    with torch.inference_mode():
        expected = exact(torch.from_numpy(x).double()).numpy()
        answers = {
            "torch": static(torch.from_numpy(x)).numpy(),
            "weights_alone": folded(torch.from_numpy(x).double()).numpy(),
            "pixels_alone": exact(torch.from_numpy(moved)).numpy(),
        }
    for runtime in RUNTIMES:
        exporter = exporter_for(runtime)
        answers[exporter.format] = exporter.run(Artifact(str(out / f"model.{exporter.format}"), "", runtime, "fp32", arch_id), x)[0]
    limit = TOLERANCE * max(1.0, float(np.abs(expected).max()))
    for name, logits in answers.items():
        yield "largest at 160, normal pixels", f"{ROUNDING}{name}", float(np.abs(logits.astype(np.float64) - expected).max()), limit


if __name__ == "__main__":
    sys.exit(main("supernet.ofa_parity", measure))
