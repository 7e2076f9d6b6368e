"""Are several devices profiled in the time of the slowest, and does one core's agent leave another's figures alone?

Eight devices over real channels (ssh, pages in chromium, processes) replay recorded durations, so that a session lasts as long as it would
on such a device: the slowest is profiled alone, all eight at once, and all eight with one that falls silent in the middle. A device is
delivered when its table is published. Then two real agents measure the same blocks on two cores of this machine: each alone, both at once,
and alone again.
"""

from __future__ import annotations

import importlib
import queue
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from unittest import mock

from hwnas_agent import wire

from benchmarks.harness import Outcome, Target, main
from benchmarks.profiling._cores import two_cores
from benchmarks.profiling._devices import Kind, Spec, chosen, opened_pages
from hwnas.core.errors import HwnasError
from hwnas.pipeline import atonce, goals
from hwnas.pipeline.context import Context
from hwnas.pipeline.fleet import profile_all
from hwnas.pipeline.profile import Profile
from hwnas.workspace import Workspace

SLOWEST = 300.0
QUICK_SLOWEST = 12.0
"""How many times slower than the rig's pretended device the slowest is: 300 lasts about a minute."""
SILENT_AFTER_S = 20.0
QUICK_SILENT_AFTER_S = 2.5
QUICK_SILENCE_S = 6.0
"""How long a silent agent is waited for, in place of the 30 s."""
HUNG = 1
"""Which device falls silent: not the slowest, which is the last."""


def measure(quick: bool) -> Outcome:
    """Both parts; times in seconds, deviations in per cent."""
    rows, figures = _devices(quick)
    more, others = two_cores(quick)
    targets = {
        "all_to_slowest": Target("<=", 1.2),
        "with_one_hung_to_slowest": Target("<=", 1.2),
        "together_deviation_percent": Target("<=", 5.0),
    }
    return Outcome(("what", "value"), rows + more, figures | others, targets)


def _devices(quick: bool) -> tuple[list[tuple[object, ...]], dict[str, float]]:
    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        if quick:
            stack.enter_context(mock.patch.object(wire, "SILENCE_S", QUICK_SILENCE_S))
        open_links = stack.enter_context(opened_pages())
        rig = _Rig(root, chosen(), quick)
        rig.make(stack)
        last = rig.specs[-1].name
        alone_s = rig.profile([last], open_links)[last]
        together_s = rig.profile(rig.names, open_links)
        rig.hang(rig.specs[HUNG], QUICK_SILENT_AFTER_S if quick else SILENT_AFTER_S, stack)
        hung_s = rig.profile(rig.names, open_links)
    if rig.specs[HUNG].name in hung_s:
        raise RuntimeError("the silent device was delivered: the benchmark shows nothing")
    figures = {
        "slowest_alone_seconds": alone_s,
        "all_seconds": max(together_s.values()),
        "with_one_hung_seconds": max(hung_s.values()),
        "all_to_slowest": max(together_s.values()) / alone_s,
        "with_one_hung_to_slowest": max(hung_s.values()) / alone_s,
        "devices": float(len(together_s)),
        "delivered_with_one_hung": float(len(hung_s)),
    }
    rows: list[tuple[object, ...]] = [(name, f"{value:.2f}") for name, value in figures.items()]
    for name, seconds in together_s.items():
        hung = f"{hung_s[name]:.1f} with one hung" if name in hung_s else "hangs"
        rows.append((f"{name} delivered after, s", f"{seconds:.1f}; {hung}"))
    return rows, figures


class _Rig:
    """A workspace with the devices, the slowest of them last."""

    def __init__(self, root: Path, kinds: list[Kind], quick: bool) -> None:
        self.root = importlib.import_module("tests.rig.small_run").write_workspace(root / "ws", runtimes=())
        shutil.rmtree(self.root / "devices")
        (self.root / "devices").mkdir()
        self.kinds = kinds
        slowest = QUICK_SLOWEST if quick else SLOWEST
        self._folder = root
        rig = importlib.import_module("tests.rig.small_run")
        self._models: dict[str, list[Path]] = {kind.runtime: rig.model_files(self.root, kind.runtime) for kind in kinds}
        self.specs = [
            Spec(f"{kind.name}{n}", root / f"{kind.name}{n}", self._models[kind.runtime], slowest * (0.4 + 0.6 * n / (len(kinds) - 1)))
            for n, kind in enumerate(kinds)
        ]

    @property
    def names(self) -> list[str]:
        return [spec.name for spec in self.specs]

    def make(self, stack: ExitStack) -> None:
        for kind, spec in zip(self.kinds, self.specs, strict=True):
            stack.enter_context(kind.make(spec, self.root / "devices"))

    def hang(self, spec: Spec, after_s: float, stack: ExitStack) -> None:
        """Let a device fall silent after so many seconds of each of its sessions from now on."""
        silent = replace(spec, silent_after_s=after_s)
        if self.kinds[self.specs.index(spec)].runtime == "onnxruntime-web":
            raise RuntimeError("a page that is closed is lost at once; choose another device to hang")
        silent.python()
        stack.callback(spec.python)

    def profile(self, names: Iterable[str], open_links: Callable[[], object]) -> Mapping[str, float]:
        """Profile the devices at once, from nothing but the models; after how many seconds each was delivered, if it was."""
        for folder in ("stages", "tables", "predictors"):
            shutil.rmtree(self.root / "runs" / folder, ignore_errors=True)
        ctx = Context(Workspace.open(self.root))
        targets = [goals.Target(name, ctx.workspace.device(name).runtimes[0], "fp32") for name in names]
        results: queue.Queue[tuple[atonce.Outcome[Profile], ...] | BaseException] = queue.Queue()
        begin = time.time()
        threading.Thread(target=_profile, args=(ctx, targets, results), daemon=True).start()
        while results.empty():
            open_links()
            time.sleep(0.05)
        outcomes = results.get()
        if isinstance(outcomes, BaseException):
            raise outcomes
        for outcome in outcomes:
            if outcome.error is not None:
                print(f"{outcome.target.label}: {outcome.error}", file=sys.stderr)
        done = [outcome.result for outcome in outcomes if outcome.result is not None]
        return {p.target.device: self._delivered(p) - begin for p in done}

    def _delivered(self, profile: Profile) -> float:
        return max(float(path.stat().st_mtime) for path in (self.root / "runs" / "tables" / profile.target.device).iterdir())


def _profile(ctx: Context, targets: list[goals.Target], results: queue.Queue[tuple[atonce.Outcome[Profile], ...] | BaseException]) -> None:
    try:
        results.put(profile_all(ctx, targets))
    except (HwnasError, OSError, RuntimeError, ValueError) as problem:
        results.put(problem)


if __name__ == "__main__":
    sys.exit(main("profiling.parallel", measure))
