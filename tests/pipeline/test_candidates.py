"""How predicted and measured accuracies are joined, and in which order candidates are tried."""

from hypothesis import given
from hypothesis import strategies as st

from hwnas.core.arch import Architecture
from hwnas.pipeline.candidates import RETRIES, SPACING, Pick, expected, order

SHARE = st.floats(0.0, 1.0)


@given(predicted=SHARE, std=st.floats(0.0, 0.5), measured=SHARE, images=st.integers(1, 100_000))
def test_the_expected_accuracy_lies_between_the_two(predicted, std, measured, images):
    value = expected(predicted, std, measured, images=images)
    assert min(predicted, measured) - 1e-12 <= value <= max(predicted, measured) + 1e-12


def test_many_images_are_believed_and_a_vague_predictor_is_not():
    assert abs(expected(0.5, 0.01, 0.9, images=1_000_000) - 0.9) < 0.01
    assert abs(expected(0.5, 0.5, 0.9, images=1000) - 0.9) < 0.01
    assert expected(0.85, 0.01, 0.90, images=100) < 0.88


def pick(hi_ms, accuracy):
    arch = Architecture("space", (round(1000 * hi_ms), round(1000 * accuracy)))
    return Pick(arch, 0.9 * hi_ms, hi_ms, accuracy, accuracy, accuracy)


def test_after_a_miss_comes_what_is_clearly_quicker():
    picks = [pick(0.80, 0.9), pick(0.95, 0.89), pick(0.78, 0.88), pick(0.50, 0.8), pick(0.60, 0.7)]
    assert [p.predicted_hi_ms for p in order(picks, 1.0)] == [0.80, 0.50]


def test_what_does_not_fit_is_not_tried():
    assert [p.predicted_hi_ms for p in order([pick(1.01, 0.99), pick(1.0, 0.5)], 1.0)] == [1.0]
    assert order([pick(1.01, 0.99)], 1.0) == []


@given(st.lists(st.tuples(st.floats(0.1, 2.0), SHARE), max_size=30))
def test_each_is_quicker_by_the_spacing_and_the_best_of_what_is_left(figures):
    picks = [pick(*pair) for pair in figures]
    tried = order(picks, 1.0)
    assert len(tried) <= RETRIES
    limit = 1.0
    for one in tried:
        assert one.accuracy_expected == max(p.accuracy_expected for p in picks if p.predicted_hi_ms <= limit)
        limit = one.predicted_hi_ms * (1 - SPACING)
    assert len(tried) == RETRIES or not [p for p in picks if p.predicted_hi_ms <= limit]
