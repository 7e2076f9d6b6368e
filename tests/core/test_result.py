from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.core.errors import ConfigError
from hwnas.core.result import LatencyLimit


@pytest.mark.parametrize(
    ("text", "ms"), [("2.5ms", 2.5), ("900us", 0.9), ("0.1s", 100.0), (" 4 ms ", 4.0), ("1e3us", 1.0), ("2.5E-1s", 250.0)]
)
def test_times_become_milliseconds(text: str, ms: float) -> None:
    limit = LatencyLimit.parse(text)
    assert limit.resolve_ms(1234.0) == pytest.approx(ms)
    assert not limit.relative


def test_shares_are_of_the_largest() -> None:
    limit = LatencyLimit.parse("60%")
    assert limit.relative
    assert limit.resolve_ms(10.0) == pytest.approx(6.0)
    assert limit.text == "60%"


@pytest.mark.parametrize(
    "text", ["", "4", "ms", "-4ms", "4 m s", "4min", "nanms", "infms", "1e999ms", "0ms", "0.0%", "4ms 5ms", "4,5ms", "٤ms x", None, 4, 4.0]
)
def test_anything_else_is_refused_with_an_example(text: object) -> None:
    with pytest.raises(ConfigError, match=r"budget .*: "):
        LatencyLimit.parse(text)  # type: ignore[arg-type]


@settings(deadline=None)
@given(st.text(max_size=12))
def test_any_text_is_a_limit_or_an_error(text: str) -> None:
    with suppress(ConfigError):
        assert LatencyLimit.parse(text).value > 0


@settings(deadline=None)
@given(st.floats(1e-3, 1e6))
def test_what_is_printed_is_read_back(ms: float) -> None:
    assert LatencyLimit.parse(f"{ms!r}ms").resolve_ms(1.0) == pytest.approx(ms)
