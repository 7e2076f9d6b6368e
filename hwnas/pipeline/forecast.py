"""What a measuring session is about to do and about how long that takes, said before it begins."""

from __future__ import annotations

from collections.abc import Sequence

from hwnas.core.arch import SearchSpace
from hwnas.core.device import MeasurePlan
from hwnas.pipeline.timings import TimedModel
from hwnas.profiler.estimate import session_seconds
from hwnas.space.family import blocks_of, blockwise, family_of

MACS_PER_MS = 1e7
"""A core of a phone or laptop in fp32. A guess within a factor of three, which matters for large blocks alone: where they take less than a
sample lasts, as most do, the number of models decides."""
BYTES_PER_WEIGHT = 4


def forecast(space: SearchSpace, models: Sequence[TimedModel], plan: MeasurePlan) -> str | None:
    """One line on a session that measures ``models`` for a table; None for one that times exported files."""
    if any(m.key.startswith("file:") for m in models):
        return None
    shapes = {block.key: block.in_shape for block in blockwise(space).vocabulary(space)}
    blocks = sum(m.key in shapes for m in models)
    networks = sum(m.key.startswith("net:") for m in models)
    # most weights of a network are in its last blocks, and so is the number of times that each is used
    _, largest = family_of(space).extremes(space)
    last = blocks_of(space, largest)[-1].in_shape
    expected_ms = [_expected_ms(m, shapes.get(m.key, last)) for m in models]
    seconds = session_seconds(expected_ms, plan)
    return (
        f"{_count(blocks, 'block')} and {_count(networks, 'network')} to measure: about {_span(seconds)} where the device is quiet,"
        f" at most {_span(plan.max_seconds)}"
    )


def _expected_ms(model: TimedModel, shape: tuple[int, int, int]) -> float:
    """From the file's size: all of it weights, each used once a pixel."""
    _, height, width = shape
    return model.path.stat().st_size / BYTES_PER_WEIGHT * height * width / MACS_PER_MS


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"


def _span(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
