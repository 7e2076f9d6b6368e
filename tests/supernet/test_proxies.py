"""Every zero-cost proxy: it leaves its network alone, is reproducible, tells networks apart; and each computes what its paper says."""

import math

import pytest
import torch
from torch import nn

from hwnas.core.errors import DataError, UnknownNameError
from hwnas.space.family import family_of
from hwnas.supernet.family import supernet_family
from hwnas.supernet.proxies import PROXIES, score


@pytest.fixture(scope="module")
def images():
    return torch.randn(6, 1, 16, 16, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def labels():
    return torch.arange(6) % 3


@pytest.fixture(scope="module")
def ends(space):
    """The smallest and the largest network, untrained."""
    return [supernet_family(space).static(space, arch, seed=0) for arch in family_of(space).extremes(space)]


@pytest.mark.parametrize("name", PROXIES.names())
class TestEveryProxy:
    def test_it_is_finite_and_reproducible_and_leaves_the_network_alone(self, ends, images, labels, name):
        net = ends[0]
        before = {key: value.clone() for key, value in net.state_dict().items()}
        mode = net.training
        found = score(name, net, images, labels)
        assert math.isfinite(found)
        assert score(name, net, images, labels) == found
        assert net.training == mode
        assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
        assert all(p.grad is None for p in net.parameters())

    def test_it_tells_the_ends_apart(self, ends, images, labels, name):
        small, large = (score(name, net, images, labels) for net in ends)
        assert small != large
        if name in ("params", "flops", "synflow"):
            assert small < large

    def test_it_says_what_it_is_and_who_found_it(self, name):
        proxy = PROXIES.get(name)
        assert proxy.summary
        assert "arXiv" in proxy.source

    def test_too_few_images(self, ends, images, labels, name):
        with pytest.raises(DataError, match="at least 2 images"):
            score(name, ends[0], images[:1], labels[:1])


def test_an_unknown_proxy(ends, images, labels):
    with pytest.raises(UnknownNameError, match="did you mean 'snip'"):
        score("snipp", ends[0], images, labels)


@pytest.fixture
def tiny():
    net = nn.Sequential(nn.Flatten(), nn.Linear(2, 3, bias=False), nn.ReLU(), nn.Linear(3, 2, bias=False))
    with torch.no_grad():
        net[1].weight.copy_(torch.tensor([[1.0, -1.0], [2.0, 0.5], [-1.0, 1.0]]))
        net[3].weight.copy_(torch.tensor([[1.0, -2.0, 0.5], [0.5, 1.0, -1.0]]))
    return net


X = torch.tensor([[[[1.0, 2.0]]], [[[2.0, -1.0]]], [[[-1.0, 0.5]]]])
Y = torch.tensor([0, 1, 1])


def test_sizes_by_hand(tiny):
    assert score("params", tiny, X, Y) == 12
    assert score("flops", tiny, X, Y) == 24


def test_convolutions_count_every_position():
    net = nn.Sequential(nn.Conv2d(4, 8, 3, stride=2, padding=1, groups=4, bias=False), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    assert score("flops", net, torch.randn(2, 4, 6, 6), torch.zeros(2, dtype=torch.int64)) == 2 * 9 * 8 * 3 * 3


def test_synflow_by_hand(tiny):
    """Linear in each layer's weights, so each layer's sum is the output."""
    first, second = tiny[1].weight.detach().abs(), tiny[3].weight.detach().abs()
    flow = float((second @ (first @ torch.ones(2))).sum())
    assert score("synflow", tiny, X, Y) == pytest.approx(math.log(2 * flow))


def test_gradients_by_hand(tiny):
    weights = [tiny[1].weight.detach().double().requires_grad_(), tiny[3].weight.detach().double().requires_grad_()]
    logits = (X.double().flatten(1) @ weights[0].T).relu() @ weights[1].T
    loss = -logits.log_softmax(1)[torch.arange(3), Y].mean()
    grads = torch.autograd.grad(loss, weights)
    assert score("grad-norm", tiny, X, Y) == pytest.approx(float(sum(g.pow(2).sum().sqrt() for g in grads)))
    assert score("snip", tiny, X, Y) == pytest.approx(float(sum((w.detach() * g).abs().sum() for w, g in zip(weights, grads, strict=True))))


def test_naswot_by_hand(tiny):
    on = (X.flatten(1) @ tiny[1].weight.detach().T > 0).int()
    same = torch.tensor([[float((a == b).sum()) for b in on] for a in on], dtype=torch.float64)
    assert score("naswot", tiny, X, Y) == pytest.approx(float(torch.logdet(same)), abs=1e-4)


def test_jacob_cov_is_largest_where_gradients_do_not_correlate():
    """Of three images whose gradients are the same, two eigenvalues are zero."""
    linear = nn.Sequential(nn.Flatten(), nn.Linear(2, 2))
    assert score("jacob-cov", linear, X, Y) == pytest.approx(-(2 * (math.log(1e-5) + 1e5) + math.log(3) + 1 / 3), rel=1e-3)
