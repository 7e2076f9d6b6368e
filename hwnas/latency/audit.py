"""Can a table be what it says? Blocks that are missing, times that do not fit the others or their work, drift since another table.

Times of one operation are fitted robustly (Huber 1964) by what its blocks compute and move; one that is far from that is an outlier. A
block that differs from another in a larger kernel or a wider expansion alone has more to do, and cannot be faster by more than two
sessions on one device differ. Rates tell units: no core makes a hundred thousand million multiply-accumulates a second in fp32, and none
needs a second for twenty million.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from hwnas.core.arch import SearchSpace
from hwnas.core.device import Measurement
from hwnas.core.errors import TableError, TooNoisy
from hwnas.core.predict import Floats
from hwnas.latency.blockwork import Work, work_of
from hwnas.latency.compare import SPREAD_WITHIN, STATISTIC, compare
from hwnas.latency.table import LatencyTable
from hwnas.space.family import blockwise

KINDS = ("missing", "units", "outlier", "ordering", "drift")
OUTLIER_AT_LEAST = math.log(1.6)
OUTLIER_SPREADS = 6.0
"""An outlier is further from the fit than both: the factor (caches alone make 1.5), and so many robust standard deviations of all."""
MIN_FOR_FIT = 24
OTHER_UNIT = math.log(200.0)
"""Two units differ by a thousand; the rates of blocks of one table by less than this."""
FASTEST_MACS = 100e9
SLOWEST_MACS = 20e6
"""Per second, for one thread of a processor in fp32: the peak of 512-bit vectors, and a hundredth of a phone's slowest core."""
SMALL_TYPES_GAIN, GPU_GAIN = 4.0, 2000.0
_GPU_WORDS = ("cuda", "tensorrt", "gpu")
_ROUNDS = 30
_HUBER = 1.345


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong: its kind (`KINDS`), the block that it is about or first about, and the sentence."""

    kind: str
    key: str
    text: str

    @property
    def line(self) -> str:
        """As it is printed."""
        return f"{self.kind}: {self.text}"


def audit(table: LatencyTable, spaces: Iterable[SearchSpace] = (), *, before: LatencyTable | None = None) -> tuple[Finding, ...]:
    """Everything that is wrong with ``table``: that blocks of ``spaces`` are missing, and drift since ``before`` where that is given.

    A ``before`` of another context raises `TableError`.
    """
    found = [finding for space in spaces for finding in _missing(table, space)]
    works = {key: work for key in table.blocks if (work := work_of(key)) is not None}
    strange = _units(table, works)
    found += strange
    if not strange:  # times in two units fit nothing
        found += [*_outliers(table.blocks, works), *_orderings(table.blocks, works)]
    return (*found, *([] if before is None else _drift(before, table)))


def _missing(table: LatencyTable, space: SearchSpace) -> list[Finding]:
    words = blockwise(space).vocabulary(space)
    missing = table.missing(words)
    if not missing:
        return []
    sizes = "/".join(str(option) for option in space.choices[space.index("resolution")].options)
    first = missing[0].key
    return [Finding("missing", first, f"{len(missing)} of {len(words)} blocks of space '{space.name}' at {sizes} px, first {first}")]


def _units(table: LatencyTable, works: Mapping[str, Work]) -> list[Finding]:
    if len(works) < 3:
        return []
    keys = sorted(works)
    times_s = np.array([table.entries[key].quantile_ms(STATISTIC) for key in keys]) / 1e3
    costs = np.array([works[key].macs + works[key].elements + works[key].weights for key in keys], dtype=np.float64)
    logs = np.log(times_s / costs)
    middle = np.sort(logs)[(len(logs) - 1) // 2]  # one of them, not a mean of two units
    off = np.flatnonzero(np.abs(logs - middle) > OTHER_UNIT)
    if len(off):
        first = int(off[np.argmax(np.abs(logs[off] - middle))])
        factor = math.exp(abs(float(logs[first] - middle)))
        way = "slower" if logs[first] > middle else "faster"
        worst = f"{keys[first]}: {1e3 * times_s[first]:.6g} ms, for its work {factor:.0f} times {way} than the median block"
        return [Finding("units", keys[first], f"{len(off)} of {len(keys)} blocks are as if in another unit, worst {worst}")]
    rate = float(np.median([works[key].macs for key in keys] / times_s)) * table.batch
    fastest = FASTEST_MACS * _gain(table) * table.threads
    slowest = SLOWEST_MACS * (GPU_GAIN if _on_gpu(table) else 1.0)
    if slowest <= rate <= fastest:
        return []
    said, unit = ("more", "seconds") if rate > fastest else ("less", "microseconds")
    bound = fastest if rate > fastest else slowest
    text = f"the median block makes {rate:.3g} multiply-accumulates a second, {said} than the {bound:.3g} possible"
    return [Finding("units", keys[0], f"{text}: are the times in {unit}?")]


def _on_gpu(table: LatencyTable) -> bool:
    return any(word in table.runtime for word in _GPU_WORDS)


def _gain(table: LatencyTable) -> float:
    return (GPU_GAIN if _on_gpu(table) else 1.0) * (1.0 if table.precision == "fp32" else SMALL_TYPES_GAIN)


def _outliers(blocks: Mapping[str, Measurement], works: Mapping[str, Work]) -> list[Finding]:
    found = []
    kinds: dict[tuple[str, bool], list[str]] = {}
    for key, work in works.items():
        kinds.setdefault((work.op, work.numbers.get("mid") == work.numbers["in"]), []).append(key)
    for keys in kinds.values():
        if len(keys) < MIN_FOR_FIT:
            continue
        times = np.array([blocks[key].quantile_ms(STATISTIC) for key in keys])
        fitted = _fit([works[key] for key in keys], times)
        errors = np.log(times / np.maximum(fitted, times / 1e3))
        spread = 1.4826 * float(np.median(np.abs(errors)))
        for i in np.flatnonzero(np.abs(errors) > max(OUTLIER_AT_LEAST, OUTLIER_SPREADS * spread)):
            factor, way = math.exp(abs(float(errors[i]))), "slower" if errors[i] > 0 else "faster"
            text = f"{keys[i]}: {times[i]:.4g} ms, {factor:.1f} times {way} than blocks like it lead to expect ({fitted[i]:.4g} ms)"
            found.append(Finding("outlier", keys[i], text))
    return sorted(found, key=lambda finding: finding.key)


def _fit(works: list[Work], times_ms: Floats) -> Floats:
    """Times as a weighted sum of what the blocks compute and move, by reweighted least squares of relative errors, ``(n,)`` ms."""
    columns = np.array([_features(work) for work in works], dtype=np.float64)
    columns /= np.maximum(columns.max(axis=0), 1.0)
    relative = columns / times_ms[:, None]
    # a column that is nothing or a multiple of another gets the weight that is least
    ridge = 1e-3 * float(np.abs(relative).mean()) * np.eye(columns.shape[1])
    weights = np.ones(len(times_ms))
    fitted = times_ms
    for _ in range(_ROUNDS):
        root = np.sqrt(weights)
        left = np.vstack([relative * root[:, None], ridge])
        solution = np.linalg.lstsq(left, np.concatenate([root, np.zeros(len(ridge))]), rcond=None)[0]
        fitted = columns @ solution
        errors = np.abs(fitted / times_ms - 1)
        weights = np.minimum(1.0, _HUBER * 1.4826 * float(np.median(errors)) / np.maximum(errors, 1e-12))
    return fitted


def _features(work: Work) -> list[float]:
    depthwise = work.depthwise_macs
    by_kernel = [depthwise * (work.numbers.get("k") == k) for k in (5, 7)]
    by_word = [work.elements * (word in work.words) for word in ("hswish", "se")]
    strided = depthwise * (work.numbers.get("s") == 2)
    return [1.0, work.dense_macs, depthwise, *by_kernel, strided, work.elements, *by_word, work.weights]


def _orderings(blocks: Mapping[str, Measurement], works: Mapping[str, Work]) -> list[Finding]:
    found = {}
    for name, word in (("k", "kernel"), ("mid", "expansion to")):
        alike: dict[tuple[object, ...], list[tuple[int, str]]] = {}
        for key, work in works.items():
            if name in work.numbers:
                alike.setdefault(work.others(name), []).append((work.numbers[name], key))
        for members in alike.values():
            ordered = sorted(members)
            for (less, smaller), (_, larger) in pairwise(ordered):
                covered = name == "k" and less >= 2 * works[smaller].size - 1  # it reaches all there is from everywhere
                low, high = blocks[smaller].interval_ms(STATISTIC)[0], blocks[larger].interval_ms(STATISTIC)[1]
                if not covered and high * (1 + SPREAD_WITHIN) < low:
                    now, then = (blocks[key].quantile_ms(STATISTIC) for key in (larger, smaller))
                    text = f"{larger}: {now:.4g} ms (at most {high:.4g}), though with {word} {less} it takes {then:.4g} ms"
                    found[larger, name] = Finding("ordering", larger, f"{text} (at least {low:.4g})")
    return [found[at] for at in sorted(found)]


def _drift(before: LatencyTable, now: LatencyTable) -> list[Finding]:
    now.require_like(before)
    common = sorted(before.blocks.keys() & now.blocks.keys())
    if not common:
        raise TableError(f"{now.label}: the two tables have no block in common")
    try:
        found = compare({key: before.entries[key] for key in common}, {key: now.entries[key] for key in common})
    except TooNoisy as problem:
        return [Finding("drift", common[0], f"cannot be told: {problem}")]
    if found.verdict == "holds":
        return []
    worst = max(found.ratios, key=lambda ratio: abs(math.log(ratio.ratio / found.scale)))
    by = f"{abs(found.scale - 1):.1%} {'slower' if found.scale > 1 else 'faster'}"
    text = f"{by} in common since the older table, nine of ten blocks within {found.spread:.1%} of that"
    return [Finding("drift", worst.key, f"{text}, worst {worst.key}: {worst.ratio:.2f} times")]
