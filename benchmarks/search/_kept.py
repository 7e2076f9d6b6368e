"""Runs of strategies that are kept, so that a comparison over many seeds goes on where it was interrupted.

A file a strategy, a line a run (`hwnas.store.journal`). A run belongs to the sources of its strategy: after a change it is made again.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import STATE
from benchmarks.search._regret import Problem, regret
from hwnas.core.predict import Floats
from hwnas.search.strategy import STRATEGIES
from hwnas.store.journal import Journal
from hwnas.store.sources import source_digest


@dataclass(frozen=True)
class Asked:
    """What a comparison is asked beside the options of every benchmark."""

    state: Path
    plot: Path | None
    seeds: int | None
    strategies: tuple[str, ...]


def asked(name: str, arguments: Sequence[str]) -> tuple[Asked, list[str]]:
    """The options in ``arguments``, and what is left of them."""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", add_help=False)
    parser.add_argument("--state", type=Path, default=STATE / name)
    parser.add_argument("--plot", type=Path, default=None)
    parser.add_argument("--seeds", type=int, default=None)
    parser.add_argument("--strategies", nargs="+", choices=STRATEGIES.names(), default=STRATEGIES.names())
    options, rest = parser.parse_known_args(arguments)
    # random is what all are held to
    names = tuple(n for n in STRATEGIES.names() if n in {*options.strategies, "random"})
    return Asked(options.state, options.plot, options.seeds, names), rest


def curves(problems: Sequence[Problem], names: Sequence[str], *, queries: int, batch: int, seeds: int, state: Path) -> dict[str, Floats]:
    """Regrets of every strategy after each query, ``(problems, seeds, queries)``; runs that ``state`` has are not made again.

    Seeds come one after the other for all strategies, so that what an interruption leaves is a comparison over fewer seeds.
    """
    journals = {name: Journal(state / f"{name}.jsonl") for name in names}
    sources = {name: source_digest(STRATEGIES.get(name).__module__, "hwnas.space.nas_bench_201", alone=("hwnas.search",)) for name in names}
    found = {name: np.zeros((len(problems), seeds, queries)) for name in names}
    known = {name: {_key(record): record for record in journal.records} for name, journal in journals.items()}
    for seed in range(seeds):
        for name in names:
            for row, problem in enumerate(problems):
                run = {"problem": problem.name, "seed": seed, "queries": queries, "batch": batch, "sources": sources[name]}
                kept = known[name].get(_key(run))
                if kept is None:
                    kept = {**run, **_steps(regret(problem, name, queries=queries, batch=batch, seed=seed))}
                    journals[name].append(kept)
                found[name][row, seed] = np.repeat(kept["regret"], np.diff([*kept["after"], queries]))
    return found


def _key(record: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(record[name] for name in ("problem", "seed", "queries", "batch", "sources"))


def _steps(own: Floats) -> dict[str, list[float]]:
    """A curve that seldom changes, as its values and how many queries came before each."""
    if not np.isfinite(own).all():
        raise RuntimeError("a strategy found nothing within the limit")
    after = np.flatnonzero(np.diff(own, prepend=np.inf))
    return {"after": after.tolist(), "regret": own[after].tolist()}
