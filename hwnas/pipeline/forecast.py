"""What measuring is about to do and about how long that takes, said before it begins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from hwnas.core.arch import SearchSpace
from hwnas.core.device import MeasurePlan
from hwnas.export.exporter import PAGE_RUNTIMES
from hwnas.latency.table import LatencyTable
from hwnas.pipeline.modelfiles import OVERHEAD
from hwnas.pipeline.timings import TimedModel
from hwnas.profiler.estimate import BURST_START_S, burst_seconds, native_seconds, session_seconds
from hwnas.space.family import blocks_of, blockwise, family_of

MACS_PER_MS = 1e7
"""A core of a phone or laptop in fp32. A guess within a factor of three, which matters for large blocks alone: where they take less than a
sample lasts, as most do, the number of models decides."""
BYTES_PER_WEIGHT = 4


@dataclass(frozen=True, slots=True)
class Forecast:
    """One target: what is to be measured, what is in its journal already, and the time. ``at_least``: nothing better is known of it.

    ``begun`` of those that are to be measured are in the journal in part. ``quiet`` says that the time is that of a quiet device; a
    benchmark program knows no quiet. ``too_long``: not even the fewest samples that would do are to be had in the plan's time.
    """

    blocks: int
    networks: int
    kept: int
    seconds: float
    max_seconds: float
    at_least: bool = False
    begun: int = 0
    quiet: bool = True
    too_long: bool = False

    def __str__(self) -> str:
        parts = [f"{self.kept} are in the journal"] * bool(self.kept) + [f"{self.begun} begun"] * bool(self.begun)
        kept = f" ({', '.join(parts)})" if parts else ""
        about = "at least" if self.at_least else "about"
        where = " where the device is quiet" if self.quiet else ""
        more = "; that will not do: run it again to go on, or raise max_seconds of [profile]" if self.too_long else ""
        return (
            f"{_count(self.blocks, 'block')} and {_count(self.networks, 'network')} to measure{kept}: {about} {span(self.seconds)}"
            f"{where}, at most {span(self.max_seconds)}{more}"
        )


def forecast(
    space: SearchSpace,
    models: Sequence[TimedModel],
    plan: MeasurePlan,
    *,
    runtime: str,
    kept: int = 0,
    at_hand: LatencyTable | None = None,
    bursts: Mapping[str, int] | None = None,
) -> Forecast:
    """What a session that measures ``models`` for a table will take, with ``kept`` others in its journal.

    ``at_hand`` is an earlier table of the same target: what its models took says more than their size. Without one, a page takes longer
    than can be said: its runtime is several times slower than the native one, and not by a constant. ``bursts`` are given where a
    benchmark program measures: how many of each model are in the journal.
    """
    shapes = {block.key: block.in_shape for block in blockwise(space).vocabulary(space)}
    # most weights of a network are in its last blocks, and so is the number of times that each is used
    _, largest = family_of(space).extremes(space)
    last = blocks_of(space, largest)[-1].in_shape
    measured_ms = _measured_ms(at_hand)
    expected_ms = [measured_ms.get(m.key) or _guessed_ms(m, shapes.get(m.key, last)) for m in models]
    share = None if at_hand is None else at_hand.facts.get("quiet_share")
    seconds = session_seconds(expected_ms, plan, quiet_share=share if isinstance(share, float) and share > 0 else 1.0)
    ahead = Forecast(
        blocks=sum(m.key in shapes for m in models),
        networks=sum(m.key.startswith("net:") for m in models),
        kept=kept,
        seconds=seconds,
        max_seconds=plan.max_seconds,
        at_least=runtime in PAGE_RUNTIMES and at_hand is None,
    )
    return ahead if bursts is None else _of_a_program(ahead, expected_ms, [bursts.get(m.key, 0) for m in models], plan, at_hand)


def _of_a_program(
    ahead: Forecast, expected_ms: Sequence[float], made: Sequence[int], plan: MeasurePlan, at_hand: LatencyTable | None
) -> Forecast:
    """The same where a benchmark program measures, which starts anew for each sample and for a first burst of each model."""
    start_s = _start_s(at_hand)
    all_s, least_s = (
        native_seconds(expected_ms, [max(0, 1 + repeats - n) for n in made], start_s=start_s)
        for repeats in (plan.min_repeats, min(plan.least_repeats, plan.min_repeats))
    )
    return replace(
        ahead,
        seconds=min(all_s, plan.max_seconds),
        begun=sum(n > 0 for n in made),
        quiet=False,
        too_long=least_s > plan.max_seconds,
    )


def _start_s(table: LatencyTable | None) -> float:
    """What a burst took in an earlier session beyond its calls; a guess without one."""
    facts = {} if table is None else table.facts
    seconds, bursts = facts.get("seconds"), facts.get("bursts")
    if not (isinstance(seconds, (int, float)) and isinstance(bursts, int) and bursts > 0):
        return BURST_START_S
    calls_s = [burst_seconds(ms, start_s=0.0) for ms in _measured_ms(table).values()]
    return max(0.0, seconds / bursts - sum(calls_s) / len(calls_s))


def _measured_ms(table: LatencyTable | None) -> Mapping[str, float]:
    if table is None:
        return {}
    timings = dict(table.entries) | {key: n.measurement for key, n in table.networks.items()}
    if table.overhead is not None:
        timings[OVERHEAD] = table.overhead
    return {key: m.quantile_ms("p50") for key, m in timings.items()}


def _guessed_ms(model: TimedModel, shape: tuple[int, int, int]) -> float:
    """From the file's size: all of it weights, each used once a pixel."""
    _, height, width = shape
    return model.path.stat().st_size / BYTES_PER_WEIGHT * height * width / MACS_PER_MS


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"


def span(seconds: float) -> str:
    """A length of time for people."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
