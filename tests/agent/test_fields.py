"""What may stand in a field: by example, and that no value makes a check fail in another way than by saying no."""

import pytest
from hwnas_agent import fields
from hypothesis import given
from hypothesis import strategies as st

CHECKS = {
    "number": (fields.number, [0, 1.5, 1e15], [-1, 1e16, 10**400, float("nan"), float("inf"), True, "1", None]),
    "number_upto": (fields.number_upto(2.5), [0, 2.5], [2.6, -1, None]),
    "integer": (fields.integer, [0, 2**53 - 1], [-1, 2**53, 1.0, True, None]),
    "integer_within": (fields.integer_within(1, 3), [1, 3], [4, 0, -1, 1.0]),
    "flag": (fields.flag, [True, False], [0, 1, None]),
    "text_upto": (fields.text_upto(2), ["", "é\n"], ["abc", "\ud800", 1, None]),
    "matching": (fields.matching("[ab]+"), ["ab"], ["", "ab\n", "xab", 1]),
    "scalar": (fields.scalar, [1, "a" * 300], ["a" * 301, [1], None]),
    "optional": (fields.optional(fields.flag), [None, True], [0]),
    "many": (fields.many(fields.flag, 2), [[], [True, False]], [[1], [True] * 3, (True,), {}]),
    "table": (fields.table(fields.flag, 1), [{}, {"a": True}], [{"a": 1}, {"a": True, "b": True}, {"a" * 65: True}, {1: True}, []]),
    "record": (
        fields.record({"b": fields.flag}, a=fields.flag),
        [{"a": True}, {"a": True, "b": False}],
        [{}, {"b": True}, {"a": 1}, {"a": True, "c": True}, []],
    ),
}
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def test_every_check_is_here():
    made = {name for name, value in vars(fields).items() if getattr(value, "__module__", "") == fields.__name__}
    assert set(CHECKS) == made


@pytest.mark.parametrize("name", CHECKS)
def test_what_is_allowed(name):
    check, allowed, refused = CHECKS[name]
    assert [value for value in allowed if not check(value)] == []
    assert [value for value in refused if check(value)] == []


@given(anything)
def test_a_check_says_yes_or_no_to_anything(value):
    assert all(check(value) in (True, False) for check, _, _ in CHECKS.values())
