"""Spaces and additive models drawn by Hypothesis: whole numbers, so that sums are exact and ties are real."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any, Self

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from hwnas.core.arch import Choice, Codes, Condition, SearchSpace
from hwnas.core.predict import Floats, Prediction
from tests.search.models import everything

MAX_SIZE = 10_000


@dataclass(frozen=True)
class Sums:
    """A number that is a sum of tables, each over a few choices: ``terms`` are (positions, table)."""

    space: SearchSpace
    terms: tuple[tuple[tuple[int, ...], Floats], ...]
    label: str = "bench/onnxruntime"

    def fit(self, codes: Codes, y: Floats) -> Self:
        return self

    def predict(self, codes: Codes) -> Prediction:
        active = self.space.active(codes)
        total = np.ones(len(codes))
        for positions, table in self.terms:
            # a table counts where all of its choices do
            total += table[tuple(codes[:, p] for p in positions)] * active[:, positions].all(axis=1)
        return Prediction(total, np.zeros(len(codes)))

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        return {}, {}

    def upper(self, codes: Codes) -> Floats:
        return self.predict(codes).mean

    def minimum(self) -> Codes:
        codes = everything(self.space)
        return codes[[int(np.argmin(self.predict(codes).mean))]]


def sums(space: SearchSpace, groups: list[tuple[int, ...]], rng: np.random.Generator, *, largest: int) -> Sums:
    """A model with a table of whole numbers for every choice and every group."""
    scopes = [(p,) for p in range(len(space.choices))] + groups
    return Sums(space, tuple((s, rng.integers(0, largest, tuple(int(space.n_options[p]) for p in s)).astype(float)) for s in scopes))


@st.composite
def instances(draw: st.DrawFn) -> tuple[SearchSpace, Sums, Sums]:
    """A space of at most `MAX_SIZE` architectures with a latency and an accuracy."""
    choices: list[Choice] = []
    size = 1
    for i in range(draw(st.integers(1, 7))):
        options = tuple(range(draw(st.integers(1, 5))))
        size *= len(options)
        if size > MAX_SIZE:
            break
        condition = None
        if draw(st.booleans()) and choices:
            parent: Choice = draw(st.sampled_from(choices))
            condition = Condition(parent.name, tuple(sorted(draw(st.sets(st.sampled_from(parent.options), min_size=1)))))
        choices.append(Choice(f"c{i}", options, condition))
    space = SearchSpace("test", "drawn", (1, 1, 1), tuple(choices))
    pairs = st.lists(st.integers(0, len(choices) - 1), min_size=2, max_size=3, unique=True).map(tuple)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    latency, accuracy = (
        sums(space, draw(st.lists(pairs, max_size=3)) if len(choices) > 1 else [], rng, largest=draw(st.sampled_from([2, 5, 1000])))
        for _ in range(2)
    )
    return space, latency, accuracy


def product_codes(space: SearchSpace) -> Codes:
    """Every code of a space without conditions, ``(size, n_choices)``."""
    return np.array(list(product(*(range(int(n)) for n in space.n_options))), dtype=np.int16)
