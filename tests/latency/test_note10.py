"""The published Note10 block table and the nets published for it: an additive table must give their latencies."""

import csv
import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from hwnas.core.arch import Architecture, Block, SearchSpace
from hwnas.core.device import Measurement, MeasurePlan
from hwnas.latency.additive import AdditiveLatency
from hwnas.latency.table import LatencyTable
from hwnas.space.family import SpaceOptions, blockwise, find_space

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("HWNAS_REFERENCE_DATA", ROOT.parent / "shared" / "data")) / "ofa"
TABLE, NETS = DATA / "note10_block_lut.csv", DATA / "ofa_specialized_nets_note10.csv"

pytestmark = pytest.mark.skipif(
    not (TABLE.is_file() and NETS.is_file()), reason="the published Note10 table is not here (HWNAS_REFERENCE_DATA names its folder)"
)


@dataclass(frozen=True)
class Rows:
    """Mean milliseconds of the published table by what identifies a row."""

    times_ms: dict[tuple[str, ...], float]

    @classmethod
    def read(cls, resolution: int) -> "Rows":
        with TABLE.open(newline="") as file:
            rows = [row for row in csv.DictReader(file) if int(row["resolution"]) == resolution]
        names = ("op", "input", "output", "expand", "kernel", "stride", "idskip", "se", "hs")
        return cls({tuple(row[name] for name in names if row[name]): float(row["mean_ms"]) for row in rows})

    def of(self, block: Block) -> float:
        channels, height, _ = block.in_shape
        params = dict(block.params)
        given = f"{height}x{height}x{channels}"
        if block.op == "head":
            mix = params["mix"]
            parts = (("AvgPool2D", given, f"1x1x{channels}"), ("Conv_2", f"1x1x{channels}", f"1x1x{mix}"), ("Logits", f"1x1x{mix}", "1000"))
            return sum(self.times_ms[part] for part in parts)
        out = f"{height}x{height}x{params['out']}"
        if block.op == "stem":
            return self.times_ms["Conv", given, f"{height // 2}x{height // 2}x{params['out']}"]
        if block.op == "final_expand":
            return self.times_ms["Conv_1", given, out]
        size = (height - 1) // int(params["s"]) + 1
        flags = (str(int("res" in params)), str(int("se" in params)), str(int(params["act"] == "hswish")))
        shape = (given, f"{size}x{size}x{params['out']}", str(params["mid"]), str(params["k"]), str(params["s"]))
        return self.times_ms["expanded_conv", *shape, *flags]


def published(row: dict[str, str], space: SearchSpace) -> Architecture:
    """The architecture of a published net: its blocks after the first, cut into stages where the width changes."""
    lists = {name: [int(v) for v in row[name].split()][1:] for name in ("in_ch", "out_ch", "mid_ch", "ks")}
    widths = (32, 48, 96, 136, 192)
    values: dict[str, int] = {"resolution": int(row["image_size"])}
    for stage, width in enumerate(widths):
        own = [i for i, out in enumerate(lists["out_ch"]) if out == width]
        values[f"s{stage}.depth"] = len(own)
        for position, i in enumerate(own):
            values[f"s{stage}.b{position}.kernel"] = lists["ks"][i]
            values[f"s{stage}.b{position}.expand"] = round(lists["mid_ch"][i] / lists["in_ch"][i])
    return space.parse(values)


@pytest.mark.parametrize(("net", "total_ms"), [(0, 29.97), (1, 39.91), (2, 49.78)])
def test_sums_are_those_of_the_published_nets(net: int, total_ms: float) -> None:
    with NETS.open(newline="") as file:
        row = list(csv.DictReader(file))[net]
    resolution = int(row["image_size"])
    space = find_space("ofa-w1.2", SpaceOptions(resolutions=(resolution,)))
    rows = Rows.read(resolution)
    table = LatencyTable(
        device="note10",
        runtime="tflite",
        precision="fp32",
        threads=1,
        batch=1,
        regime="quiet",
        plan=MeasurePlan(),
        facts={},
        overhead=None,
        entries={b.key: Measurement((rows.of(b),), rejected=0) for b in blockwise(space).vocabulary(space)},
    )
    predicted = AdditiveLatency.from_table(table, space).predict(published(row, space).codes)
    assert predicted.mean[0] == pytest.approx(total_ms, abs=0.01)
