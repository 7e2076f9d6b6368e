"""The fast gradient of depthwise weights against torch's own."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from hwnas.supernet.depthwise import LARGEST_MAP, depthwise_conv2d


def gradients(function, x, weight, grad):
    x, weight = x.clone().requires_grad_(), weight.clone().requires_grad_()
    y = function(x, weight)
    y.backward(grad[:, :, : y.shape[2], : y.shape[3]])
    return y.detach(), x.grad, weight.grad


@given(
    kernel=st.sampled_from([3, 5, 7]),
    stride=st.sampled_from([1, 2]),
    height=st.integers(1, 12),
    width=st.integers(1, 12),
    channels=st.integers(1, 5),
    last=st.booleans(),
)
def test_same_output_bits_and_same_gradients(kernel, stride, height, width, channels, last):
    generator = torch.Generator().manual_seed(height * 13 + width)
    x = torch.randn(4, channels, height, width, generator=generator, dtype=torch.float64)
    x = x.contiguous(memory_format=torch.channels_last) if last else x
    weight = torch.randn(channels, 1, kernel, kernel, generator=generator, dtype=torch.float64)
    grad = torch.randn(4, channels, height, width, generator=generator, dtype=torch.float64)
    fast = gradients(lambda x, w: depthwise_conv2d(x, w, stride), x, weight, grad)
    slow = gradients(lambda x, w: F.conv2d(x, w, None, stride, kernel // 2, groups=channels), x, weight, grad)
    assert torch.equal(fast[0], slow[0])
    for ours, theirs in zip(fast[1:], slow[1:], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)


def test_the_gradient_is_that_of_finite_differences():
    x = torch.randn(2, 3, 5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    weight = torch.randn(3, 1, 5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1), requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, w: depthwise_conv2d(x, w, 2), (x, weight))


@pytest.mark.parametrize(("kernel", "side", "fast"), [(3, 6, False), (5, 6, True), (7, 12, True), (7, 13, False)])
def test_small_kernels_and_large_maps_are_left_to_torch(kernel, side, fast):
    assert LARGEST_MAP == 144
    x, weight = torch.zeros(1, 2, side, side), torch.zeros(2, 1, kernel, kernel, requires_grad=True)
    assert ("_Depthwise" in type(depthwise_conv2d(x, weight, 1).grad_fn).__name__) == fast


def test_an_input_that_needs_no_gradient_gets_none():
    x, weight = torch.ones(1, 2, 4, 4), torch.ones(2, 1, 5, 5, requires_grad=True)
    depthwise_conv2d(x, weight, 1).sum().backward()
    assert x.grad is None
    assert weight.grad is not None
    assert weight.grad[0, 0, 2, 2] == 16
    with torch.no_grad():
        assert depthwise_conv2d(x, weight, 1).grad_fn is None
