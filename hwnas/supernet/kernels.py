"""Small depthwise kernels from large ones: the centre of the next larger kernel times a matrix that all channels share, size after size.

From Once-for-All (Cai et al. 2020, arXiv 1908.09791). The gradient is written out: as a chain of separate operations it takes torch more
time to record and walk through than a small convolution takes to compute.
"""

from __future__ import annotations

from math import isqrt
from typing import Any

from torch import Tensor
from torch.autograd import Function


def smaller_kernel(weight: Tensor, width: int, matrices: tuple[Tensor, ...]) -> Tensor:
    """``weight (C, 1, K, K)``, matrices ``(k*k, k*k)`` of falling sizes k below K ``-> (width, 1, k, k)`` of the last size."""
    result: Tensor = _Smaller.apply(weight, width, *matrices)  # type: ignore[no-untyped-call]
    return result


class _Smaller(Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, width: int, *matrices: Tensor) -> Tensor:
        kernel = weight[:width, 0]
        centres = []
        for matrix in matrices:
            centres.append(_centre(kernel, _side(matrix)).reshape(width, -1))
            kernel = (centres[-1] @ matrix.t()).view(width, _side(matrix), -1)
        ctx.save_for_backward(*matrices, *centres)
        ctx.shape = weight.shape
        return kernel.unsqueeze(1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        n = len(ctx.saved_tensors) // 2
        matrices, centres = ctx.saved_tensors[:n], ctx.saved_tensors[n:]
        sides = [ctx.shape[-1], *map(_side, matrices)]
        width = len(centres[0])
        grad = grads[0].reshape(width, -1)
        d_matrices: list[Tensor] = []
        for i in reversed(range(n)):
            d_matrices.insert(0, grad.t() @ centres[i])
            whole = grad.new_zeros(ctx.shape if i == 0 else (width, sides[i], sides[i]))
            part = whole[:width, 0] if i == 0 else whole
            _centre(part, sides[i + 1]).copy_((grad @ matrices[i]).view(width, sides[i + 1], -1))
            grad = whole if i == 0 else whole.view(width, -1)
        return grad, None, *d_matrices


def _side(matrix: Tensor) -> int:
    return isqrt(matrix.shape[0])


def _centre(kernel: Tensor, side: int) -> Tensor:
    """``(c, K, K) -> (c, side, side)``, a view."""
    cut = (kernel.shape[-1] - side) // 2
    return kernel[:, cut : cut + side, cut : cut + side]
