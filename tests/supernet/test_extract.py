"""Taking a subnet out of a supernet changes no bit of what it computes."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import hwnas.space.mobilenet_v3  # noqa: F401 (registers)
from hwnas.core.arch import Block
from hwnas.core.errors import ConfigError, UnknownNameError
from hwnas.space.family import SpaceOptions, blocks_of, family_of, find_space
from hwnas.space.mobilenet_v3 import make_divisible
from hwnas.space.moves import sample
from hwnas.supernet.elastic import ElasticDepthwise
from hwnas.supernet.family import SUPERNETS, supernet_family
from hwnas.supernet.mobilenet_v3 import MobileNetV3Family, MobileNetV3Supernet, specs_of
from hwnas.supernet.static import ConvBnAct, squeezed

PLAIN = {
    "Conv2d", "BatchNorm2d", "ReLU", "Hardswish", "Hardsigmoid", "AdaptiveAvgPool2d", "Linear",
    "Sequential", "ConvBnAct", "SqueezeExcite", "InvertedResidual", "Head", "Network",
}  # fmt: skip


@pytest.fixture(scope="module")
def space():
    return find_space("tiny-32")


@pytest.fixture(scope="module")
def supernet(space):
    """A supernet in which every number differs from every other, as after training."""
    net = MobileNetV3Family().build(space, seed=3)
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for name, value in net.state_dict().items():
            if name.endswith("running_var"):
                value.uniform_(0.5, 1.5, generator=generator)
            else:
                value.add_(torch.randn(value.shape, generator=generator) * 0.1)
    return net


def images(space, arch, n=3):
    size = family_of(space).resolution(space, arch)
    return torch.randn(n, space.input_shape[0], size, size, generator=torch.Generator().manual_seed(5))


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**31), training=st.booleans(), last=st.booleans())
def test_extracted_subnet_equals_the_supernet_bit_for_bit(space, supernet, seed, training, last):
    arch = space.architecture(sample(space, 1, np.random.default_rng(seed))[0])
    x = images(space, arch)
    x = x.contiguous(memory_format=torch.channels_last) if last else x
    static = MobileNetV3Family().extract(supernet, arch)
    assert not static.training
    with torch.no_grad():
        assert torch.equal(supernet.train(training)(x, arch), static.train(training)(x))


def test_forward_leaves_no_state_behind(space, supernet):
    small, large = family_of(space).extremes(space)
    before = {name: value.clone() for name, value in supernet.state_dict().items()}
    x = images(space, small)
    with torch.no_grad():
        first = supernet.train()(x, small)
        supernet(x, large)
        assert torch.equal(supernet(x, small), first)
    assert all(torch.equal(value, before[name]) for name, value in supernet.state_dict().items())


def test_extracted_subnet_is_plain_and_shares_nothing(space, supernet):
    for arch in family_of(space).extremes(space):
        static = MobileNetV3Family().extract(supernet, arch)
        assert {type(module).__name__ for module in static.modules()} <= PLAIN
        assert all(bn.num_batches_tracked == 0 for bn in static.modules() if isinstance(bn, nn.BatchNorm2d))
        storages = {value.data_ptr() for value in supernet.state_dict().values()}
        assert storages.isdisjoint(value.data_ptr() for value in static.state_dict().values() if value.numel())
        torch.fx.symbolic_trace(static)


def test_blocks_chained_are_the_network(space, supernet):
    """The vocabulary's blocks have the shapes of the network that they are to stand for."""
    family = MobileNetV3Family()
    for code in sample(space, 4, np.random.default_rng(0)):
        arch = space.architecture(code)
        static = family.extract(supernet, arch)
        x = images(space, arch, n=1)
        parts = [static.stem, *static.blocks, static.final_expand, static.head]
        for block, part in zip(blocks_of(space, arch), parts, strict=True):
            assert block.in_shape == tuple(x.shape[1:])
            module = family.block_module(block)
            assert {name: value.shape for name, value in module.state_dict().items()} == {
                name: value.shape for name, value in part.state_dict().items()
            }
            with torch.no_grad():
                y = module(x)
                x = part(x)
            assert y.shape == x.shape
            assert torch.isfinite(y).all()
            assert all(bn.num_batches_tracked == 1 for bn in module.modules() if isinstance(bn, nn.BatchNorm2d))


