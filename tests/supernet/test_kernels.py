"""Small kernels from large ones: the written-out gradient is that of the operations it stands for, bit for bit."""

import pytest
import torch
import torch.nn.functional as F

from hwnas.supernet.elastic import ElasticDepthwise
from hwnas.supernet.kernels import smaller_kernel


def step_by_step(weight, width, matrices):
    """Slices and products, as torch records them."""
    kernel = weight.narrow(0, 0, width)
    for matrix in matrices:
        side = round(len(matrix) ** 0.5)
        cut = (kernel.shape[-1] - side) // 2
        centre = kernel[:, :, cut : cut + side, cut : cut + side].reshape(width, side * side)
        kernel = F.linear(centre, matrix).reshape(width, 1, side, side)
    return kernel


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
@pytest.mark.parametrize("width", [1, 5, 24])
@pytest.mark.parametrize("sides", [(5,), (5, 3), (3,)])
def test_values_and_gradients_are_those_of_the_operations(kind, width, sides):
    generator = torch.Generator().manual_seed(width)
    weight = torch.randn(24, 1, 7, 7, generator=generator, dtype=kind).requires_grad_()
    matrices = tuple(torch.randn(s * s, s * s, generator=generator, dtype=kind).requires_grad_() for s in sides)
    upstream = torch.randn(width, 1, sides[-1], sides[-1], generator=generator, dtype=kind)
    results = []
    for made in (smaller_kernel(weight, width, matrices), step_by_step(weight, width, matrices)):
        results.append((made.detach(), *torch.autograd.grad(made, [weight, *matrices], upstream)))
    for own, expected in zip(*results, strict=True):
        assert torch.equal(own, expected)


def test_the_gradient_is_the_derivative():
    weight = torch.randn(3, 1, 5, 5, dtype=torch.float64).requires_grad_()
    matrix = torch.randn(9, 9, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda w, m: smaller_kernel(w, 2, (m,)), (weight, matrix))


def test_the_largest_kernel_is_the_weight_itself():
    conv = ElasticDepthwise(4, kernels=(3, 5, 7), stride=1)
    with torch.no_grad():
        conv.weight.normal_()
    assert conv.kernel(7, 4) is conv.weight
    assert torch.equal(conv.kernel(7, 2), conv.weight[:2])
