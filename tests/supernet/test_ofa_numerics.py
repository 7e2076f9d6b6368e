"""The supernet against logits that the reference implementation of Once-for-All gave for random weights."""

import numpy as np
import pytest
import torch

import hwnas.space.mobilenet_v3  # noqa: F401 (registers)
from benchmarks.reference import MISSING
from hwnas.space.family import SpaceOptions, find_space
from hwnas.supernet.calibrate import recalibrate
from hwnas.supernet.mobilenet_v3 import MobileNetV3Family
from hwnas.supernet.ofa import read_ofa
from hwnas.supernet.sorting import sort_supernet
from tests.rig.ofa import FIXTURE, SORTED, architecture, read_fixture, settings_of, state_of

pytestmark = pytest.mark.skipif(not FIXTURE.is_file(), reason=MISSING)


@pytest.fixture(scope="module")
def fixture():
    return read_fixture()


@pytest.fixture(scope="module")
def space():
    return find_space("ofa-w1.0", SpaceOptions(classes=10))


@pytest.fixture(scope="module")
def loaded(fixture, space, tmp_path_factory):
    """Makes the supernet with the fixture's weights."""
    path = tmp_path_factory.mktemp("ofa") / "supernet.pth"
    torch.save(state_of(fixture), path)

    def load():
        net = MobileNetV3Family().build(space, seed=0)
        read_ofa(path, net)
        return net.eval()

    return load


@pytest.fixture(scope="module")
def supernet(loaded):
    return loaded()


def images(fixture, resolution):
    return torch.from_numpy(fixture[f"input/{resolution}"].astype(np.float32))


@pytest.mark.parametrize("resolution", [160, 176])
@pytest.mark.parametrize("i", range(8))
def test_supernet_and_extracted_subnet_give_the_reference_logits(fixture, space, supernet, i, resolution):
    arch = architecture(space, settings_of(fixture)[i], resolution)
    x = images(fixture, resolution)
    with torch.no_grad():
        elastic = supernet(x, arch)
        static = MobileNetV3Family().extract(supernet, arch)
        assert torch.equal(static(x), elastic)
    np.testing.assert_allclose(elastic.numpy(), fixture[f"logits/{i}/{resolution}"], rtol=0, atol=1e-5)


def test_double_precision_gives_the_reference_logits_to_a_billionth(fixture, space, supernet):
    arch = architecture(space, settings_of(fixture)[5], 160)
    static = MobileNetV3Family().extract(supernet, arch).double()
    wide = MobileNetV3Family().build(space, seed=0).double().eval()
    wide.load_state_dict({name: value.double() for name, value in supernet.state_dict().items()})
    x = images(fixture, 160).double()
    with torch.no_grad():
        logits = wide(x, arch).numpy()
        assert MobileNetV3Family().extract(wide, arch)(x).dtype == torch.float64
    np.testing.assert_allclose(logits, fixture["logits64/5/160"], rtol=0, atol=1e-9)
    # folding the kernels in float32 before widening costs no more than float32's own precision
    with torch.no_grad():
        np.testing.assert_allclose(static(x).numpy(), fixture["logits64/5/160"], rtol=0, atol=1e-5)


def test_recalibrated_subnet_gives_the_reference_logits(fixture, space, supernet):
    static = MobileNetV3Family().extract(supernet, architecture(space, settings_of(fixture)[1], 160))
    x = images(fixture, 160)
    recalibrate(static, [x, x.flip(3)])
    for name, norm in (("first_conv", static.stem.bn), ("final_expand_layer", static.final_expand.bn)):
        np.testing.assert_allclose(norm.running_mean, fixture[f"recal/{name}.bn.running_mean"], rtol=0, atol=1e-5)
        np.testing.assert_allclose(norm.running_var, fixture[f"recal/{name}.bn.running_var"], rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        np.testing.assert_allclose(static(x).numpy(), fixture["recal_logits/min/160"], rtol=0, atol=1e-5)


def test_sorted_channels_give_the_reference_logits(fixture, space, loaded):
    net = loaded()
    sort_supernet(net)
    for name, setting in SORTED.items():
        with torch.no_grad():
            logits = net(images(fixture, 160), architecture(space, setting, 160))
        np.testing.assert_allclose(logits.numpy(), fixture[f"sorted_logits/{name}/160"], rtol=0, atol=1e-5)
