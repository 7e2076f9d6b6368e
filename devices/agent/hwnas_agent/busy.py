"""The procedure for a device that is never quiet: all models again and again in changing company, with the time of every sample.

The host takes the state of the device off these samples (`hwnas.profiler.twoway`). For that, no model may have a stretch of time of its
own: each pass goes over all models in chunks that are drawn anew, so that every model has neighbours in time that others have too. Nobody
waits for quiet here, and samples that are quiet all the same are not part of it: states are never mixed.
"""

from __future__ import annotations

from random import Random
from typing import Iterator, Sequence

from hwnas_agent.subject import Job

QUIET_SHARE = 0.75
"""Share of a session's time after which a device that was quiet for less than `BUSY_BELOW` of it is taken for one that stays busy."""
BUSY_BELOW = 0.05
PASSES = 5
ROUNDS = 8
RUNS = 3
"""40 rounds of 3 samples a model."""


def companies(jobs: Sequence[Job], size: int, random: Random) -> Iterator[list[Job]]:
    """Every job once a pass, ``size`` of them together, drawn anew each time."""
    for _ in range(PASSES):
        order = list(jobs)
        random.shuffle(order)
        for start in range(0, len(order), size):
            yield order[start : start + size]
