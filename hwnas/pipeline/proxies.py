"""``hwnas accuracy proxies``: what untrained networks tell of subnets, where nothing was trained yet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

import hwnas.supernet.mobilenet_v3  # noqa: F401  (registers its supernets)
from hwnas.core.errors import DataError
from hwnas.pipeline.context import Context
from hwnas.pipeline.subnets import find_architecture
from hwnas.space.family import family_of
from hwnas.supernet.family import supernet_family
from hwnas.supernet.proxies import PROXIES, score


def proxies(ctx: Context, texts: Sequence[str], *, names: Sequence[str], images: int) -> list[dict[str, Any]]:
    """Scores of each subnet in ``texts`` (as ``hwnas export`` takes them), untrained, on the first training images."""
    wanted = tuple(names) or PROXIES.names()
    for name in wanted:
        PROXIES.get(name)
    space, data = ctx.space, ctx.dataset
    archs = [find_architecture(space, ctx.store.root, text) for text in texts]
    if data.part("train").n < images:
        raise DataError(f"data set '{data.name}' has {data.part('train').n} training images, fewer than {images}; set --images lower")
    labels = torch.tensor(data.labels("train")[:images])  # copied: the data set cannot be written to
    rows = []
    for arch in archs:
        size = family_of(space).resolution(space, arch)
        x = torch.from_numpy(data.preprocessing(size).normalise(data.images("train", size)[:images]))
        net = supernet_family(space).static(space, arch, seed=ctx.config.seed)
        rows.append({"arch": arch.id, **{name: score(name, net, x, labels) for name in wanted}})
    return rows
