"""`hwnas accuracy fit`, `eval` and `proxies` on a small finished workspace."""

import json

import pytest

from hwnas.supernet.proxies import PROXIES
from tests.cli.test_commands import hw, hw_json, snapshot


def test_fit_stores_what_search_uses_and_eval_holds_it_against_others(capsys, copy):
    told = hw_json(capsys, "accuracy", "fit", "--predictor", "additive", "-w", copy, "-q")
    assert told["predictor"] == "additive"
    assert told["subnets"] >= 10
    assert told["rmse_left_out_points"] >= 0
    assert json.loads((copy / "runs" / "predictors" / "accuracy.json").read_text())["kind"] == "accuracy-ensemble"
    found = hw_json(capsys, "accuracy", "eval", "--subnets", "10", "-w", copy, "-q")
    assert found["subnets"] == 10
    assert -1 <= found["spearman"] <= 1
    assert 0 <= found["coverage_95"] <= 1
    assert found["rmse_points"] >= abs(found["bias_points"])
    again = snapshot(copy / "runs" / "stages")
    assert "10" in hw(capsys, "accuracy", "eval", "--subnets", "10", "-w", copy, "-q")[1]
    assert snapshot(copy / "runs" / "stages") == again  # nothing is evaluated twice
    assert "fitted to" in hw(capsys, "accuracy", "fit", "-w", copy, "-q")[1]
    config = copy / "hwnas.toml"
    config.write_text(config.read_text().replace("[accuracy]", "[accuracy]\nselection = 'informativ'"))
    code, _, err = hw(capsys, "accuracy", "fit", "-w", copy, "-q")
    assert code == 2
    assert "did you mean 'informative'?" in " ".join(err.split())


def test_proxies_score_untrained_subnets(capsys, copy):
    before = snapshot(copy)
    rows = hw_json(capsys, "accuracy", "proxies", "smallest", "largest", "--images", "4", "-w", copy, "-q")
    assert [set(row) for row in rows] == [{"arch", *PROXIES.names()}] * 2
    assert rows[0]["params"] < rows[1]["params"]
    code, out, _ = hw(capsys, "accuracy", "proxies", "smallest", "--proxy", "flops", "--images", "4", "-w", copy, "-q")
    assert code == 0
    assert "flops" in out
    assert "synflow" not in out
    assert snapshot(copy) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("fit", "--predictor", "mpl"), "did you mean 'mlp'?"),
        (("eval", "--subnets", "3"), "take at least 10"),
        (("fit", "--subnets", "3"), "--subnets"),
        (("proxies", "smallest", "--proxy", "snipp"), "did you mean 'snip'?"),
        (("proxies", "smallest", "--images", "100000"), "fewer than 100000; set --images lower"),
        (("proxies", "abcdef"), "no subnet 'abcdef'"),
    ],
)
def test_bad_input(capsys, copy, arguments, message):
    before = snapshot(copy)
    code, out, err = hw(capsys, "accuracy", *arguments, "-w", copy, "-q")
    assert (code, out) == (2, "")
    assert message in " ".join(err.split())
    assert snapshot(copy) == before
