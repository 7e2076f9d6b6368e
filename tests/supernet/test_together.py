"""Subnets evaluated together are the subnets evaluated alone, bit for bit; only less is computed."""

import numpy as np
import pytest
import torch
from torch import nn

import hwnas.supernet.accuracy as module
from hwnas.core.errors import ConfigError
from hwnas.space.family import blocks_of, family_of, find_space
from hwnas.space.moves import sample, unique
from hwnas.supernet.accuracy import Subnets, evaluate
from hwnas.supernet.family import SUPERNETS, supernet_family
from hwnas.supernet.together import Together, common


@pytest.fixture(scope="module")
def supernet(space):
    return supernet_family(space).build(space, seed=3)


@pytest.fixture(scope="module")
def archs(space):
    return [space.architecture(code) for code in unique(sample(space, 6, np.random.default_rng(0)))]


def equal(one, other):
    states = one.state_dict(), other.state_dict()
    return states[0].keys() == states[1].keys() and all(torch.equal(states[0][name], states[1][name]) for name in states[0])


@pytest.mark.parametrize("batch", [256, 30])
def test_together_or_alone_the_bits_are_the_same(data, supernet, archs, monkeypatch, batch):
    monkeypatch.setattr(module, "BATCH", batch)
    together, alone = (subnets_of(supernet, data, images=70) for _ in range(2))
    found = dict(together.accuracies(archs))
    assert found.keys() == set(archs)
    for arch in archs:
        static = alone.subnet(arch)
        size = int(supernet.space.choices[0].options[arch.indices[0]])
        expected = evaluate(static, data.images("val", size), data.labels("val"), data.preprocessing(size))
        assert found[arch] == expected == alone.accuracy(arch)
        assert equal(together.subnet(arch), static)
        assert all(norm.num_batches_tracked == -(-70 // batch) for norm in static.modules() if isinstance(norm, nn.BatchNorm2d))


def subnets_of(supernet, data, images=40):
    return Subnets(supernet, data, recalibration_images=images, torch_threads=1)


def count_calls(monkeypatch):
    """A list that grows with every convolution that is computed."""
    calls = []
    forward = nn.Conv2d.forward

    def counted(self, x):
        calls.append(len(x))
        return forward(self, x)

    monkeypatch.setattr(nn.Conv2d, "forward", counted)
    return calls


def test_what_is_common_is_computed_once(space, data, supernet, monkeypatch):
    """Nine subnets that differ in their last block: nine times what follows, once what comes before."""
    largest = family_of(space).extremes(space)[1]
    values = space.values(largest.indices)
    family = [space.parse({**values, "s1.b3.kernel": k, "s1.b3.expand": e}) for k in (3, 5, 7) for e in (3, 4, 6)]
    calls = count_calls(monkeypatch)
    list(subnets_of(supernet, data).accuracies(family[:1]))
    one = len(calls)
    calls.clear()
    together = subnets_of(supernet, data)
    list(together.accuracies(family))
    # block with squeeze-and-excitation, final expansion, head; once to recalibrate, once to run
    tail = 2 * (3 + 2 + 1 + 1)
    assert len(calls) == one + 8 * tail
    calls.clear()
    for arch in family:
        together.subnet(arch)
    assert calls == []  # recalibrated once


def test_where_memory_is_short_nothing_is_kept_and_nothing_changes(data, supernet, archs, monkeypatch):
    expected = dict(subnets_of(supernet, data).accuracies(archs))
    monkeypatch.setattr(module, "KEPT_BYTES", 0)
    monkeypatch.setattr(module, "REMEMBERED", 2)
    short = subnets_of(supernet, data)
    assert dict(short.accuracies(archs)) == expected
    calls = count_calls(monkeypatch)
    short.subnet(archs[0])
    assert (calls != []) == (archs[0] not in list(expected)[-2:])


def test_none_and_twice(data, supernet, archs):
    subnets = subnets_of(supernet, data)
    assert list(subnets.accuracies([])) == []
    assert len(list(subnets.accuracies([archs[0], archs[0]]))) == 1


def test_common_beginnings():
    assert common("abc", "abd") == 2
    assert common("", "abd") == 0
    assert common("ab", "abd") == common("abd", "ab") == 2


def test_a_chain_without_parts_is_refused():
    with pytest.raises(ConfigError, match="no parts"):
        Together(list, list).run([], [], keep=0)


@pytest.mark.parametrize("name", SUPERNETS.names())
def test_every_family_takes_its_networks_apart(name):
    """The contract: names and parts in chain order, as many as blocks, and parts of the same names have the same weights."""
    family = SUPERNETS.get(name)
    space = find_space("tiny-32") if name == "mobilenet_v3" else None
    assert space is not None, f"say here which space of {name} to try"
    net = family.build(space, seed=0)
    known = {}
    for code in sample(space, 12, np.random.default_rng(1)):
        arch = space.architecture(code)
        whole = family.extract(net, arch)
        names, parts = family.part_names(space, arch), family.parts(whole)
        assert len(names) == len(parts) == len(blocks_of(space, arch))
        for i, part in enumerate(parts):
            assert equal(known.setdefault(names[: i + 1], part), part)
        x = torch.randn(1, *space.input_shape)
        with torch.no_grad():
            assert torch.equal(nn.Sequential(*parts).eval()(x), whole(x))
    with pytest.raises(ConfigError):
        family.parts(nn.Identity())
