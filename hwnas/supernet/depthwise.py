"""Depthwise convolution whose gradient is fast on a CPU.

The forward pass and the gradient of the input are torch's own. torch's gradient of a depthwise weight of 5 x 5 or 7 x 7 takes ten to a
hundred times as long as its forward pass, so here it is two matrix products: for every channel all products of an input pixel and an output
gradient, summed over the batch (``M = X^T G``), then the sums of those products that share a tap of the kernel (``M S``, ``S`` 0 or 1).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

LARGEST_MAP = 144
"""Input pixels up to which all pairs of pixels are cheaper than torch's own gradient."""


def depthwise_conv2d(x: Tensor, weight: Tensor, stride: int) -> Tensor:
    """``x: (N, C, H, W)``, ``weight: (C, 1, k, k) -> (N, C, H', W')`` with padding k // 2; the same bits as ``F.conv2d``."""
    slow = weight.shape[-1] > 3 and x.shape[2] * x.shape[3] <= LARGEST_MAP and x.device.type == "cpu"
    if slow and torch.is_grad_enabled() and weight.requires_grad:
        result: Tensor = _Depthwise.apply(x, weight, stride)  # type: ignore[no-untyped-call]
        return result
    return F.conv2d(x, weight, None, stride, weight.shape[-1] // 2, groups=x.shape[1])


class _Depthwise(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride = stride
        return F.conv2d(x, weight, None, stride, weight.shape[-1] // 2, groups=x.shape[1])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor, None]:
        (grad,) = grads
        x, weight = ctx.saved_tensors
        d_x = None
        if ctx.needs_input_grad[0]:
            pad = weight.shape[-1] // 2
            d_x = torch.ops.aten.convolution_backward(
                grad, x, weight, None, [ctx.stride] * 2, [pad] * 2, [1, 1], False, [0, 0], x.shape[1], [True, False, False]
            )[0]
        return d_x, _weight_gradient(x, grad, weight.shape[-1], ctx.stride), None


def _weight_gradient(x: Tensor, grad: Tensor, kernel: int, stride: int) -> Tensor:
    n, c = x.shape[:2]
    inputs = x.contiguous().view(n, c, -1).permute(1, 2, 0)
    outputs = grad.contiguous().view(n, c, -1).permute(1, 0, 2)
    pairs = torch.bmm(inputs, outputs).view(c, -1)
    taps = _taps(tuple(x.shape[2:]), tuple(grad.shape[2:]), kernel, stride, x.dtype)
    return (pairs @ taps).view(c, 1, kernel, kernel)


@lru_cache(maxsize=64)
def _taps(size: tuple[int, int], out: tuple[int, int], kernel: int, stride: int, dtype: torch.dtype) -> Tensor:
    """``S``: ``(H W H' W', k k)``, 1 where the tap joins the input pixel to the output pixel."""

    def axis(length: int, out_length: int) -> Tensor:
        tap = torch.arange(length)[:, None] - stride * torch.arange(out_length)[None] + kernel // 2
        return (tap[:, :, None] == torch.arange(kernel)).to(dtype)

    rows, columns = axis(size[0], out[0]), axis(size[1], out[1])
    return torch.einsum("hai,wbj->hwabij", rows, columns).reshape(-1, kernel * kernel).contiguous()
