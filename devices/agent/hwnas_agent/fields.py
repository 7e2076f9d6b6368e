"""What may stand in a field of a message: checks, made of one another, for the schemas of `hwnas_agent.wire`.

A check tells of any JSON value, however odd, whether it is allowed, and raises nothing.
"""

from __future__ import annotations

import re
from typing import Any, Callable, Mapping

MAX_NUMBER = 1e15
"""Far beyond every byte count and time that is sent, and small enough to be counted in nanoseconds."""
_SURROGATE = re.compile(r"[\ud800-\udfff]")

Check = Callable[[Any], bool]


def number(value: Any) -> bool:
    """A finite number, not negative."""
    # no math.isfinite: an integer that is too long for a float raises there; NaN fails every comparison
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= MAX_NUMBER


def number_upto(limit: float) -> Check:
    """A number that is at most ``limit``."""
    return lambda value: number(value) and value <= limit


def integer(value: Any) -> bool:
    """An integer that every JSON reader keeps exactly, not negative."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53


def integer_within(least: int, most: int) -> Check:
    """An integer from ``least`` to ``most``."""
    return lambda value: integer(value) and least <= value <= most


def flag(value: Any) -> bool:
    """True or false."""
    return isinstance(value, bool)


def text_upto(limit: int) -> Check:
    """Whole Unicode of at most ``limit`` characters."""
    # half of a surrogate pair can be neither printed nor written to a file
    return lambda value: isinstance(value, str) and len(value) <= limit and _SURROGATE.search(value) is None


def matching(pattern: str) -> Check:
    """Text that is ``pattern`` from its beginning to its end."""
    whole = re.compile(pattern)
    return lambda value: isinstance(value, str) and whole.fullmatch(value) is not None


def scalar(value: Any) -> bool:
    """A number or a line of text."""
    return number(value) or text_upto(300)(value)


def optional(check: Check) -> Check:
    """What ``check`` allows, or null."""
    return lambda value: value is None or check(value)


def many(check: Check, limit: int) -> Check:
    """A list of at most ``limit``."""
    return lambda value: isinstance(value, list) and len(value) <= limit and all(check(item) for item in value)


def table(check: Check, limit: int) -> Check:
    """An object with any names, at most ``limit`` of them."""
    name = text_upto(64)
    return lambda value: isinstance(value, dict) and len(value) <= limit and all(name(k) and check(v) for k, v in value.items())


def record(later: Mapping[str, Check] | None = None, **fields: Check) -> Check:
    """An object with these fields; those of ``later`` may be left out."""
    possible = dict(fields, **(later or {}))

    def fits(value: Any) -> bool:
        if not isinstance(value, dict) or not fields.keys() <= value.keys() <= possible.keys():
            return False
        return all(possible[name](item) for name, item in value.items())

    return fits
