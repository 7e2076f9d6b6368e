"""Do the sums of the published Note10 block table give the published latencies of the nets that were found with it?

Cai et al. 2020, Once-for-All (arXiv 1908.09791): three specialised nets, and the block table of the phone at each input size. Both are read
from the folder that ``HWNAS_REFERENCE_DATA`` names. The table goes through the importer and the additive predictor: as measured for the
net's own input size, as ``hwnas predict`` does, and beside it with blocks pooled over the input sizes that share them, as a search over all
of them sees the phone.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Mapping

from benchmarks.harness import Outcome, Target, main
from benchmarks.reference import published
from hwnas.core.arch import Architecture, SearchSpace
from hwnas.latency.additive import AdditiveLatency
from hwnas.latency.importing import Origin, covered_space, import_table
from hwnas.latency.table import LatencyTable
from hwnas.space.mobilenet_v3 import plan_of

TABLE, NETS = "ofa/note10_block_lut.csv", "ofa/ofa_specialized_nets_note10.csv"
SUMS_MS = (29.97, 39.91, 49.78)
"""Of the three nets, to be met to 0.01 ms."""


def note10() -> LatencyTable:
    """The published table."""
    return import_table([published(TABLE)], Origin("note10", "tflite", "fp32", 1, 1, "typical")).table


def published_nets() -> list[dict[str, str]]:
    """The rows of the three nets."""
    with published(NETS).open(newline="") as file:
        return list(csv.DictReader(file))


def architecture(row: Mapping[str, str], space: SearchSpace) -> Architecture:
    """The architecture of a published net: its blocks after the first, cut into stages where the width changes."""
    lists = {name: [int(v) for v in row[name].split()][1:] for name in ("in_ch", "out_ch", "mid_ch", "ks")}
    values: dict[str, int] = {"resolution": int(row["image_size"])}
    for stage, width in enumerate(each.width for each in plan_of(space).stages):
        own = [i for i, out in enumerate(lists["out_ch"]) if out == width]
        values[f"s{stage}.depth"] = len(own)
        for position, i in enumerate(own):
            values[f"s{stage}.b{position}.kernel"] = lists["ks"][i]
            values[f"s{stage}.b{position}.expand"] = round(lists["mid_ch"][i] / lists["in_ch"][i])
    return space.parse(values)


def sum_ms(table: LatencyTable, row: Mapping[str, str]) -> float:
    """What the additive predictor makes of ``table`` for a published net."""
    space = covered_space(table, "ofa-w1.2")
    return float(AdditiveLatency.from_table(table, space).predict(architecture(row, space).codes).mean[0])


def measure(quick: bool) -> Outcome:
    """All three nets; there is no smaller scale."""
    del quick
    table = note10()
    rows: list[tuple[object, ...]] = []
    figures: dict[str, float] = {}
    for number, (row, expected) in enumerate(zip(published_nets(), SUMS_MS, strict=True)):
        own, whole = sum_ms(table.at_resolution(int(row["image_size"])), row), sum_ms(table, row)
        rows.append((row["name"], row["image_size"], f"{own:.4f}", expected, f"{own - expected:+.4f}", f"{whole:.4f}", row["latency_ms"]))
        figures |= {f"net{number}_ms": own, f"net{number}_off_ms": abs(own - expected), f"net{number}_pooled_ms": whole}
    columns = ("net", "px", "sum ms", "expected", "off", "pooled over sizes ms", "published ms")
    return Outcome(columns, rows, figures, {f"net{number}_off_ms": Target("<=", 0.01) for number in range(len(SUMS_MS))})


if __name__ == "__main__":
    sys.exit(main("latency.note10_sums", measure))
