"""The supernet against logits that the reference implementation of Once-for-All gave for random weights."""

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
import torch

import hwnas.space.mobilenet_v3  # noqa: F401 (registers)
from hwnas.space.family import SpaceOptions, find_space
from hwnas.supernet.calibrate import recalibrate
from hwnas.supernet.mobilenet_v3 import MobileNetV3Family

ROOT = Path(__file__).parents[2]
FIXTURE = Path(os.environ.get("HWNAS_REFERENCE_DATA", ROOT.parent / "shared" / "data")) / "ofa_parity" / "ofa_mbv3_parity.npz"
RULES = [
    (r"^first_conv\.", "stem."),
    (r"^final_expand_layer\.", "final_expand."),
    (r"^feature_mix_layer\.conv\.", "head.mix."),
    (r"^classifier\.linear\.", "head.classifier."),
    (r"^blocks\.0\.conv\.", "first."),
    (r"inverted_bottleneck\.", "expand."),
    (r"depth_conv\.se\.fc\.", "se."),
    (r"depth_conv\.conv\.7to5_matrix", "depthwise.conv.transforms.5"),
    (r"depth_conv\.conv\.5to3_matrix", "depthwise.conv.transforms.3"),
    (r"depth_conv\.", "depthwise."),
    (r"point_linear\.", "project."),
    (r"conv\.conv\.", "conv."),
    (r"bn\.bn\.", "bn."),
]


def renamed(key):
    block = re.match(r"^blocks\.([1-9]\d*)\.conv\.", key)
    if block:
        number = int(block[1]) - 1
        key = f"stages.{number // 4}.{number % 4}." + key[block.end() :]
    for pattern, replacement in RULES:
        key = re.sub(pattern, replacement, key)
    return key


@pytest.fixture(scope="module")
def fixture():
    if not FIXTURE.exists():
        pytest.skip(f"no reference data at {FIXTURE}: set HWNAS_REFERENCE_DATA")
    with np.load(FIXTURE, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


@pytest.fixture(scope="module")
def space():
    return find_space("ofa-w1.0", SpaceOptions(classes=10))


@pytest.fixture(scope="module")
def supernet(fixture, space):
    net = MobileNetV3Family().build(space, seed=0)
    state = {
        renamed(name.removeprefix("state/")): torch.from_numpy(array.astype(np.float32))
        for name, array in fixture.items()
        if name.startswith("state/") and not name.endswith("num_batches_tracked")
    }
    net.load_state_dict(state, strict=True)
    return net.eval()


def architecture(space, setting, resolution):
    values = {"resolution": resolution}
    for s, depth in enumerate(setting["d"]):
        values[f"s{s}.depth"] = depth
        for b in range(depth):
            values[f"s{s}.b{b}.kernel"] = setting["ks"][4 * s + b]
            values[f"s{s}.b{b}.expand"] = setting["e"][4 * s + b]
    return space.parse(values)


@pytest.mark.parametrize("resolution", [160, 176])
@pytest.mark.parametrize("i", range(8))
def test_supernet_and_extracted_subnet_give_the_reference_logits(fixture, space, supernet, i, resolution):
    setting = json.loads(fixture["meta_json"].tobytes())["subnets"][i]
    arch = architecture(space, setting, resolution)
    x = torch.from_numpy(fixture[f"input/{resolution}"].astype(np.float32))
    with torch.no_grad():
        elastic = supernet(x, arch)
        static = MobileNetV3Family().extract(supernet, arch)
        assert torch.equal(static(x), elastic)
    np.testing.assert_allclose(elastic.numpy(), fixture[f"logits/{i}/{resolution}"], rtol=0, atol=1e-5)


def test_double_precision_gives_the_reference_logits_to_a_billionth(fixture, space, supernet):
    setting = json.loads(fixture["meta_json"].tobytes())["subnets"][5]
    arch = architecture(space, setting, 160)
    static = MobileNetV3Family().extract(supernet, arch).double()
    wide = MobileNetV3Family().build(space, seed=0).double().eval()
    wide.load_state_dict({name: value.double() for name, value in supernet.state_dict().items()})
    x = torch.from_numpy(fixture["input/160"].astype(np.float64))
    with torch.no_grad():
        logits = wide(x, arch).numpy()
        assert MobileNetV3Family().extract(wide, arch)(x).dtype == torch.float64
    np.testing.assert_allclose(logits, fixture["logits64/5/160"], rtol=0, atol=1e-9)
    # folding the kernels in float32 before widening costs no more than float32's own precision
    with torch.no_grad():
        np.testing.assert_allclose(static(x).numpy(), fixture["logits64/5/160"], rtol=0, atol=1e-5)


def test_recalibrated_subnet_gives_the_reference_logits(fixture, space, supernet):
    setting = json.loads(fixture["meta_json"].tobytes())["subnets"][1]
    static = MobileNetV3Family().extract(supernet, architecture(space, setting, 160))
    x = torch.from_numpy(fixture["input/160"].astype(np.float32))
    recalibrate(static, [x, x.flip(3)])
    for name, norm in (("first_conv", static.stem.bn), ("final_expand_layer", static.final_expand.bn)):
        np.testing.assert_allclose(norm.running_mean, fixture[f"recal/{name}.bn.running_mean"], rtol=0, atol=1e-5)
        np.testing.assert_allclose(norm.running_var, fixture[f"recal/{name}.bn.running_var"], rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        np.testing.assert_allclose(static(x).numpy(), fixture["recal_logits/min/160"], rtol=0, atol=1e-5)
