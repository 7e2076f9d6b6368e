"""Channels by importance: the largest subnet stays what it is, smaller ones keep what matters most."""

from itertools import pairwise

import pytest
import torch

from hwnas.core.errors import ConfigError
from hwnas.space.family import family_of
from hwnas.space.mobilenet_v3 import EXPANDS
from hwnas.supernet.elastic import ElasticInvertedResidual
from hwnas.supernet.family import supernet_family
from hwnas.supernet.sorting import sort_channels, sort_supernet


@pytest.fixture
def net(space):
    """A supernet in which every number differs from every other, as after training."""
    made = supernet_family(space).build(space, seed=0).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, value in made.state_dict().items():
            if name.endswith("running_var"):
                value.uniform_(0.5, 1.5, generator=generator)
            else:
                value.add_(torch.randn(value.shape, generator=generator) * 0.1)
    return made


def blocks(net):
    return [each for each in net.modules() if isinstance(each, ElasticInvertedResidual) and each.expand is not None]


def importances(net):
    return [block.project.conv.weight.abs().sum(dim=(0, 2, 3)) for block in blocks(net)]


@pytest.mark.parametrize("trained", [1, 2, 3])
def test_the_largest_subnet_computes_the_same(space, net, trained):
    largest = family_of(space).extremes(space)[1]
    x = torch.randn(2, 1, 20, 20, generator=torch.Generator().manual_seed(2))
    before_sorting = {name: value.clone() for name, value in net.state_dict().items()}
    with torch.no_grad():
        before = net(x, largest)
        sort_supernet(net, trained=trained)
        torch.testing.assert_close(net(x, largest), before, rtol=1e-4, atol=1e-5)
    assert any(not torch.equal(value, before_sorting[name]) for name, value in net.state_dict().items())


@pytest.mark.parametrize("trained", [1, 2, 3])
def test_channels_come_by_importance_and_keep_to_their_width(net, trained):
    before = importances(net)
    sort_supernet(net, trained=trained)
    for block, old, new in zip(blocks(net), before, importances(net), strict=True):
        width = block.project.conv.weight.shape[1]
        cuts = [0, *sorted(width * ratio // max(EXPANDS) for ratio in sorted(EXPANDS, reverse=True)[1:trained]), width]
        for a, b in pairwise(cuts):
            assert torch.allclose(new[a:b], old[a:b].sort(descending=True).values)
        if block.se is not None:
            inner = block.se.expand.weight.abs().sum(dim=(0, 2, 3))
            assert torch.equal(inner, inner.sort(descending=True).values)


def test_refusals(net):
    block = blocks(net)[0]
    block.expand = None
    with pytest.raises(ConfigError, match="without expansion"):
        sort_channels(block)
    with pytest.raises(ConfigError, match="not those of a MobileNetV3 supernet"):
        sort_supernet(torch.nn.Identity())
    for trained in (0, 4):
        with pytest.raises(ConfigError, match=f"not {trained}"):
            sort_supernet(net, trained=trained)
