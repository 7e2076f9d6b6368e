"""Elastic modules: one set of weights, many widths and kernels; the size to compute is an argument, never a state.

Every slice takes the leading channels. A smaller depthwise kernel is the centre of the next larger one, times a learned matrix that all
channels share and that starts as the identity (Cai et al. 2020, Once-for-All, arXiv 1908.09791). In training mode batch norm uses the
batch's statistics and leaves the running ones alone: those have a meaning only for one subnet, after recalibration.

``fill`` copies the leading part into the plain module of `hwnas.supernet.static` whose shape says how much.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hwnas.space.mobilenet_v3 import BlockSpec
from hwnas.supernet.depthwise import depthwise_conv2d
from hwnas.supernet.kernels import smaller_kernel
from hwnas.supernet.static import BN_EPS, ConvBnAct, InvertedResidual, SqueezeExcite, activation, squeezed


class ElasticConv(nn.Module):
    """Dense convolution with padding k // 2: ``weight (out, in, k, k)``, input width that of ``x``."""

    def __init__(self, in_width: int, out_width: int, *, kernel: int = 1, stride: int = 1, bias: bool = False) -> None:
        super().__init__()
        self.stride = stride
        self.weight = nn.Parameter(torch.empty(out_width, in_width, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(out_width)) if bias else None

    def forward(self, x: Tensor, out: int) -> Tensor:
        """``(N, c, H, W) -> (N, out, H', W')`` with ``c`` and ``out`` up to the full widths."""
        bias = None if self.bias is None else _leading(self.bias, out)
        return F.conv2d(x, _leading(self.weight, out, x.shape[1]), bias, self.stride, self.weight.shape[-1] // 2)

    def fill(self, conv: nn.Conv2d) -> None:
        """Copy the leading part into ``conv``."""
        _copy(conv.weight, _leading(self.weight, *conv.weight.shape[:2]))
        if self.bias is not None and conv.bias is not None:
            _copy(conv.bias, _leading(self.bias, len(conv.bias)))


class ElasticDepthwise(nn.Module):
    """Depthwise convolution of any of ``kernels``: a weight ``(width, 1, K, K)`` of the largest, a matrix ``(k*k, k*k)`` for each other."""

    def __init__(self, width: int, *, kernels: Sequence[int], stride: int) -> None:
        super().__init__()
        self.sizes = tuple(sorted(kernels, reverse=True))
        self.stride = stride
        self.weight = nn.Parameter(torch.empty(width, 1, self.sizes[0], self.sizes[0]))
        self.transforms = nn.ParameterDict({str(k): nn.Parameter(torch.eye(k * k)) for k in self.sizes[1:]})

    def kernel(self, size: int, width: int) -> Tensor:
        """The kernel of ``size`` for the leading ``width`` channels, ``(width, 1, size, size)``."""
        if size == self.sizes[0]:
            return _leading(self.weight, width)
        return smaller_kernel(self.weight, width, tuple(self.transforms[str(side)] for side in self.sizes[1:] if side >= size))

    def forward(self, x: Tensor, size: int) -> Tensor:
        """``(N, c, H, W) -> (N, c, H', W')``."""
        return depthwise_conv2d(x, self.kernel(size, x.shape[1]), self.stride)

    def fill(self, conv: nn.Conv2d) -> None:
        """Copy the kernel of ``conv``'s size for its channels into it."""
        with torch.no_grad():
            _copy(conv.weight, self.kernel(conv.kernel_size[0], conv.out_channels))


class ElasticBatchNorm(nn.Module):
    """Batch norm of the leading channels."""

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))
        self.register_buffer("running_mean", torch.zeros(width))
        self.register_buffer("running_var", torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise by the batch in training mode, by the running statistics otherwise."""
        c = x.shape[1]
        weight, bias = _leading(self.weight, c), _leading(self.bias, c)
        if self.training:
            return F.batch_norm(x, None, None, weight, bias, training=True, eps=BN_EPS)
        return F.batch_norm(x, self.running_mean[:c], self.running_var[:c], weight, bias, eps=BN_EPS)

    def fill(self, bn: nn.BatchNorm2d) -> None:
        """Copy the leading part into ``bn``, which then counts no batches: it is not recalibrated."""
        for name in ("weight", "bias", "running_mean", "running_var"):
            _copy(getattr(bn, name), _leading(getattr(self, name), bn.num_features))
        if bn.num_batches_tracked is not None:
            bn.num_batches_tracked.zero_()


class ElasticConvBnAct(nn.Module):
    """`ConvBnAct` of any leading widths."""

    def __init__(self, in_width: int, out_width: int, *, kernel: int = 1, stride: int = 1, act: str = "none") -> None:
        super().__init__()
        self.conv = ElasticConv(in_width, out_width, kernel=kernel, stride=stride)
        self.bn = ElasticBatchNorm(out_width)
        self.act = activation(act)

    def forward(self, x: Tensor, out: int) -> Tensor:
        """``(N, c, H, W) -> (N, out, H', W')``."""
        x = self.bn(self.conv(x, out))
        return x if self.act is None else self.act(x)

    def fill(self, target: ConvBnAct) -> None:
        """Copy the leading part into ``target``."""
        self.conv.fill(target.conv)
        self.bn.fill(target.bn)


class ElasticDepthwiseBnAct(nn.Module):
    """Depthwise `ConvBnAct` of any of the kernels and any leading width."""

    def __init__(self, width: int, *, kernels: Sequence[int], stride: int, act: str) -> None:
        super().__init__()
        self.conv = ElasticDepthwise(width, kernels=kernels, stride=stride)
        self.bn = ElasticBatchNorm(width)
        self.act = activation(act)

    def forward(self, x: Tensor, kernel: int) -> Tensor:
        """``(N, c, H, W) -> (N, c, H', W')``."""
        x = self.bn(self.conv(x, kernel))
        return x if self.act is None else self.act(x)

    def fill(self, target: ConvBnAct) -> None:
        """Copy the leading part into ``target``."""
        self.conv.fill(target.conv)
        self.bn.fill(target.bn)


class ElasticSqueezeExcite(nn.Module):
    """`SqueezeExcite` of the leading channels; the width between its convolutions follows the width of ``x``."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.reduce = ElasticConv(width, squeezed(width), bias=True)
        self.act = nn.ReLU()
        self.expand = ElasticConv(squeezed(width), width, bias=True)
        self.gate = nn.Hardsigmoid()

    def forward(self, x: Tensor) -> Tensor:
        """``(N, c, H, W) -> (N, c, H, W)``."""
        c = x.shape[1]
        gate: Tensor = self.gate(self.expand(self.act(self.reduce(self.pool(x), squeezed(c))), c))
        return x * gate

    def fill(self, target: SqueezeExcite) -> None:
        """Copy the leading part into ``target``."""
        self.reduce.fill(target.reduce)
        self.expand.fill(target.expand)


class ElasticInvertedResidual(nn.Module):
    """`InvertedResidual` with elastic kernel and middle width; ``spec`` is the largest, ``kernels`` are those to choose from."""

    def __init__(self, spec: BlockSpec, *, kernels: Sequence[int]) -> None:
        super().__init__()
        self.residual = spec.residual
        self.expand = None if spec.mid == spec.in_width else ElasticConvBnAct(spec.in_width, spec.mid, act=spec.act)
        self.depthwise = ElasticDepthwiseBnAct(spec.mid, kernels=kernels, stride=spec.stride, act=spec.act)
        self.se = ElasticSqueezeExcite(spec.mid) if spec.se else None
        self.project = ElasticConvBnAct(spec.mid, spec.out_width)

    def forward(self, x: Tensor, spec: BlockSpec) -> Tensor:
        """``(N, in, H, W) -> (N, out, H', W')`` with the kernel and the middle width of ``spec``."""
        y: Tensor = x if self.expand is None else self.expand(x, spec.mid)
        y = self.depthwise(y, spec.kernel)
        y = y if self.se is None else self.se(y)
        y = self.project(y, spec.out_width)
        return x + y if self.residual else y

    def fill(self, target: InvertedResidual) -> None:
        """Copy the part that ``target`` has into it."""
        if self.expand is not None and target.expand is not None:
            self.expand.fill(target.expand)
        self.depthwise.fill(target.depthwise)
        if self.se is not None and target.se is not None:
            self.se.fill(target.se)
        self.project.fill(target.project)


def _leading(values: Tensor, *sizes: int) -> Tensor:
    """The leading part of the first dimensions; the tensor itself where that is all of it, so that no copy of a gradient is made."""
    for dim, size in enumerate(sizes):
        if size != values.shape[dim]:
            values = values.narrow(dim, 0, size)
    return values


def _copy(target: Tensor, source: Tensor) -> None:
    with torch.no_grad():
        target.copy_(source)
