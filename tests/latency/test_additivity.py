import numpy as np
import pytest

from hwnas.core.errors import PredictorError
from hwnas.latency.additivity import additivity
from tests.latency.test_predictors import ADDITIVE, CODES, MEASURED


def test_an_audit_tells_a_table_that_adds_up_from_one_that_does_not() -> None:
    codes, measured = CODES[:40], MEASURED[:40]
    good = additivity(ADDITIVE, codes, measured)
    assert good.additive
    assert good.verdict.startswith("the table adds up: 100% of")
    fused = measured * np.where(codes[:, 1] == 0, 0.6, 1.0)
    bad = additivity(ADDITIVE, codes, fused)
    assert not bad.additive
    assert bad.verdict.endswith("the calibrated model takes over")
    few = additivity(ADDITIVE, codes[:9], measured[:9] * np.where(np.arange(9) % 2, 0.6, 1.0))
    assert few.verdict.endswith("the calibrated model takes over from 19 networks on: measure 10 more")
    assert additivity(ADDITIVE, codes, 2 * measured).ratio == pytest.approx(2 * good.ratio)
    with pytest.raises(PredictorError, match="at least 5 are needed"):
        additivity(ADDITIVE, CODES[:3], MEASURED[:3])
