"""Are several devices profiled in the time of the slowest, and does one core's agent leave another's figures alone?

Eight devices over real channels (ssh, adb, pages in chromium, processes) replay recorded durations, so that a session lasts as long as it
would on such a device: the slowest is profiled alone, all eight at once, and all eight with one that falls silent in the middle: once a
device over ssh, once one over adb. A device is delivered when its table is published. Then two real agents measure the same blocks on two
cores of this machine: each alone, both at once, and alone again.
"""

from __future__ import annotations

import os
import queue
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from unittest import mock

from hwnas_agent import wire

from benchmarks.harness import Outcome, Target, main
from benchmarks.profiling._cores import two_cores
from benchmarks.profiling._devices import Agents, Kind, Spec, chosen, opened_pages
from hwnas.core.errors import HwnasError
from hwnas.pipeline import atonce, goals
from hwnas.pipeline.context import Context
from hwnas.pipeline.fleet import profile_all
from hwnas.pipeline.profile import Profile
from hwnas.workspace import Workspace
from tests.rig.small_run import model_files, write_workspace

SLOWEST = 300.0
QUICK_SLOWEST = 12.0
"""How many times slower than the rig's pretended device the slowest is: 300 lasts about a minute."""
SILENT_AFTER_S = 20.0
QUICK_SILENT_AFTER_S = 2.5
QUICK_SILENCE_S = 6.0
"""How long a silent agent is waited for, in place of the 30 s."""
HANGING = ("ssh", "adb")
"""Kinds of devices of which one falls silent, each in its turn (quickly: the last alone); where none is here, it is a local one."""


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
        hung_s: dict[str, Mapping[str, float]] = {}
        for spec in rig.hanging():
            with rig.silent(spec, QUICK_SILENT_AFTER_S if quick else SILENT_AFTER_S):
                hung_s[spec.name] = rig.profile(rig.names, open_links)
            if spec.name in hung_s[spec.name]:
                raise RuntimeError(f"{spec.name} was to fall silent, and was delivered: the benchmark shows nothing")
    latest_s = {name: max(delivered.values()) for name, delivered in hung_s.items()}
    figures = {
        "slowest_alone_seconds": alone_s,
        "all_seconds": max(together_s.values()),
        **{f"with_{name}_hung_seconds": seconds for name, seconds in latest_s.items()},
        "all_to_slowest": max(together_s.values()) / alone_s,
        "with_one_hung_to_slowest": max(latest_s.values()) / alone_s,
        "devices": float(len(together_s)),
        "delivered_with_one_hung": float(min(len(delivered) for delivered in hung_s.values())),
    }
    rows: list[tuple[object, ...]] = [(name, f"{value:.2f}") for name, value in figures.items()]
    for name, seconds in together_s.items():
        others = [f"{delivered[name]:.1f} with {hung} hung" if name in delivered else "hangs" for hung, delivered in hung_s.items()]
        rows.append((f"{name} delivered after, s", "; ".join([f"{seconds:.1f}", *others])))
    return rows, figures


class _Rig:
    """A workspace with the devices, the slowest of them last."""

    def __init__(self, root: Path, kinds: list[Kind], quick: bool) -> None:
        self.root = write_workspace(root / "ws", runtimes=())
        shutil.rmtree(self.root / "devices")
        (self.root / "devices").mkdir()
        self.kinds = kinds
        self._quick = quick
        slowest = QUICK_SLOWEST if quick else SLOWEST
        self._models: dict[str, list[Path]] = {kind.runtime: model_files(self.root, kind.runtime) for kind in kinds}
        self.specs = [
            Spec(f"{kind.name}{n}", root / f"{kind.name}{n}", self._models[kind.runtime], slowest * (0.4 + 0.6 * n / (len(kinds) - 1)))
            for n, kind in enumerate(kinds)
        ]
        self._agents: dict[str, Agents] = {}

    @property
    def names(self) -> list[str]:
        return [spec.name for spec in self.specs]

    def make(self, stack: ExitStack) -> None:
        for kind, spec in zip(self.kinds, self.specs, strict=True):
            self._agents[spec.name] = stack.enter_context(kind.make(spec, self.root / "devices"))

    def hanging(self) -> list[Spec]:
        """The first device of each kind of `HANGING`; never the slowest, which is the last."""
        first = {kind.name: spec for kind, spec in reversed(list(zip(self.kinds, self.specs, strict=True))[:-1])}
        found = [first[name] for name in HANGING if name in first] or [first["local"]]
        return found[-1:] if self._quick else found

    @contextmanager
    def silent(self, spec: Spec, after_s: float) -> Iterator[None]:
        """Inside, a device falls silent after so many seconds of each of its sessions."""
        replace(spec, silent_after_s=after_s).python()
        yield
        spec.python()
        # what stands still does not see that its host is gone, and keeps the device's cores
        for pid in self._agents[spec.name]():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

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
