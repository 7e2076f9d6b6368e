"""Small depthwise kernels from large ones: the centre of the next larger kernel times a matrix that all channels share, size after size.

From Once-for-All (Cai et al. 2020, arXiv 1908.09791). The gradient is written out, and views are taken in one step each: such small
tensors take torch more time to look after than to compute.
"""

from __future__ import annotations

from math import isqrt
from typing import Any

import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function


def smaller_kernel(weight: Tensor, width: int, matrices: tuple[Tensor, ...]) -> Tensor:
    """``weight (C, 1, K, K)``, matrices ``(k*k, k*k)`` of falling sizes k below K ``-> (width, 1, k, k)`` of the last size."""
    result: Tensor = _Smaller.apply(weight, width, *matrices)  # type: ignore[no-untyped-call]
    return result


class _Smaller(Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, width: int, *matrices: Tensor) -> Tensor:
        kernel, centres = weight, []
        for matrix in matrices:
            centres.append(_centre(kernel, width, isqrt(matrix.shape[0])))
            kernel = F.linear(centres[-1], matrix).view(width, 1, isqrt(matrix.shape[0]), -1)
        ctx.save_for_backward(*matrices, *centres)
        ctx.shape = weight.shape
        return kernel

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        n = len(ctx.saved_tensors) // 2
        matrices, centres = ctx.saved_tensors[:n], ctx.saved_tensors[n:]
        channels, _, side, _ = ctx.shape
        sides = [side, *(isqrt(matrix.shape[0]) for matrix in matrices)]
        width = len(centres[0])
        grad = grads[0]
        d_matrices: list[Tensor] = []
        for i in reversed(range(n)):
            flat = grad.reshape(width, -1)
            d_matrices.insert(0, flat.t() @ centres[i])
            cut = (sides[i] - sides[i + 1]) // 2
            around = (cut, cut, cut, cut, 0, 0, 0, 0 if i else channels - width)
            grad = F.pad((flat @ matrices[i]).view(width, 1, sides[i + 1], -1), around)
        return grad, None, *d_matrices


def _centre(kernel: Tensor, width: int, side: int) -> Tensor:
    """The centres of the leading kernels, ``(C, 1, K, K) -> (width, side * side)``."""
    channel, _, row, column = kernel.stride()
    start = kernel.storage_offset() + (kernel.shape[-1] - side) // 2 * (row + column)
    return kernel.as_strided((width, side, side), (channel, row, column), start).reshape(width, -1)
