"""What elasticity costs in training: images a second, forward and backward, inside the supernet against the same nets as static modules.

The largest, a random and the smallest subnet of ``tiny-32``, and the step of the sandwich rule with four subnets against the sum of its
static parts; one process with one thread and the share of a batch that a process has in the demo. Elastic and static take turns, and the
median of many turns' ratios counts, so that a machine which changes its speed slows both; time is the thread's own, without what other
work on the machine takes.

Static nets are measured as they are, and with this project's gradient of depthwise weights in place of torch's, which is slower
(`hwnas.supernet.depthwise`); targets are about the quicker of the two. Memory is what is kept for the backward pass.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.harness import Outcome, Target, main
from benchmarks.supernet._alone import quick_depthwise as with_quick_depthwise
from hwnas.core.arch import Architecture
from hwnas.space.family import family_of, find_space
from hwnas.space.moves import sample
from hwnas.supernet.curriculum import Lesson
from hwnas.supernet.family import Supernet, supernet_family
from hwnas.supernet.gradients import Batch, gradients
from hwnas.supernet.tensors import channels_last, threads

BATCH = 48
TURNS, QUICK_TURNS = 12, 4
OVERHEAD, SANDWICH = 0.05, 1.1

Step = Callable[[], object]


@dataclass(frozen=True)
class Subject:
    """One subnet and its images: steps that give the gradients of the mean cross-entropy."""

    supernet: Supernet
    arch: Architecture
    images: np.ndarray[tuple[int, ...], np.dtype[np.float32]]
    labels: np.ndarray[tuple[int, ...], np.dtype[np.int64]]

    def elastic(self) -> Step:
        """Inside the supernet."""
        wanted = tuple(self.supernet.parameters())
        batch = Batch((Lesson(self.arch),), (self.images,), self.labels)
        return lambda: gradients(self.supernet, batch, wanted=wanted, label_smoothing=0.0, weight=1.0)

    def static(self, *, quick_depthwise: bool) -> Step:
        """As a plain module."""
        net = supernet_family(self.supernet.space).extract(self.supernet, self.arch).train()
        if quick_depthwise:
            with_quick_depthwise(net)
        wanted, labels = tuple(net.parameters()), torch.from_numpy(self.labels)

        def step() -> tuple[Tensor, ...]:
            loss = F.cross_entropy(net(channels_last(self.images)), labels)
            loss.item()
            return torch.autograd.grad(loss, wanted)

        return step


def measure(quick: bool) -> Outcome:
    """Every ratio, and images a second."""
    turns = QUICK_TURNS if quick else TURNS
    space = find_space("tiny-32")
    net = supernet_family(space).build(space, seed=0).train()
    smallest, largest = family_of(space).extremes(space)
    drawn = [space.architecture(code) for code in sample(space, 2, np.random.default_rng(0))]
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, BATCH)

    def subject(arch: Architecture) -> Subject:
        size = family_of(space).resolution(space, arch)
        return Subject(net, arch, rng.normal(size=(BATCH, 1, size, size)).astype(np.float32), labels)

    rows: list[tuple[object, ...]] = []
    figures: dict[str, float] = {}
    with threads(1):
        for name, arch in (("largest", largest), ("random", drawn[0]), ("smallest", smallest)):
            one = subject(arch)
            steps = {"elastic": one.elastic(), "static": one.static(quick_depthwise=False), "quick": one.static(quick_depthwise=True)}
            times = in_turns(steps, turns)
            figures |= _single(name, times, {kind: kept_bytes(step) for kind, step in steps.items()})
            per_s = {kind: BATCH / statistics.median(each) for kind, each in times.items()}
            memory = " / ".join(f"{figures[f'{name}_{kind}_kept_mib']:.1f}" for kind in ("elastic", "static"))
            rows.append(
                (name, *(f"{per_s[kind]:.0f}" for kind in steps), f"{100 * figures[f'{name}_overhead']:+.1f}", memory),
            )
        four = [subject(arch) for arch in (largest, smallest, *drawn)]
        figures |= _sandwich(four, net, turns)
    memory = " / ".join(f"{figures[f'sandwich_{kind}kept_mib']:.1f}" for kind in ("", "parts_"))
    rows.append(("sandwich of 4 to its static parts", "", "", "", f"{100 * (figures['sandwich_ratio'] - 1):+.1f}", memory))
    targets = {f"{name}_overhead": Target("<=", OVERHEAD) for name in ("largest", "random", "smallest")}
    targets["sandwich_ratio"] = Target("<=", SANDWICH)
    columns = ("subnet", "elastic img/s", "static img/s", "static, quick depthwise", "overhead %", "kept MiB (elastic / static)")
    return Outcome(columns, rows, figures, targets)


def _single(name: str, times: Mapping[str, list[float]], kept: Mapping[str, int]) -> dict[str, float]:
    over = {kind: statistics.median(a / b for a, b in zip(times["elastic"], times[kind], strict=True)) - 1 for kind in ("static", "quick")}
    return {
        f"{name}_overhead": max(over.values()),
        f"{name}_overhead_plain": over["static"],
        f"{name}_overhead_quick": over["quick"],
        **{f"{name}_{kind}_images_s": BATCH / statistics.median(each) for kind, each in times.items()},
        **{f"{name}_{kind}_kept_mib": size / 2**20 for kind, size in kept.items()},
    }


def _sandwich(subjects: list[Subject], net: Supernet, turns: int) -> dict[str, float]:
    """A step of four subnets, the first of which teaches the others, against four static steps."""
    teaching, *taught = (s.arch for s in subjects)
    lessons = (Lesson(teaching), *(Lesson(arch, labels=0.0, first=1.0) for arch in taught))
    batch = Batch(lessons, tuple(s.images for s in subjects), subjects[0].labels)
    wanted = tuple(net.parameters())

    def step() -> object:
        return gradients(net, batch, wanted=wanted, label_smoothing=0.0, weight=1.0)

    parts = {kind: [s.static(quick_depthwise=kind == "quick") for s in subjects] for kind in ("static", "quick")}
    steps: dict[str, Step] = {"elastic": step}
    for kind, each in parts.items():
        steps[kind] = lambda each=each: [one() for one in each]  # type: ignore[misc]
    times = in_turns(steps, turns)
    ratios = {kind: statistics.median(a / b for a, b in zip(times["elastic"], times[kind], strict=True)) for kind in parts}
    return {
        "sandwich_ratio": max(ratios.values()),
        "sandwich_ratio_plain": ratios["static"],
        "sandwich_ratio_quick": ratios["quick"],
        "sandwich_ms": 1e3 * statistics.median(times["elastic"]),
        "sandwich_kept_mib": kept_bytes(step) / 2**20,
        "sandwich_parts_kept_mib": sum(map(kept_bytes, parts["static"])) / 2**20,
    }


def in_turns(steps: Mapping[str, Step], turns: int) -> dict[str, list[float]]:
    """Seconds of each step in each of ``turns`` rounds, in changing order, after two that do not count."""
    names = list(steps)
    times: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(turns + 2):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            begin = time.thread_time()
            steps[name]()
            if turn >= 2:
                times[name].append(time.thread_time() - begin)
    return times


def kept_bytes(step: Step) -> int:
    """What the step keeps for its backward pass, each piece of memory counted once."""
    sizes: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        step()
    return sum(sizes.values())


if __name__ == "__main__":
    sys.exit(main("supernet.training_speed", measure))
