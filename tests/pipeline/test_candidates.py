"""How predicted and measured accuracies are joined."""

from hypothesis import given
from hypothesis import strategies as st

from hwnas.pipeline.candidates import expected

SHARE = st.floats(0.0, 1.0)


@given(predicted=SHARE, std=st.floats(0.0, 0.5), measured=SHARE, images=st.integers(1, 100_000))
def test_the_expected_accuracy_lies_between_the_two(predicted, std, measured, images):
    value = expected(predicted, std, measured, images=images)
    assert min(predicted, measured) - 1e-12 <= value <= max(predicted, measured) + 1e-12


def test_many_images_are_believed_and_a_vague_predictor_is_not():
    assert abs(expected(0.5, 0.01, 0.9, images=1_000_000) - 0.9) < 0.01
    assert abs(expected(0.5, 0.5, 0.9, images=1000) - 0.9) < 0.01
    assert expected(0.85, 0.01, 0.90, images=100) < 0.88
