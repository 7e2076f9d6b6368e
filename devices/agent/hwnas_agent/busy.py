"""The procedure for a device that is never quiet: all models again and again in changing company, with the time of every sample.

The host takes the state of the device off these samples (`hwnas.profiler.twoway`). For that, no model may have a stretch of time of its
own: each pass goes over all models in chunks that are drawn anew, so that every model has neighbours in time that others have too. Nobody
waits for quiet here, and samples that are quiet all the same are not part of it: states are never mixed.
"""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Iterator, Sequence

from hwnas_agent.subject import Job

QUIET_SHARE = 0.5
"""Share of a session's time after which a device that does not look as if it would be quiet is measured as it is."""
BUSY_BELOW = 0.05
PASSES = 10
ROUNDS = 4
RUNS = 3
"""40 rounds of 3 samples a model. Passes are short: where the time ends before the last one, all models have about as many samples."""
ROOM_BYTES = 256 * 1024 * 1024
"""Files of this size together stay loaded from pass to pass: loading a network ten times takes longer than sampling it."""


def never_quiet(samples: Sequence[int], least: int, quiet_share: float | None) -> bool:
    """Whether models that were visited and have so many quiet samples show a device that will not be quiet enough.

    Hardly any of its time was quiet, or most of them have next to nothing.
    """
    poor = sum(n < least for n in samples)
    return poor > 0 and ((quiet_share or 0.0) < BUSY_BELOW or poor > len(samples) / 2)


def roomy(jobs: Sequence[Job]) -> bool:
    """Whether all jobs may be loaded at the same time, by the sizes of their files."""
    return sum(map(_size, {job.path for job in jobs})) <= ROOM_BYTES


def _size(path: str) -> int:
    try:
        return Path(path).stat().st_size
    except OSError:
        return 0  # what cannot be read is reported when it is to be loaded


def companies(jobs: Sequence[Job], size: int, random: Random) -> Iterator[list[Job]]:
    """Every job once a pass, ``size`` of them together, drawn anew each time."""
    for _ in range(PASSES):
        order = list(jobs)
        random.shuffle(order)
        for start in range(0, len(order), size):
            yield order[start : start + size]