def test_block_modules_are_always_the_same(space):
    block = blocks_of(space, family_of(space).extremes(space)[1])[2]
    first, second = (MobileNetV3Family().block_module(block).state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_first_static_block_has_no_expansion():
    space = find_space("ofa-w1.0", SpaceOptions(classes=10))
    small, _ = family_of(space).extremes(space)
    first = MobileNetV3Family().block_module(blocks_of(space, small)[1])
    assert first.expand is None
    assert first.residual
    assert first.se is None


@pytest.mark.parametrize(("channels", "expected"), [(72, 24), (144, 40), (18 * 4, 24), (16, 8), (960, 240), (120, 32), (64, 16)])
def test_squeeze_width(channels, expected):
    assert squeezed(channels) == expected


@given(st.integers(1, 4000))
def test_make_divisible_is_the_nearest_multiple_that_loses_no_tenth(value):
    multiples = [m for m in range(8, value + 16, 8) if m >= 0.9 * value]
    assert make_divisible(value) == min(multiples, key=lambda m: (abs(m - value), -m))


def test_kernel_transforms():
    conv = ElasticDepthwise(6, kernels=(3, 5, 7), stride=1)
    with torch.no_grad():
        conv.weight.normal_(generator=torch.Generator().manual_seed(0))
    full = conv.weight.detach().numpy()
    assert np.array_equal(conv.kernel(7, 6).detach(), full)
    assert np.array_equal(conv.kernel(5, 4).detach(), full[:4, :, 1:6, 1:6])
    assert np.array_equal(conv.kernel(3, 2).detach(), full[:2, :, 2:5, 2:5])
    matrices = {size: np.random.default_rng(size).normal(size=(size**2, size**2)) for size in (3, 5)}
    with torch.no_grad():
        for size, matrix in matrices.items():
            conv.transforms[str(size)].copy_(torch.from_numpy(matrix))
    five = np.einsum("ij,cj->ci", matrices[5], full[:, 0, 1:6, 1:6].reshape(6, 25)).reshape(6, 5, 5)
    three = np.einsum("ij,cj->ci", matrices[3], five[:, 1:4, 1:4].reshape(6, 9)).reshape(6, 3, 3)
    np.testing.assert_allclose(conv.kernel(5, 6).detach()[:, 0], five, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(conv.kernel(3, 5).detach()[:, 0], three[:5], rtol=1e-4, atol=1e-5)


def test_every_parameter_gets_a_gradient(space):
    """Between them the largest architecture and the deepest one with kernel 3 use every weight and both kernel matrices."""
    net = MobileNetV3Family().build(space, seed=0).train()
    largest = family_of(space).extremes(space)[1]
    narrow = space.parse({n: 3 if n.endswith("kernel") else option for n, option in space.values(largest.indices).items()})
    for arch in (largest, narrow):
        net(images(space, arch, n=4), arch).square().sum().backward()
    assert [name for name, p in net.named_parameters() if p.grad is None] == []


def test_seed_decides_the_weights(space):
    one, same, other = (MobileNetV3Family().build(space, seed=seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["stem.conv.weight"], other["stem.conv.weight"])


def test_building_leaves_the_global_generator_alone(space):
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    MobileNetV3Family().build(space, seed=1)
    MobileNetV3Family().static(space, family_of(space).extremes(space)[0], seed=1)
    MobileNetV3Family().block_module(blocks_of(space, family_of(space).extremes(space)[0])[1])
    assert torch.equal(torch.rand(1), expected)


def test_refusals(space, supernet):
    foreign = find_space("tiny-32", SpaceOptions(classes=7))
    arch = family_of(foreign).extremes(foreign)[0]
    with pytest.raises(ConfigError, match="not of space 'tiny-32'"):
        specs_of(space, arch)
    with pytest.raises(ConfigError, match="not a MobileNetV3 supernet"):
        MobileNetV3Family().extract(nn.Identity(), arch)
    with pytest.raises(ConfigError, match="no operation 'warp'"):
        MobileNetV3Family().block_module(Block("warp", (8, 4, 4), ()))
    broken = Block("mbconv", (24, 8, 8), (("out", 24), ("k", 3), ("mid", 72), ("s", 1), ("act", "relu")))
    with pytest.raises(ConfigError, match="residual"):
        MobileNetV3Family().block_module(broken)
    with pytest.raises(ConfigError, match="unknown activation 'swash'"):
        ConvBnAct(8, 8, act="swash")


def test_registry(space, supernet):
    assert isinstance(supernet, MobileNetV3Supernet)
    assert isinstance(supernet_family(space), MobileNetV3Family)
    with pytest.raises(UnknownNameError, match="did you mean 'mobilenet_v3'"):
        SUPERNETS.get("mobilenet_v2")
