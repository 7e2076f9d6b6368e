"""Batches that resume anywhere, and augmentation that only moves pixels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas.core.errors import DataError
from hwnas.data import augment, batches


@given(st.integers(0, 200), st.integers(1, 50), st.integers(0, 9), st.integers(0, 9))
def test_an_epoch_is_every_image_once(n: int, batch: int, seed: int, epoch: int) -> None:
    pieces = list(batches(n, batch=batch, seed=seed, epoch=epoch))
    assert sorted(np.concatenate([*pieces, []])) == list(range(n))
    assert all(len(piece) == batch for piece in pieces[:-1])
    again = list(batches(n, batch=batch, seed=seed, epoch=epoch))
    assert all(np.array_equal(a, b) for a, b in zip(pieces, again, strict=True))
    if n >= batch:
        full = list(batches(n, batch=batch, seed=seed, epoch=epoch, drop_last=True))
        assert len(full) == n // batch
        assert all(np.array_equal(a, b) for a, b in zip(full, pieces, strict=False))


def test_seeds_and_epochs_differ() -> None:
    orders = {tuple(np.concatenate(list(batches(50, batch=10, seed=s, epoch=e)))) for s in range(3) for e in range(3)}
    assert len(orders) == 9


@pytest.mark.parametrize("wrong", [{"batch": 0}, {"seed": -1}, {"epoch": -1}, {"n": -1}])
def test_impossible_batches_are_refused_at_once(wrong: dict[str, int]) -> None:
    values = {"n": 5, "batch": 2, "seed": 0, "epoch": 0} | wrong
    with pytest.raises(DataError, match="batches need"):
        batches(**values)


def test_fewer_images_than_a_batch() -> None:
    assert [len(piece) for piece in batches(5, batch=8, seed=0, epoch=0)] == [5]
    with pytest.raises(DataError, match="5 images do not fill one batch of 8"):
        batches(5, batch=8, seed=0, epoch=0, drop_last=True)


@given(st.integers(1, 5), st.sampled_from([1, 3]), st.integers(4, 12), st.integers(0, 3), st.booleans(), st.integers(0, 99))
def test_every_image_is_shifted_and_perhaps_mirrored(n: int, channels: int, side: int, pad: int, flip: bool, seed: int) -> None:
    batch = np.random.default_rng(1).integers(1, 256, (n, channels, side, side), dtype=np.uint8)
    out = augment(batch, np.random.default_rng(seed), flip=flip, pad=pad)
    assert np.array_equal(out, augment(batch, np.random.default_rng(seed), flip=flip, pad=pad))
    padded = np.pad(batch, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    for before, after in zip(padded, out, strict=True):
        shifts = [before[:, y : y + side, x : x + side] for y in range(2 * pad + 1) for x in range(2 * pad + 1)]
        possible = shifts + ([shift[:, :, ::-1] for shift in shifts] if flip else [])
        assert any(np.array_equal(after, one) for one in possible)


def test_half_are_mirrored_and_all_shifts_occur() -> None:
    batch = np.zeros((2000, 1, 8, 8), dtype=np.uint8)
    batch[:, 0, 3, 2] = 1  # mirrored it stands at column 5; a shift of one reaches columns 1 to 3 or 4 to 6
    out = augment(batch, np.random.default_rng(0))
    _, _, rows, columns = np.nonzero(out)
    assert len(rows) == 2000
    assert set(rows) == {2, 3, 4}
    assert set(columns) == {1, 2, 3, 4, 5, 6}
    assert 900 < (columns > 3).sum() < 1100


def test_the_batch_itself_is_not_changed() -> None:
    batch = np.random.default_rng(0).integers(0, 256, (8, 1, 6, 6), dtype=np.uint8)
    kept = batch.copy()
    out = augment(batch, np.random.default_rng(0), pad=0, flip=False)
    assert np.array_equal(out, batch)
    out[:] = 0
    assert np.array_equal(batch, kept)


@pytest.mark.parametrize(
    ("batch", "pad", "words"),
    [
        (np.zeros((2, 4, 4), np.uint8), 1, "augment takes"),
        (np.zeros((2, 1, 4, 4), np.float32), 1, "augment takes"),
        (np.zeros((2, 1, 4, 4), np.uint8), -1, "pad must not be negative"),
    ],
)
def test_what_cannot_be_augmented(batch: np.ndarray, pad: int, words: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(DataError, match=words):
        augment(batch, np.random.default_rng(0), pad=pad)
