"""Files of weights: torn, foreign and edited ones are told apart from good ones, and nothing is half written."""

import json

import pytest
import torch
from safetensors.torch import save
from torch import nn

from hwnas.core.errors import CheckpointError
from hwnas.supernet.checkpoint import Checkpoints, Position, read_weights, write_weights

IDENTITY = {"space": "abc", "seed": 1}


@pytest.fixture
def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


def changed(net):
    with torch.no_grad():
        net[0].weight.add_(1)
    return net


def test_weights_come_back_to_the_bit(net, tmp_path):
    path = tmp_path / "deep" / "weights.safetensors"
    write_weights(path, net, IDENTITY)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    read_weights(path, changed(net), IDENTITY)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_writing_twice_gives_the_same_bytes(net, tmp_path):
    one, two = tmp_path / "1", tmp_path / "2"
    write_weights(one, net, IDENTITY)
    write_weights(two, net, IDENTITY)
    assert one.read_bytes() == two.read_bytes()


def test_weights_of_something_else_are_refused(net, tmp_path):
    path = tmp_path / "weights"
    write_weights(path, net, IDENTITY)
    with pytest.raises(CheckpointError, match="weights of something else"):
        read_weights(path, net, {**IDENTITY, "seed": 2})
    wider = nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5))
    with pytest.raises(CheckpointError, match=r"6 tensors are missing, unknown or of another shape, first 0\.bias, 0\.weight, 1\.bias"):
        read_weights(path, wider, IDENTITY)
    with pytest.raises(CheckpointError, match=r"tensors are missing, unknown or of another shape"):
        read_weights(path, nn.Linear(3, 4), IDENTITY)


@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
def test_weights_that_are_no_numbers_are_refused(net, tmp_path, value):
    path = tmp_path / "weights"
    with torch.no_grad():
        for parameter in net.parameters():
            parameter[0] = value
    write_weights(path, net, IDENTITY)
    other = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    before = {name: each.clone() for name, each in other.state_dict().items()}
    with pytest.raises(
        CheckpointError, match=r"4 tensors are not finite \(NaN or infinity\), first 0\.bias, 0\.weight, 1\.bias; train again"
    ):
        read_weights(path, other, IDENTITY)
    assert all(torch.equal(each, before[name]) for name, each in other.state_dict().items())


def test_a_pickle_in_place_of_weights_is_not_loaded(net, tmp_path):
    path = tmp_path / "weights"
    torch.save(net.state_dict(), path)
    with pytest.raises(CheckpointError, match="not readable as weights of hwnas"):
        read_weights(path, net, IDENTITY)


def test_another_net_beside_is_kept_and_must_be_there(net, tmp_path):
    optimiser, beside = torch.optim.SGD(net.parameters(), lr=0.1), nn.Linear(2, 2)
    checkpoints = Checkpoints(tmp_path, IDENTITY)
    checkpoints.save(Position(1, 0), net, optimiser, others={"average": beside})
    kept = beside.weight.detach().clone()
    with torch.no_grad():
        beside.weight.zero_()
    assert checkpoints.load(net, optimiser, others={"average": beside}) == Position(1, 0)
    assert torch.equal(beside.weight, kept)
    with pytest.raises(CheckpointError, match="2 tensors are missing"):
        checkpoints.load(net, optimiser, others={"teacher": beside})


@pytest.mark.parametrize("keep", [0, 4, 100, -1])
def test_torn_files_are_refused(net, tmp_path, keep):
    path = tmp_path / "weights"
    write_weights(path, net, IDENTITY)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match="not readable as weights of hwnas"):
        read_weights(path, net, IDENTITY)


def test_a_flipped_bit_is_noticed(net, tmp_path):
    path = tmp_path / "weights"
    write_weights(path, net, IDENTITY)
    raw = bytearray(path.read_bytes())
    raw[-3] ^= 1
    path.write_bytes(raw)
    with pytest.raises(CheckpointError, match="do not match their hash"):
        read_weights(path, net, IDENTITY)


def test_files_of_others_are_refused(net, tmp_path):
    path = tmp_path / "weights"
    path.write_bytes(save(dict(net.state_dict())))
    with pytest.raises(CheckpointError, match="not readable as weights of hwnas"):
        read_weights(path, net, IDENTITY)
    path.write_bytes(save(dict(net.state_dict()), metadata={"hwnas": json.dumps({"format": 99, "kind": "weights"})}))
    with pytest.raises(CheckpointError, match="not a file of weights in format 1"):
        read_weights(path, net, IDENTITY)
    with pytest.raises(CheckpointError, match="not readable"):
        read_weights(tmp_path / "missing", net, IDENTITY)


def stepped(net, optimiser):
    optimiser.zero_grad()
    net(torch.randn(8, 3)).square().sum().backward()
    optimiser.step()


@pytest.mark.parametrize("make", [lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9), lambda p: torch.optim.AdamW(p, lr=0.1)])
def test_checkpoints_hold_the_optimiser_too(net, tmp_path, make):
    optimiser = make(net.parameters())
    stepped(net, optimiser)
    checkpoints = Checkpoints(tmp_path, IDENTITY)
    checkpoints.save(Position(0, 1), net, optimiser)
    twin = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    other = make(twin.parameters())
    assert checkpoints.load(twin, other) == Position(0, 1)
    for each, its in ((net, optimiser), (twin, other)):
        torch.manual_seed(5)
        stepped(each, its)
    assert all(torch.equal(value, twin.state_dict()[name]) for name, value in net.state_dict().items())


def test_the_two_latest_are_kept_and_the_latest_good_one_used(net, tmp_path):
    optimiser = torch.optim.SGD(net.parameters(), lr=0.1)
    checkpoints = Checkpoints(tmp_path, IDENTITY)
    (tmp_path / "notes.safetensors").write_bytes(b"not ours")
    for position in (Position(0, 9), Position(0, 10), Position(1, 0)):
        checkpoints.save(position, net, optimiser)
    names = [path.name for path in checkpoints.files()]
    assert names == ["epoch00001-step0000000.safetensors", "epoch00000-step0000010.safetensors"]
    checkpoints.files()[0].write_bytes(b"")
    assert checkpoints.load(net, optimiser) == Position(0, 10)
    checkpoints.files()[1].write_bytes(b"")
    assert checkpoints.load(net, optimiser) == Position(0, 0)
    assert (tmp_path / "notes.safetensors").exists()


def test_weights_are_no_checkpoint(net, tmp_path):
    write_weights(tmp_path / "epoch00001-step0000000.safetensors", net, IDENTITY)
    assert Checkpoints(tmp_path, IDENTITY).load(net, torch.optim.SGD(net.parameters(), lr=0.1)) == Position(0, 0)
