"""What networks need, against the networks themselves: torch counts parameters and activations, the exporter writes weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import hwnas.supernet.mobilenet_v3  # noqa: F401 (registers)
from hwnas.core.errors import ConfigError, UnknownNameError
from hwnas.export.exporter import ExportSpec, exporter_for
from hwnas.latency.footprint import BYTES, UNITS, Footprint
from hwnas.space.family import family_of, find_space
from hwnas.space.moves import sample
from hwnas.supernet.family import supernet_family
from tests.latency.tables import tiny_space

TINY = tiny_space(20, 24)


def networks(space, n=3):
    rng = np.random.default_rng(0)
    extremes = [arch.codes for arch in family_of(space).extremes(space)]
    for code in np.concatenate([*extremes, sample(space, n, rng)]):
        arch = space.architecture(code)
        yield arch, supernet_family(space).static(space, arch, seed=0).eval()


@pytest.mark.parametrize("space", [TINY, find_space("ofa-w1.0")], ids=lambda s: s.name)
def test_parameters_are_those_of_the_module(space):
    footprint = Footprint(space)
    for arch, net in networks(space, n=2):
        assert footprint.cost("params", arch.codes)[0] == sum(p.numel() for p in net.parameters())


def test_macs_are_those_of_the_layers():
    footprint = Footprint(TINY)
    for arch, net in networks(TINY):
        counted = 0

        def count(module, given, result):
            nonlocal counted
            counted += result[0].numel() * module.weight[0].numel()

        for module in net.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                module.register_forward_hook(count)
        size = family_of(TINY).resolution(TINY, arch)
        with torch.inference_mode():
            net(torch.zeros(1, 1, size, size))
        assert footprint.cost("macs", arch.codes)[0] == counted
        assert footprint.cost("flops", arch.codes)[0] == 2 * counted


def test_bytes_are_those_of_the_written_file(tmp_path):
    footprint = Footprint(TINY)
    for number, (arch, net) in enumerate(networks(TINY, n=1)):
        size = family_of(TINY).resolution(TINY, arch)
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.num_batches_tracked.fill_(1)
        spec = ExportSpec(input_shape=(1, size, size))
        written = exporter_for("onnxruntime").export(net, spec, tmp_path / f"{number}.onnx").path
        graph_bytes = (tmp_path / written).stat().st_size - footprint.cost("size", arch.codes)[0]
        # names and attributes of some dozens of nodes
        assert 0 < graph_bytes < 25_000


def test_peak_memory_is_that_of_the_largest_layer():
    """Against a walk over the layers of the module, which knows no formula."""
    footprint = Footprint(TINY)
    for arch, net in networks(TINY, n=6):
        size = family_of(TINY).resolution(TINY, arch)
        assert footprint.cost("peak_memory", arch.codes)[0] == 4 * _walked(net, size)


def _walked(net, size):
    largest = 0

    def layer(module, x, kept):
        nonlocal largest
        y = module(x)
        largest = max(largest, x.numel() + y.numel() + kept)
        return y

    with torch.inference_mode():
        x = layer(net.stem, torch.zeros(1, 1, size, size), 0)
        for block in net.blocks:
            given, kept = x, x.numel() if block.residual else 0
            if block.expand is not None:
                x = layer(block.expand, x, 0)
            x = layer(block.depthwise, x, 0 if x is given else kept)
            if block.se is not None:
                # the gate, a value a channel, waits while all is scaled
                x = layer(block.se, x, kept + x.shape[1])
            x = layer(block.project, x, kept)
            if kept:
                largest = max(largest, 3 * kept)
        x = layer(net.final_expand, x, 0)
        return max(largest, x.numel() + x.shape[1])


def test_a_peak_is_kept_exactly_where_no_block_is_above_it():
    footprint = Footprint(TINY, "int8")
    codes = sample(TINY, 300, np.random.default_rng(1))
    peaks = footprint.cost("peak_memory", codes)
    assert set(peaks) <= set(footprint.levels)
    for level in footprint.levels:
        np.testing.assert_array_equal(footprint.above(codes, float(level)) == 0, peaks <= level)


def test_precisions_scale_bytes_and_nothing_else():
    codes = sample(TINY, 20, np.random.default_rng(2))
    full, half, eighth = (Footprint(TINY, precision) for precision in ("fp32", "fp16", "int8"))
    for name in ("size", "peak_memory"):
        np.testing.assert_array_equal(full.cost(name, codes), 2 * half.cost(name, codes))
    np.testing.assert_array_equal(full.cost("peak_memory", codes), 4 * eighth.cost("peak_memory", codes))
    assert (eighth.cost("size", codes) < 0.5 * full.cost("size", codes)).all()
    np.testing.assert_array_equal(full.cost("params", codes), eighth.cost("params", codes))
    assert BYTES["bf16"] == 2
    dynamic = Footprint(TINY, "int8_dynamic")
    np.testing.assert_array_equal(dynamic.cost("size", codes), eighth.cost("size", codes))
    np.testing.assert_array_equal(dynamic.cost("peak_memory", codes), full.cost("peak_memory", codes))


def test_what_is_unknown_is_refused():
    codes = sample(TINY, 1, np.random.default_rng(0))
    with pytest.raises(UnknownNameError, match="did you mean 'params'"):
        Footprint(TINY).cost("parms", codes)
    with pytest.raises(UnknownNameError, match="unknown precision 'fp8'"):
        Footprint(TINY, "fp8")
    cells = find_space("nas-bench-201")
    with pytest.raises(ConfigError, match="does not decompose into blocks"):
        Footprint(cells).cost("params", np.zeros((1, 6), dtype=np.int16))
    assert set(UNITS) == {"params", "macs", "flops", "size", "peak_memory"}
    assert len(Footprint(find_space("proxyless")).levels) > 10
