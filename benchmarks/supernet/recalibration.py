"""How long recalibrating and evaluating a subnet takes, together with others against each alone.

200 random subnets of ``tiny-32`` at all its resolutions, each recalibrated on 2,000 of the built-in images and evaluated on 2,000 others.
Alone, every subnet starts from the images; together, what subnets begin with in common is computed once. Both must agree in every bit.
Time is the processor time of the one thread that computes: what else the machine does is not in it.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

import hwnas.supernet.mobilenet_v3  # noqa: F401  (registers its supernets)
from benchmarks.harness import Outcome, Target, main
from hwnas.data import Limits, load_dataset
from hwnas.space.family import find_space
from hwnas.space.moves import sample, unique
from hwnas.supernet.accuracy import Subnets
from hwnas.supernet.family import supernet_family

IMAGES, SUBNETS = 2000, 200
"""What the target is about: the images that are recalibrated on and evaluated, and the subnets."""


def measure(quick: bool) -> Outcome:
    """Seconds a subnet, alone and together."""
    n, images = (12, 400) if quick else (SUBNETS, IMAGES)
    data = load_dataset("fashion-mnist", root=Path(), seed=0, limits=Limits(train=images, val=images, test=100))
    space = find_space("tiny-32")
    net = supernet_family(space).build(space, seed=0)
    codes = unique(sample(space, n, np.random.default_rng(0)))
    archs = [space.architecture(code) for code in codes]

    def subnets() -> Subnets:
        return Subnets(net, data, recalibration_images=images, torch_threads=1)

    for size in space.choices[0].options:  # images of every size are made before the clock starts
        data.images("train", int(size)), data.images("val", int(size))
    begin = time.thread_time()
    one_by_one = {}
    alone = subnets()
    for arch in archs:
        one_by_one[arch] = alone.accuracy(arch)
    alone_s = (time.thread_time() - begin) / len(archs)
    shared = subnets()
    begin = time.thread_time()
    together = dict(shared.accuracies(archs))
    together_s = (time.thread_time() - begin) / len(archs)
    begin = time.thread_time()
    for arch in archs:
        shared.subnet(arch)
    known_s = (time.thread_time() - begin) / len(archs)
    same = sum(together[arch] == one_by_one[arch] and _equal(shared.subnet(arch), alone.subnet(arch)) for arch in archs) / len(archs)
    figures = {
        "alone_s": alone_s,
        "together_s": together_s,
        "speedup": alone_s / together_s,
        "known_s": known_s,
        "same_share": same,
        "subnets": float(len(archs)),
        "images": float(images),
    }
    rows: list[tuple[object, ...]] = [
        ("each alone", f"{1e3 * alone_s:.1f}"),
        ("together", f"{1e3 * together_s:.1f}"),
        ("again, statistics known", f"{1e3 * known_s:.1f}"),
    ]
    return Outcome(("how", "ms a subnet"), rows, figures, {"same_share": Target(">=", 1.0), "speedup": Target(">=", 1.0)})


def _equal(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


if __name__ == "__main__":
    sys.exit(main("supernet.recalibration", measure))
