"""Channel sorting: the channels that matter most come first, because a smaller expand ratio keeps the leading ones.

Importance is the L1 norm of the weights that the projection gives a channel (Cai et al. 2020, Once-for-All, arXiv 1908.09791). The largest
subnet computes the same as before; sort before an optimiser has moments for the weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from hwnas.core.errors import ConfigError
from hwnas.space.mobilenet_v3 import DEPTHS, EXPANDS, KERNELS, block_spec, plan_of
from hwnas.supernet.elastic import ElasticBatchNorm, ElasticInvertedResidual, ElasticSqueezeExcite
from hwnas.supernet.family import Supernet
from hwnas.supernet.mobilenet_v3 import MobileNetV3Supernet


def sort_supernet(supernet: Supernet, *, trained: int = 1) -> None:
    """Sort every elastic block in place; ``trained`` says how many of the expand ratios, the largest first, were trained already.

    The channels that only a larger one of those ratios has stay behind those that the next smaller one has, too.
    """
    if not isinstance(supernet, MobileNetV3Supernet):
        raise ConfigError(f"the channels of a {type(supernet).__name__} are not those of a MobileNetV3 supernet")
    if not 1 <= trained <= len(EXPANDS):
        raise ConfigError(f"channels are sorted when 1 to {len(EXPANDS)} expand ratios were trained, not {trained}")
    plan = plan_of(supernet.space)
    for s in range(len(plan.stages)):
        for b in range(max(DEPTHS)):
            widest, *others = (block_spec(plan, s, b, max(KERNELS), ratio) for ratio in sorted(EXPANDS, reverse=True)[:trained])
            sort_channels(supernet.block(widest), ahead=[spec.mid for spec in others])


def sort_channels(block: ElasticInvertedResidual, *, ahead: Sequence[int] = ()) -> None:
    """Sort the middle channels of ``block`` in place, the most important first, but none across one of the widths ``ahead``.

    Then the channels inside squeeze-and-excitation, by the L1 norm of what each gives to the gates.
    """
    if block.expand is None:
        raise ConfigError("a block without expansion has the channels of the block before it; they cannot be sorted by themselves")
    with torch.no_grad():
        order = _descending(block.project.conv.weight, dim=1, ahead=ahead)
        _permute(block.project.conv.weight, 1, order)
        _permute(block.depthwise.conv.weight, 0, order)
        _permute(block.expand.conv.weight, 0, order)
        for norm in (block.depthwise.bn, block.expand.bn):
            _permute_norm(norm, order)
        if block.se is not None:
            _permute_se(block.se, order)


def _permute_se(se: ElasticSqueezeExcite, order: Tensor) -> None:
    _permute(se.expand.weight, 0, order)
    _permute(se.expand.bias, 0, order)
    _permute(se.reduce.weight, 1, order)
    inner = _descending(se.expand.weight, dim=1)
    _permute(se.expand.weight, 1, inner)
    _permute(se.reduce.weight, 0, inner)
    _permute(se.reduce.bias, 0, inner)


def _permute_norm(norm: ElasticBatchNorm, order: Tensor) -> None:
    for each in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
        _permute(each, 0, order)


def _descending(weight: Tensor, *, dim: int, ahead: Sequence[int] = ()) -> Tensor:
    """Positions along ``dim`` by falling L1 norm, sorted between the widths ``ahead`` alone."""
    importance = weight.abs().sum(dim=[d for d in range(weight.ndim) if d != dim])
    cuts = sorted({0, *ahead, len(importance)})
    return torch.cat([a + torch.sort(importance[a:b], descending=True, stable=True).indices for a, b in pairwise(cuts)])


def _permute(values: nn.Parameter | Tensor | None, dim: int, order: Tensor) -> None:
    if values is not None:
        values.copy_(values.index_select(dim, order))
