"""The benchmark programs of LiteRT and onnxruntime: how each is asked, and what it answers, read strictly.

``benchmark_model`` logs one summary a phase, ``count=50 first=… curr=… min=… max=… avg=… std=…`` (newer builds add ``p5=… median=… p95=…``;
one run, or all alike, is ``count=1 curr=…``), and at the end ``Inference timings in us: Init: …, First inference: …, Warmup (avg): …,
Inference (avg): …`` (tensorflow/lite/tools/benchmark/benchmark_model.cc and its README). Its times are whole microseconds.

``onnxruntime_perf_test MODEL RESULT`` prints ``Session creation time cost: … s`` and, since 1.10, ``First inference time cost: … ms``, and
appends a line a run to RESULT: model, seconds, peak working set in bytes, CPU usage, number (onnxruntime/test/perftest; its
performance_result and README). Builds of late 2025 put the whole time of a run behind that of its submission: six fields.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from pydantic import ConfigDict

from hwnas.core.errors import ConfigError, ProtocolError
from hwnas.core.serial import STRICT

_NUMBER = r"([0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]{1,3})?)"
_SUMMARY = re.compile(
    rf"Inference timings in us: Init: {_NUMBER}, First inference: {_NUMBER}, Warmup \(avg\): {_NUMBER}, Inference \(avg\): {_NUMBER}\s*$"
)
_COUNT = re.compile(
    rf"count=([0-9]{{1,9}}) (?:first={_NUMBER} )?curr={_NUMBER}"
    rf"(?: ?\(all same\))?(?: min={_NUMBER} max={_NUMBER} avg={_NUMBER} std={_NUMBER})?"
    rf"(?: p5={_NUMBER} median={_NUMBER} p95={_NUMBER})?\s*$"
)
_SESSION = re.compile(rf"Session creation time cost: ?{_NUMBER} s\s*$")
_FIRST = re.compile(rf"First inference time cost: ?{_NUMBER} ms\s*$")
MAX_US = 1e11
MAX_RUNS = 100
"""Runs of one burst at most: their lines have to fit into what is kept of a command's output."""


@dataclass(frozen=True, slots=True)
class Burst:
    """One start of a tool: ``runs`` calls in a row, and ``typical_us``, the median of them where the tool tells it (``how``)."""

    runs: int
    typical_us: float
    how: str
    load_ms: float
    first_ms: float | None
    peak_memory_bytes: int | None

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    def __post_init__(self) -> None:
        if self.runs < 1 or self.typical_us <= 0:
            raise ProtocolError(f"a burst of {self.runs} runs of {self.typical_us:g} us")


@dataclass(frozen=True, slots=True)
class Tool:
    """How a program is asked for a burst. ``command(binary, model, result, threads, runs)`` starts it, ``result`` is a file that it writes.

    ``reads_result`` says whether that file has to be read, ``reserved`` are options that users cannot set, since they are set here.
    """

    command: Callable[[str, str, str, int, int], list[str]]
    parse: Callable[[str, str], Burst]
    reads_result: bool
    reserved: tuple[str, ...]


def _benchmark_model(binary: str, model: str, result: str, threads: int, runs: int) -> list[str]:  # noqa: ARG001
    counts = [f"--num_threads={threads}", f"--num_runs={runs}", "--warmup_runs=3"]
    return [binary, f"--graph={model}", *counts, "--min_secs=0", "--warmup_min_secs=0", "--max_secs=60"]


def _perf_test(binary: str, model: str, result: str, threads: int, runs: int) -> list[str]:
    # -I: inputs made up by the tool; -Z: threads that do not spin between runs
    return [binary, "-I", "-Z", "-m", "times", "-r", str(runs), "-x", str(threads), "-y", "1", model, result]


