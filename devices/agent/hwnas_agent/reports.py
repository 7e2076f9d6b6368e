"""What the agent tells: quiet and typical samples of a model when its turn is over, busy ones with their times, progress, and the end."""

from __future__ import annotations

from typing import Sequence

from hwnas_agent.band import QuietBand
from hwnas_agent.subject import Sample, Subject
from hwnas_agent.thermal import Cooling
from hwnas_agent.wire import MAX_SAMPLES, Message

MAX_REFERENCES = 4096


def result(subject: Subject, accepted: Sequence[Sample], *, quiet_level_us: float, chunk: int) -> Message:
    """A model's turn is over."""
    return {
        "type": "result",
        "quiet_ms": [round(s.run_ns / 1e6, 6) for s in accepted[:MAX_SAMPLES]],
        "typical_ms": [round(ns / 1e6, 6) for ns in subject.typical.runs_ns],
        "rejected": subject.attempts - len(accepted),
        "quiet_level_us": quiet_level_us,
        "chunk": chunk,
        **_shared(subject),
    }


def busy(subject: Subject, begin_ns: int) -> Message:
    """Samples of a device that is never quiet; ``at_s`` is since the session began."""
    samples = subject.busy[:MAX_SAMPLES]
    return {
        "type": "busy",
        "busy_ms": [round(s.run_ns / 1e6, 6) for s in samples],
        "at_s": [round((s.at_ns - begin_ns) / 1e9, 4) for s in samples],
        "rejected": subject.attempts - len(samples),
        **_shared(subject),
    }


def progress(finished: int, unfinished: Sequence[Subject], wanted: int, *, band: QuietBand, min_repeats: int) -> Message:
    """How far a session is: models, and samples as ``min_repeats`` of each of the ``wanted`` models."""
    accepted = sum(min(len(s.accepted(band)), min_repeats) for s in unfinished)
    return {
        "type": "progress",
        "finished": finished,
        "accepted": accepted + finished * min_repeats,
        "wanted": wanted * min_repeats,
        "quiet_share": band.quiet_share(),
    }


def done(
    *,
    results: int,
    short: Sequence[int],
    visits: int,
    band: QuietBand,
    reference_us: Sequence[float],
    seconds: float,
    cooling: Cooling,
    heated_s: float,
) -> Message:
    """The session is over; ``short`` has the number of quiet samples of each model that has too few."""
    return {
        "type": "done",
        "results": results,
        "short": len(short),
        "fewest": min(short, default=0),
        "visits": visits,
        "probes": band.probes,
        "quiet_level_us": band.level_us or None,
        "quiet_share": band.quiet_share(),
        "reference_us": list(reference_us[:MAX_REFERENCES]),
        "seconds": seconds,
        "hottest_c": cooling.hottest_c,
        "throttled": sorted(cooling.throttled),
        "cooled_s": cooling.paused_s,
        "heated_s": heated_s,
    }


def _shared(subject: Subject) -> Message:
    return {
        "id": subject.job.id,
        "load_ms": subject.load_ns / 1e6,
        "first_ms": subject.first_ns / 1e6,
        "runs_per_sample": subject.runs,
        "execution": subject.execution._asdict(),
        "peak_memory_bytes": subject.peak_memory_bytes,
        "energy_mj": subject.energy_mj,
    }
