"""Splitting: balanced, disjoint, complete, deterministic, and blind to the order and names of files."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hwnas.data.collection import ArrayPixels, Collection
from hwnas.data.split import split, stratified_order

counts = st.lists(st.integers(3, 40), min_size=2, max_size=6)


def collection(sizes: list[int], *, copies: int = 1) -> Collection:
    labels = np.repeat(np.arange(len(sizes)), sizes).astype(np.int64)
    labels = np.concatenate([labels] * copies)
    digests = tuple(f"{i * 7919 % 104729:06}" for i in range(sum(sizes))) * copies
    pixels = ArrayPixels(np.zeros((len(labels), 1, 1, 1), dtype=np.uint8), tuple(map(str, range(len(labels)))))
    return Collection("set", tuple(map(str, range(len(sizes)))), labels, digests, pixels, None)


@given(counts, st.integers(0, 2**32), st.integers(1, 3))
def test_parts_are_disjoint_complete_and_balanced(sizes: list[int], seed: int, copies: int) -> None:
    whole = collection(sizes, copies=copies)
    parts = split(whole, seed=seed)
    assert sorted(np.concatenate(parts)) == list(range(len(whole.labels)))
    contents = [{whole.digests[i] for i in part} for part in parts]
    assert all(contents[a].isdisjoint(contents[b]) for a, b in ((0, 1), (0, 2), (1, 2)))
    for label, size in enumerate(sizes):
        train, val, test = (int((whole.labels[part] == label).sum()) // copies for part in parts)
        assert val == test
        assert val == 1 or abs(val - 0.15 * size) <= 0.5
        assert train >= 1


@given(counts, st.integers(0, 2**32), st.randoms(use_true_random=False))
def test_the_order_of_files_does_not_matter(sizes: list[int], seed: int, random: object) -> None:
    whole = collection(sizes)
    order = list(range(len(whole.labels)))
    random.shuffle(order)  # type: ignore[attr-defined]
    shuffled = Collection("set", whole.class_names, whole.labels[order], tuple(whole.digests[i] for i in order), whole.pixels, None)
    for a, b in zip(split(whole, seed=seed), split(shuffled, seed=seed), strict=True):
        assert [whole.digests[i] for i in a] == [shuffled.digests[i] for i in b]


def test_another_seed_splits_otherwise() -> None:
    whole = collection([30, 30])
    first, same, other = (split(whole, seed=seed)[0].tolist() for seed in (1, 1, 2))
    assert first == same
    assert set(first) != set(other)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=200))
def test_every_beginning_is_a_fair_sample(values: list[int]) -> None:
    labels = np.array(values, dtype=np.int64)
    order = stratified_order(labels)
    assert sorted(order) == list(range(len(labels)))
    totals = np.bincount(labels, minlength=6)
    for stop in range(1, len(labels) + 1):
        expected = totals * stop / len(labels)
        # at one point of the key each class is within half an image of its share, so at a given length within half an image of each class
        assert (np.abs(np.bincount(labels[order[:stop]], minlength=6) - expected) <= 1 + (totals > 0).sum() / 2).all()
    for label in np.unique(labels):
        kept = order[labels[order] == label]
        assert (np.diff(kept) > 0).all()


def test_equal_classes_alternate() -> None:
    labels = np.repeat(np.arange(4), 5).astype(np.int64)
    assert labels[stratified_order(labels)].reshape(5, 4).tolist() == [[0, 1, 2, 3]] * 5