def parse_benchmark_model(output: str, result: str = "") -> Burst:  # noqa: ARG001 - one shape for all tools
    """What ``benchmark_model`` logged; anything else raises `ProtocolError`."""
    lines = output.splitlines()
    summaries = [found for line in lines if (found := _SUMMARY.search(line))]
    counts = [found for line in lines if (found := _COUNT.search(line))]
    if len(summaries) != 1 or not 1 <= len(counts) <= 2:
        raise ProtocolError(f"benchmark_model gave {len(summaries)} lines of inference timings and {len(counts)} of counts, not 1 and 2")
    init_us, first_us, _, average_us = (_us(text, "benchmark_model") for text in summaries[0].groups())
    last = counts[-1]
    runs, median = int(last[1]), last[9]
    typical_us = _us(median, "benchmark_model") if median else average_us
    if runs < 1 or typical_us <= 0 or not _near(average_us, last):
        raise ProtocolError(f"benchmark_model contradicts itself: {last[0].strip()[:120]!r}, on average {average_us:g} us")
    return Burst(runs, typical_us, "median" if median else "mean", init_us / 1e3, first_us / 1e3, None)


def parse_perf_test(output: str, result: str) -> Burst:
    """What ``onnxruntime_perf_test`` printed and wrote to its result file; anything else raises `ProtocolError`."""
    sessions = [found for line in output.splitlines() if (found := _SESSION.search(line))]
    firsts = [found for line in output.splitlines() if (found := _FIRST.search(line))]
    if len(sessions) != 1 or len(firsts) > 1:
        raise ProtocolError(f"onnxruntime_perf_test told {len(sessions)} times how long creating the session took, not once")
    parsed = [_row(line) for line in result.splitlines() if line.strip()]
    if not parsed or [number for *_, number in parsed] != list(range(len(parsed))):
        raise ProtocolError(f"onnxruntime_perf_test wrote {len(parsed)} runs that are not numbered from 0 on")
    times_us = np.asarray([us for us, _, _ in parsed])
    first_ms = _us(firsts[0][1], "onnxruntime_perf_test") if firsts else None
    load_ms = _us(sessions[0][1], "onnxruntime_perf_test") * 1e3
    return Burst(len(parsed), float(np.median(times_us)), "median", load_ms, first_ms, max(peak for _, peak, _ in parsed) or None)


def _row(line: str) -> tuple[float, int, int]:
    """Microseconds, peak working set and number of a line of a result file."""
    fields = [field.strip() for field in line.split(",")]
    if len(fields) not in (5, 6) or not all(re.fullmatch("[0-9]{1,15}", fields[place]) for place in (-3, -1)):
        raise ProtocolError(f"onnxruntime_perf_test wrote a line of another form: {line[:80]!r}")
    us = 1e6 * _us(fields[-4], "onnxruntime_perf_test")
    if us <= 0:
        raise ProtocolError(f"onnxruntime_perf_test tells a run of no time: {line[:80]!r}")
    return us, int(fields[-3]), int(fields[-1])


def _near(average_us: float, counts: re.Match[str]) -> bool:
    """Whether the average of the last line is that of the counts, of which it repeats six digits."""
    told = counts[6] or counts[3]
    return math.isclose(float(told), average_us, rel_tol=1e-3, abs_tol=1.0)


def _us(text: str, tool: str) -> float:
    if re.fullmatch(_NUMBER, text) is None or not 0 <= float(text) <= MAX_US:
        raise ProtocolError(f"{tool} tells a time of {text[:20]!r}")
    return float(text)


TOOLS = {
    "benchmark_model": Tool(
        _benchmark_model,
        parse_benchmark_model,
        False,
        ("--graph", "--num_threads", "--num_runs", "--warmup_runs", "--min_secs", "--warmup_min_secs", "--max_secs", "--dry_run", "--help"),
    ),
    "onnxruntime_perf_test": Tool(
        _perf_test, parse_perf_test, True, ("-I", "-Z", "-m", "-r", "-x", "-y", "-t", "-h", "-n", "-s", "-P", "-c")
    ),
}


def check_arguments(tool: str, arguments: Sequence[str]) -> None:
    """Refuse what would change what is measured, or how it is told."""
    for argument in arguments:
        if argument.split("=")[0] in TOOLS[tool].reserved:
            raise ConfigError(f"args of [native]: {argument.split('=')[0]} is set by hwnas; leave it out")
