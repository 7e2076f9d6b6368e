"""The report of a run that evaluated 100,000 architectures: how long it takes to build, how large it is, and how soon it is drawn.

The run is made up: a Once-for-All space with its real architectures, latencies and accuracies from a formula with noise, and a run
folder as `hwnas run` writes it, for two targets that share the evaluations. It is drawn by headless chromium, if there is one here; the
time is from the start of the navigation until every chart is drawn. CPU seconds stand beside, for machines that do other work, too.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import Outcome, Target, main
from hwnas.core.arch import Codes, SearchSpace
from hwnas.core.predict import Floats
from hwnas.core.serial import write_atomic
from hwnas.pipeline.kept import keep_search
from hwnas.pipeline.reported.assembled import report_of
from hwnas.pipeline.reported.sources import find_sources
from hwnas.report.page.document import document
from hwnas.search.archive import Front, Scored
from hwnas.search.pareto import pareto_front
from hwnas.space.family import find_space
from hwnas.space.moves import sample
from hwnas.workspace import Workspace

COUNT = 100_000
RUNTIMES = ("onnxruntime", "litert")
BUDGETS_MS = (20.0, 30.0, 40.0)
TARGETS = {"built_s": Target("<=", 20.0), "drawn_s": Target("<=", 3.0), "megabytes": Target("<=", 5.0)}


def measure(quick: bool) -> Outcome:
    """Make the run, its report, and open that."""
    count = 5_000 if quick else COUNT
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        _workspace(root, count)
        begin, begin_cpu = time.perf_counter(), time.process_time()
        text = document(report_of(find_sources(Workspace.open(root), [])))
        to = root / "report.html"
        write_atomic(to, text)
        built_s, built_cpu_s = time.perf_counter() - begin, time.process_time() - begin_cpu
        megabytes = to.stat().st_size / 1e6
        drawn = _drawn(to)
    figures = {"built_s": built_s, "built_cpu_s": built_cpu_s, "megabytes": megabytes}
    shown: tuple[object, ...] = ("no chromium here", "-", "-")
    if drawn is not None:
        figures |= dict(zip(("drawn_s", "drawn_cpu_s", "charts"), drawn, strict=True))
        shown = (f"{drawn[0]:.2f}", f"{drawn[1]:.2f}", int(drawn[2]))
    rows: list[tuple[object, ...]] = [(f"{count:,}", f"{built_s:.2f}", f"{built_cpu_s:.2f}", f"{megabytes:.2f}", *shown)]
    columns = ("architectures", "built, s", "built, CPU s", "MB", "drawn, s", "drawn, CPU s", "charts")
    return Outcome(columns, rows, figures, TARGETS)


def _workspace(root: Path, count: int) -> None:
    space = find_space("ofa-w1.0")
    codes = sample(space, count, np.random.default_rng(0))
    write_atomic(root / "hwnas.toml", '[data]\nsource = "fashion-mnist"\n[space]\npreset = "ofa-w1.0"\n')
    write_atomic(root / "devices" / "phone.toml", 'transport = "local"\nruntimes = ["onnxruntime", "litert"]\n')
    run = root / "runs" / "0123456789ab"
    rows = []
    for number, runtime in enumerate(RUNTIMES):
        scored = _scored(space, codes, seed=number)
        points = scored.take(pareto_front(np.stack([scored.upper_ms, -scored.accuracy], axis=1)))
        where = {"device": "phone", "runtime": runtime, "precision": "fp32", "statistic": "p50", "regime": "quiet"}
        budgets = [{"budget": f"{ms:g}ms", "budget_ms": ms} for ms in BUDGETS_MS]
        asked = {**where, "strategy": "evolution", "trials": count, "seed": 0, "model": "made up", "confidence": 0.95, "budgets": budgets}
        keep_search(run, f"phone-{runtime}", Front(space, points, scored, count), asked)
        rows += [_row(space, scored, where, ms) for ms in BUDGETS_MS]
    write_atomic(run / "result.json", json.dumps({"run": run.name, "seconds": 1.0, "targets": rows}))


def _scored(space: SearchSpace, codes: Codes, *, seed: int) -> Scored:
    rng = np.random.default_rng(seed)
    size = (codes / np.maximum(space.n_options - 1, 1)).mean(axis=1)
    latency: Floats = (10 + 60 * size) * rng.lognormal(0, 0.1, len(codes))
    accuracy: Floats = 0.70 + 0.09 * np.sqrt(size) + rng.normal(0, 0.003, len(codes))
    return Scored(codes, latency, 1.05 * latency, accuracy, np.full(len(codes), 0.003), np.zeros(len(codes)))


def _row(space: SearchSpace, scored: Scored, where: dict[str, str], budget_ms: float) -> dict[str, Any]:
    best = scored.take(scored.fitting(budget_ms)[:1])
    time_ms = float(best.latency_ms[0])
    return {
        **where,
        "threads": 1,
        "budget": f"{budget_ms:g}ms",
        "budget_ms": budget_ms,
        "arch": space.architecture(best.codes[0]).id,
        "accuracy_val": float(best.accuracy[0]),
        "accuracy_test": float(best.accuracy[0]),
        "predicted_ms": time_ms,
        "predicted_hi_ms": float(best.upper_ms[0]),
        "measured_ms": time_ms,
        "measured_ci_ms": [0.98 * time_ms, 1.02 * time_ms],
        "verdict": "ok",
    }


def _drawn(to: Path) -> tuple[float, float, float] | None:
    """Seconds until every chart is drawn, CPU seconds of the page's main thread, and charts: the best of three; None without chromium."""
    program = shutil.which("chromium")
    if program is None:
        return None
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=["--headless", "--no-sandbox", "--disable-gpu"])
        try:
            found = [_opened(chromium.new_page, to) for _ in range(3)]
        finally:
            chromium.close()
    return min(found)


def _opened(new_page: Callable[[], Any], to: Path) -> tuple[float, float, float]:
    page = new_page()
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    begin = time.perf_counter()
    page.goto(to.as_uri())
    page.wait_for_function("document.documentElement.dataset.drawn === 'yes'", timeout=120_000)
    seconds = time.perf_counter() - begin
    metrics = {each["name"]: float(each["value"]) for each in session.send("Performance.getMetrics")["metrics"]}
    return seconds, metrics["ThreadTime"], float(page.evaluate("document.querySelectorAll('.chart svg').length"))


if __name__ == "__main__":
    sys.exit(main("report.size", measure))
