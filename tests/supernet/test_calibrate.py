"""Batch norm statistics from training images, and what is measured with them."""

import numpy as np
import pytest
import torch
from torch import nn

from hwnas.core.errors import DataError
from hwnas.space.family import family_of
from hwnas.supernet.accuracy import BATCH, Subnets, evaluate
from hwnas.supernet.calibrate import recalibrate
from hwnas.supernet.family import supernet_family
from hwnas.supernet.tensors import channels_last


@pytest.fixture(scope="module")
def supernet(space):
    return supernet_family(space).build(space, seed=0)


def norms(module):
    return [each for each in module.modules() if isinstance(each, nn.BatchNorm2d)]


def test_statistics_are_image_weighted_means_of_the_batches():
    """Three batches of other sizes through convolution and two batch norms, by hand in float64."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.BatchNorm2d(3)).eval()
    with torch.no_grad():
        net[1].weight.uniform_(0.5, 2.0)
        net[1].bias.uniform_(-1.0, 1.0)
    batches = [torch.randn(n, 2, 6, 5) for n in (4, 7, 2)]
    recalibrate(net, batches)
    sums = np.zeros((4, 3))
    for batch in batches:
        x = net[0](batch).detach().numpy().astype(np.float64)
        mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3))
        normed = (x - mean[:, None, None]) / np.sqrt(var + 1e-5)[:, None, None]
        y = np.maximum(normed * net[1].weight.detach().numpy()[:, None, None] + net[1].bias.detach().numpy()[:, None, None], 0)
        sums += len(batch) * np.stack([mean, var, y.mean((0, 2, 3)), y.var((0, 2, 3))])
    expected = sums / 13
    for norm, mean, var in ((net[1], expected[0], expected[1]), (net[3], expected[2], expected[3])):
        np.testing.assert_allclose(norm.running_mean, mean, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(norm.running_var, var, rtol=1e-4, atol=1e-5)
        assert norm.num_batches_tracked == 3
        assert norm.momentum == 0.1
    assert not net.training


def test_recalibration_needs_images_and_leaves_the_module_as_it_was(space, supernet):
    module = supernet_family(space).extract(supernet, family_of(space).extremes(space)[0])
    with pytest.raises(DataError, match="without images"):
        recalibrate(module, [])
    assert all(norm.num_batches_tracked == 0 and norm.momentum == 0.1 for norm in norms(module))
    assert not module.training
    assert not any(norm._forward_pre_hooks for norm in norms(module))


def test_a_subnet_is_recalibrated_and_the_supernet_untouched(space, data, supernet):
    before = {name: value.clone() for name, value in supernet.state_dict().items()}
    arch = family_of(space).extremes(space)[1]
    module = Subnets(supernet, data, recalibration_images=40).subnet(arch)
    assert all(norm.num_batches_tracked == 1 for norm in norms(module))
    assert not torch.equal(module.stem.bn.running_mean, torch.zeros_like(module.stem.bn.running_mean))
    assert all(torch.equal(value, before[name]) for name, value in supernet.state_dict().items())


def test_more_images_than_a_batch_pass_in_pieces(space, data, supernet, monkeypatch):
    arch = family_of(space).extremes(space)[0]
    whole = Subnets(supernet, data, recalibration_images=90)
    expected = whole.accuracy(arch)
    monkeypatch.setattr("hwnas.supernet.accuracy.BATCH", 30)
    pieces = Subnets(supernet, data, recalibration_images=90).subnet(arch)
    assert all(norm.num_batches_tracked == 3 for norm in norms(pieces))
    assert BATCH > 90
    assert 0 <= expected <= 1


class Brightest(nn.Module):
    """Predicts the quarter of the image that is brightest."""

    def forward(self, x):
        return torch.nn.functional.adaptive_avg_pool2d(x, 2).flatten(1)


def test_accuracy_counts_the_images_that_are_right(data):
    preprocessing = data.preprocessing(8)
    images = np.zeros((6, 1, 8, 8), dtype=np.uint8)
    for i, quarter in enumerate((0, 1, 2, 3, 0, 1)):
        images[i, 0, 4 * (quarter // 2) :, 4 * (quarter % 2) :][:4, :4] = 200
    labels = np.array([0, 1, 2, 3, 1, 1])
    assert evaluate(Brightest(), images, labels, preprocessing) == pytest.approx(5 / 6)
    with pytest.raises(DataError, match="6 images and 5 labels"):
        evaluate(Brightest(), images, labels[:5], preprocessing)
    with pytest.raises(DataError, match="0 images"):
        evaluate(Brightest(), images[:0], labels[:0], preprocessing)


def test_the_accuracy_of_a_subnet_is_a_share_of_the_images_of_the_part(space, data, supernet):
    subnets = Subnets(supernet, data, recalibration_images=40)
    for arch in family_of(space).extremes(space):
        for part in ("val", "test"):
            right = subnets.accuracy(arch, part=part) * data.part(part).n
            assert right == pytest.approx(round(right))
            assert subnets.accuracy(arch, part=part) * data.part(part).n == right


def test_channels_last_changes_the_layout_and_no_value():
    for shape in ((3, 1, 5, 5), (2, 3, 4, 6)):
        array = np.random.default_rng(0).normal(size=shape).astype(np.float32)
        tensor = channels_last(array)
        assert tensor.stride()[1] == 1
        assert np.array_equal(tensor.numpy(), array)
        assert torch.nn.Conv2d(shape[1], 4, 3)(tensor).is_contiguous(memory_format=torch.channels_last)
