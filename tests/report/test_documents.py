"""The documents of a verdict, read by what reads them: an XML parser and validator, a renderer of Markdown, JSON, YAML."""

import json
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

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
AWAY = {**ROW, "measured_ms": None, "measured_ci_ms": None}
ALLOWED = Case("away", "60%", "unmeasured", 0, "the device cannot be reached", 1.0, AWAY)
REFUSED = Case("away", "80%", "unmeasured", 3, "the device cannot be reached", 1.0, AWAY)
ALL = (GOOD, SLOW, WORSE, LOST)
SCHEMA = Path(__file__).with_name("junit.xsd")
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


def test_what_was_not_measured_is_told_everywhere():
    found = (GOOD, ALLOWED, REFUSED)
    assert exit_code_of(found) == 3
    assert exit_code_of((GOOD, ALLOWED)) == 0
    page = markdown(found)
    assert page.startswith("# hwnas: 1 of 3 not ok, 2 **unmeasured**\n")
    assert page.count("| not measured |") == 2
    assert [t["measured_ms"] for t in yaml.safe_load(perf_yaml(found))["targets"]] == [2.3, None, None]
    suite = ElementTree.fromstring(junit(found).encode())[1]
    assert [[child.tag for child in case] for case in suite] == [["skipped"], ["error"]]
    assert (suite.get("tests"), suite.get("skipped"), suite.get("errors")) == ("2", "1", "1")
    assert len(json.loads(sarif(found, version="1"))["runs"][0]["results"]) == 1


def validated(document):
    """What xmllint says against the schema; empty where it is valid."""
    command = ["xmllint", "--noout", "--schema", str(SCHEMA), "-"]
    done = subprocess.run(command, input=document.encode(), capture_output=True, check=False)
    return "" if done.returncode == 0 else done.stderr.decode()


needs_xmllint = pytest.mark.skipif(shutil.which("xmllint") is None, reason="no xmllint (Debian: libxml2-utils)")
named = st.builds(
    Case, text.filter(bool), text, st.sampled_from(["regression", "TooNoisy"]), st.sampled_from([0, 3, 4, 7]), text, st.floats(0, 9)
)


@needs_xmllint
@given(st.lists(named, max_size=4))
@settings(max_examples=20)
def test_junit_keeps_the_schema(found):
    assert validated(junit([*found, *ALL, ALLOWED, REFUSED])) == ""


@needs_xmllint
@pytest.mark.parametrize(
    ("right", "wrong"),
    [("<failure type=", "<failure kind="), ('tests="4"', 'tests="four"'), ("<testcase ", "<test "), ('time="3.000"', 'time="-1"')],
)
def test_the_schema_refuses_what_build_servers_do_not_know(right, wrong):
    document = junit(ALL)
    assert right in document
    assert validated(document.replace(right, wrong).replace("</testcase>", "</test>" if wrong == "<test " else "</testcase>")) != ""


def rendered(page):
    """The summary as a page of a build server: its rows of cells, and its whole text."""
    tokens = MarkdownIt("commonmark", {"html": False}).enable("table").parse(page)
    rows: list[list[str]] = []
    for token, inside in pairwise(tokens):
        if token.type == "tr_open":
            rows.append([])
        if token.type in ("th_open", "td_open"):
            rows[-1].append("".join(part.content for part in inside.children or ()))
    return rows, tokens


markup = st.text("ab1 |*_<>[]()&~#;`\\!-\n\0", max_size=12)


@given(st.lists(st.builds(Case, st.just("r"), markup, markup, st.sampled_from([3, 4]), markup, st.just(1.0)), max_size=3))
@settings(max_examples=50)
def test_any_text_is_rendered_as_it_is(found):
    rows, tokens = rendered(markdown([GOOD, *found]))
    assert len(rows) == len(found) + 2
    assert {len(row) for row in rows} == {8}
    assert rows[1][:3] == ["phone/litert fp32", "60% = 2.5000 ms", "ok"]
    assert [row[2] for row in rows[2:]] == [" ".join(case.kind.replace("\0", "\ufffd").split()) for case in found]
    kinds = {child.type for token in tokens for child in token.children or ()}
    assert kinds <= {"text", "text_special", "strong_open", "strong_close", "softbreak"}, "no text became markup"
