"""The documents of a verdict, read by what reads them: an XML parser, JSON, YAML."""

import json
from xml.etree import ElementTree

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from hwnas.report.case import Case, exit_code_of
from hwnas.report.junit import junit
from hwnas.report.sarif import sarif
from hwnas.report.summary import markdown, perf_yaml

ROW = {
    "device": "phone", "runtime": "litert", "precision": "fp32", "budget_ms": 2.5, "accuracy_test": 0.8812, "predicted_ms": 2.2,
    "predicted_hi_ms": 2.4, "measured_ms": 2.3, "measured_ci_ms": [2.2, 2.4], "size_bytes": 300_123, "arch": "0123456789abcdef",
}  # fmt: skip
GOOD = Case("phone", "60%", "ok", 0, "", 3.0, ROW, ("no baseline",))
SLOW = Case("phone", "2ms", "over budget", 4, "measured 2.3 ms", 3.0, ROW)
WORSE = Case("board", "40%", "regression", 7, "accuracy | fell", 1.0, ROW)
LOST = Case("old", "", "Unreachable", 3, "no route <to> it\x00", 0.5)
ALL = (GOOD, SLOW, WORSE, LOST)
text = st.text(max_size=40)
cases = st.builds(
    Case, st.just("r") | text, text, st.sampled_from(["regression", "TooNoisy"]), st.sampled_from([3, 4, 7]), text, st.floats(0, 9)
)


def test_the_exit_code_is_the_highest():
    assert exit_code_of(ALL) == 7
    assert exit_code_of([GOOD]) == exit_code_of([]) == 0


def test_junit_counts_failures_of_the_product_apart_from_what_hindered():
    root = ElementTree.fromstring(junit(ALL).encode())
    assert (root.tag, root.get("tests"), root.get("failures"), root.get("errors")) == ("testsuites", "4", "2", "1")
    assert [suite.get("name") for suite in root] == ["phone", "board", "old"]
    (failure,) = root.findall(".//testcase[@name='2ms']/failure")
    assert (failure.get("type"), failure.text) == ("over budget", "measured 2.3 ms")
    (error,) = root.findall(".//testcase[@name='recipe']/error")
    assert error.text == "no route <to> it?"
    assert root.find(".//testcase[@name='60%']/system-out").text == "no baseline"


@given(st.lists(cases, max_size=4))
def test_any_text_makes_documents_that_are_read(found):
    ElementTree.fromstring(junit(found).encode())
    assert len(json.loads(sarif(found, version="1"))["runs"][0]["results"]) == len(found)
    assert markdown(found).count("\n| ") == len(found) + 2, "a line each, and two of the heading"


def test_sarif_points_at_the_recipe():
    run = json.loads(sarif(ALL, version="9"))["runs"][0]
    assert run["tool"]["driver"]["version"] == "9"
    assert [(r["ruleId"], r["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]) for r in run["results"]] == [
        ("over-budget", "export/recipes/phone.toml"),
        ("regression", "export/recipes/board.toml"),
        ("Unreachable", "export/recipes/old.toml"),
    ]


def test_the_summary_is_a_table_with_problems_and_notes():
    page = markdown(ALL)
    assert page.startswith("# hwnas: 3 of 4 not ok\n")
    assert "| phone/litert fp32 | 60% = 2.5000 ms | ok | 88.12 | 2.2000 (≤ 2.4000) | 2.3000 (2.2000 to 2.4000) | 300 | 01234567 |" in page
    assert "- **board 40%** (regression, exit code 7): accuracy \\| fell" in page
    assert "- phone 60%: no baseline" in page
    assert markdown([GOOD]).startswith("# hwnas: 1 ok\n")


@pytest.mark.parametrize(("found", "budgets"), [(ALL, ["60%", "2ms", "40%"]), ([LOST], [])])
def test_figures_are_yaml(found, budgets):
    document = yaml.safe_load(perf_yaml(found))
    assert [target["budget"] for target in document["targets"]] == budgets
    assert all(target["measured_ci_ms"] == [2.2, 2.4] for target in document["targets"])
