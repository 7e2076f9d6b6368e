"""Official checkpoints: every spelling of their keys is read, and everything else is refused with the reason."""

import os
import re

import pytest
import torch

import hwnas.space.mobilenet_v3  # noqa: F401 (registers)
from benchmarks.reference import MISSING
from hwnas.core.errors import CheckpointError, ConfigError
from hwnas.space.family import SpaceOptions, find_space
from hwnas.supernet.family import supernet_family
from hwnas.supernet.ofa import official_name, read_ofa
from tests.rig.ofa import FIXTURE, as_published, read_fixture, state_of


@pytest.fixture(scope="module")
def space():
    return find_space("ofa-w1.0", SpaceOptions(classes=10))


@pytest.fixture(scope="module")
def built(space):
    return supernet_family(space).build(space, seed=1)


@pytest.fixture(scope="module")
def state(built):
    """A state dict as the reference would write it, with keys of its own for every batch norm's count."""
    named = {}
    for name, value in built.state_dict().items():
        key = official_name(name)
        if key.startswith("blocks."):
            key = re.sub(r"^(blocks\.\d+)\.", r"\1.conv.", key)
            if not key.startswith("blocks.0."):
                key = re.sub(r"((?:point_linear|inverted_bottleneck|depth_conv)\.)(bn\.|conv\.weight)", r"\1_\2", key)
                key = key.replace("_bn.", "bn.bn.").replace("_conv.weight", "conv.conv.weight")
        named[key] = value.clone()
        if key.endswith("running_var"):
            named[key.replace("running_var", "num_batches_tracked")] = torch.tensor(7)
    return named


def shorter(state):
    """Without the doubled words that some official files lack."""
    return {re.sub(r"\bconv\.conv\.weight", "conv.weight", k.replace("bn.bn.", "bn.")): v for k, v in state.items()}


SPELLINGS = {
    "reference": lambda state: state,
    "official": as_published,
    "short": shorter,
    "official and short": lambda state: as_published(shorter(state)),
    "within": lambda state: {"state_dict": as_published(state)},
    "linear.linear": lambda state: {k.replace("classifier.linear.", "classifier.linear.linear."): v for k, v in state.items()},
    "without counts": lambda state: {k: v for k, v in state.items() if not k.endswith("tracked")},
    "half precision": lambda state: {k: v.half().float() if v.is_floating_point() else v for k, v in state.items()},
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_gives_the_same_weights(space, built, state, tmp_path, spelling):
    torch.save(SPELLINGS[spelling](state), tmp_path / "ofa")
    net = supernet_family(space).build(space, seed=2)
    read_ofa(tmp_path / "ofa", net)
    expected = built.state_dict()
    for name, value in net.state_dict().items():
        want = expected[name].half().float() if spelling == "half precision" else expected[name]
        assert torch.equal(value, want), name


@pytest.mark.skipif(not FIXTURE.is_file(), reason=MISSING)
def test_the_names_are_those_of_the_reference(state):
    """Key by key and shape by shape, as the reference implementation wrote them."""
    reference = state_of(read_fixture())
    assert {name: value.shape for name, value in state.items()} == {name: value.shape for name, value in reference.items()}


def refused(path, space):
    """The message, after a look that nothing was loaded."""
    net = supernet_family(space).build(space, seed=2)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    with pytest.raises(CheckpointError) as problem:
        read_ofa(path, net)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert str(problem.value).startswith(f"{path}: ")
    assert "\n" not in str(problem.value)
    return str(problem.value)


def test_missing_and_unknown_keys_are_named_three_at_most_with_their_count(space, state, tmp_path):
    lost = [key for key in state if "point_linear.conv" in key][:5]
    torch.save({k: v for k, v in state.items() if k not in lost} | {"extra.weight": torch.zeros(1)}, tmp_path / "ofa")
    said = refused(tmp_path / "ofa", space)
    assert re.search(r"5 keys \((blocks\.\d+\.point_linear\.conv\.weight, ){3}…\) are missing; 1 key \(extra.weight\) is unknown", said)


def test_a_checkpoint_of_another_space_is_named(space, tmp_path):
    for preset, classes in (("ofa-w1.2", 10), ("ofa-w1.0", 1000)):
        other = find_space(preset, SpaceOptions(classes=classes))
        net = supernet_family(other).build(other, seed=0)
        torch.save({official_name(name): value for name, value in net.state_dict().items()}, tmp_path / "ofa")
        assert f"is of space '{preset}' with 3 channels and {classes} classes, not of 'ofa-w1.0' with 3 and 10" in refused(
            tmp_path / "ofa", space
        )
        read_ofa(tmp_path / "ofa", supernet_family(other).build(other, seed=1))


def test_wrong_shapes_are_named(space, state, tmp_path):
    key = "blocks.3.conv.point_linear.conv.conv.weight"
    torch.save({**state, key: state[key][:, :8]}, tmp_path / "ofa")
    said = refused(tmp_path / "ofa", space)
    assert "1 tensor (blocks.3.point_linear.conv.weight) is of another shape" in said
    assert "(24, 8, 1, 1), not (24, 144, 1, 1) as in space 'ofa-w1.0'" in said
    torch.save({**state, "first_conv.conv.weight": torch.zeros(3), "classifier.linear.bias": torch.tensor(1.0)}, tmp_path / "ofa")
    assert "2 tensors (first_conv.conv.weight, classifier.linear.bias) are of another shape" in refused(tmp_path / "ofa", space)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(space, state, tmp_path, value):
    broken = state["classifier.linear.bias"].clone()
    broken[3] = value
    torch.save({**state, "classifier.linear.bias": broken}, tmp_path / "ofa")
    assert "1 tensor (classifier.linear.bias) is not finite" in refused(tmp_path / "ofa", space)


class Runs:
    """Would run a command where a pickle is loaded carelessly."""

    def __reduce__(self):
        return os.system, ("touch pwned",)


def test_a_pickle_that_is_more_than_weights_is_not_loaded(space, state, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": state, "hook": Runs()}, tmp_path / "ofa")
    assert "holds more than weights" in refused(tmp_path / "ofa", space)
    assert not (tmp_path / "pwned").exists()


def test_what_is_no_checkpoint_is_refused(space, state, tmp_path):
    path = tmp_path / "ofa"
    assert "cannot be read" in refused(path, space)
    assert "cannot be read" in refused(tmp_path, space)
    path.write_bytes(b"")
    assert "not a checkpoint" in refused(path, space)
    path.write_bytes(b"PK\x03\x04 no zip")
    assert "not a checkpoint" in refused(path, space)
    torch.save(state, path)
    path.write_bytes(path.read_bytes()[:-1000])
    assert "not a checkpoint" in refused(path, space)
    torch.save([1, 2], path)
    assert "not a state dict" in refused(path, space)
    torch.save({"epoch": 3, "lr": 0.1}, path)
    assert "2 entries (epoch, lr) are no plain tensor" in refused(path, space)
    torch.save({**state, "blocks.3.mobile_inverted_conv.point_linear.conv.weight": torch.zeros(1)}, path)
    assert "in two spellings" in refused(path, space)


def test_a_space_that_is_not_of_the_authors_is_refused(tmp_path):
    tiny = find_space("tiny-32")
    with pytest.raises(ConfigError, match="space 'tiny-32' is none of Once-for-All's"):
        read_ofa(tmp_path / "ofa", supernet_family(tiny).build(tiny, seed=0))
