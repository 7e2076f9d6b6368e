"""Limits as a user writes them."""

import numpy as np
import pytest

from hwnas.core.errors import ConfigError, UnknownNameError
from hwnas.latency.additive import AdditiveLatency
from hwnas.latency.footprint import Footprint
from hwnas.pipeline.limits import Asked, limits_of, worst_of
from hwnas.search.worst import WorstLatency
from hwnas.space.family import family_of
from tests.latency.tables import make_table, tiny_space

TINY = tiny_space(20, 24)
LATENCY = AdditiveLatency.from_table(make_table(TINY), TINY)
OTHER = AdditiveLatency.from_table(make_table(TINY, seed=2, scale=1.5, device="other"), TINY)
LARGEST = family_of(TINY).extremes(TINY)[1].codes


def find(device, runtime):
    assert (device, runtime) == ("other", "litert")
    return OTHER, OTHER.largest_ms()


def read(*texts):
    return limits_of(TINY, [Asked.parse(text) for text in texts], "fp32", find)


@pytest.mark.parametrize(
    ("text", "at_most"),
    [
        ("params=2M", 2e6),
        ("params = 1500", 1500),
        ("macs=1.5G", 1.5e9),
        ("flops=300k", 3e5),
        ("size=1MB", 1e6),
        ("size=1MiB", 2**20),
        ("peak_memory=256kB", 256e3),
        ("peak_memory=1e5B", 1e5),
        ("other/litert=5ms", 5.0),
        ("other/litert=900us", 0.9),
        ("other/litert=50%", 0.5 * OTHER.largest_ms()),
        ("size=50%", 0.5 * float(Footprint(TINY).cost("size", LARGEST)[0])),
    ],
)
def test_amounts(text, at_most):
    (limit,) = read(text)
    assert limit.at_most == pytest.approx(at_most)
    assert limit.resource.name == text.split("=")[0].strip()
    assert np.isfinite(limit.resource.cost(LARGEST)).all()


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("parms=2M", UnknownNameError, "unknown limit 'parms'; did you mean 'params'?"),
        ("params", ConfigError, "NAME=AMOUNT is needed"),
        ("=3", ConfigError, "NAME=AMOUNT is needed"),
        ("", ConfigError, "NAME=AMOUNT is needed"),
        ("other/=5ms", ConfigError, "NAME=AMOUNT is needed"),
        ("other/litert=", ConfigError, "NAME=AMOUNT is needed"),
        ("other/litert=5", ConfigError, "a number above 0 with a unit"),
        ("other/litert=0ms", ConfigError, "must be above 0"),
        ("params=2MB", ConfigError, "perhaps with k, M or G"),
        ("params=-2", ConfigError, "a number above 0 is needed"),
        ("params=nan", ConfigError, "a number above 0 is needed"),
        ("size=0", ConfigError, "must be a finite number above 0"),
        ("size=1e999", ConfigError, "must be a finite number above 0"),
        ("size=2ms", ConfigError, "perhaps with B, kB, MB or MiB"),
    ],
)
def test_what_is_no_limit_is_refused(text, error, message):
    with pytest.raises(error, match=message.replace("?", r"\?")):
        read(text)


def test_the_worst_of_devices_takes_the_budget_of_the_first():
    asked = [Asked.parse("other/litert")]
    assert limits_of(TINY, asked, "fp32", find) == ()
    plain = worst_of(TINY, LATENCY, LATENCY.largest_ms(), asked, ["1ms"], find)
    shares = worst_of(TINY, LATENCY, LATENCY.largest_ms(), asked, ["60%", "80%"], find)
    assert isinstance(plain, WorstLatency)
    assert isinstance(shares, WorstLatency)
    assert plain.factors == (1.0, 1.0)
    # 60 % of the one is 60 % of the other
    assert shares.factors[1] * OTHER.largest_ms() == pytest.approx(LATENCY.largest_ms())
    assert worst_of(TINY, LATENCY, LATENCY.largest_ms(), [], ["1ms"], find) is LATENCY
    with pytest.raises(ConfigError, match="all in %, or none is"):
        worst_of(TINY, LATENCY, LATENCY.largest_ms(), asked, ["60%", "1ms"], find)
