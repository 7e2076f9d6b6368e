"""What measuring is about to do and about how long that takes, said before it begins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hwnas.core.arch import SearchSpace
from hwnas.core.device import MeasurePlan
from hwnas.export.exporter import PAGE_RUNTIMES
from hwnas.latency.table import LatencyTable
from hwnas.pipeline.modelfiles import OVERHEAD
from hwnas.pipeline.timings import TimedModel
from hwnas.profiler.estimate import session_seconds
from hwnas.space.family import blocks_of, blockwise, family_of

MACS_PER_MS = 1e7
"""A core of a phone or laptop in fp32. A guess within a factor of three, which matters for large blocks alone: where they take less than a
sample lasts, as most do, the number of models decides."""
BYTES_PER_WEIGHT = 4


@dataclass(frozen=True, slots=True)
class Forecast:
    """One target: what is to be measured, what is in its journal already, and the time. ``at_least``: nothing better is known of it."""

    blocks: int
    networks: int
    kept: int
    seconds: float
    max_seconds: float
    at_least: bool = False

    def __str__(self) -> str:
        kept = f" ({self.kept} are in the journal)" if self.kept else ""
        about = "at least" if self.at_least else "about"
        return (
            f"{_count(self.blocks, 'block')} and {_count(self.networks, 'network')} to measure{kept}: {about} {span(self.seconds)}"
            f" where the device is quiet, at most {span(self.max_seconds)}"
        )


def forecast(
    space: SearchSpace, models: Sequence[TimedModel], plan: MeasurePlan, *, runtime: str, kept: int = 0, at_hand: LatencyTable | None = None
) -> Forecast:
    """What a session that measures ``models`` for a table will take, with ``kept`` others in its journal.

    ``at_hand`` is an earlier table of the same target: what its models took says more than their size. Without one, a page takes longer
    than can be said: its runtime is several times slower than the native one, and not by a constant.
    """
    shapes = {block.key: block.in_shape for block in blockwise(space).vocabulary(space)}
    # most weights of a network are in its last blocks, and so is the number of times that each is used
    _, largest = family_of(space).extremes(space)
    last = blocks_of(space, largest)[-1].in_shape
    measured_ms = _measured_ms(at_hand)
    expected_ms = [measured_ms.get(m.key) or _guessed_ms(m, shapes.get(m.key, last)) for m in models]
    share = None if at_hand is None else at_hand.facts.get("quiet_share")
    seconds = session_seconds(expected_ms, plan, quiet_share=share if isinstance(share, float) and share > 0 else 1.0)
    return Forecast(
        blocks=sum(m.key in shapes for m in models),
        networks=sum(m.key.startswith("net:") for m in models),
        kept=kept,
        seconds=seconds,
        max_seconds=plan.max_seconds,
        at_least=runtime in PAGE_RUNTIMES and at_hand is None,
    )


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
