"""A verdict as JUnit XML, the form in which build servers show tests.

Elements and attributes are those of Apache Ant's reports as Jenkins' xUnit plugin takes them; ``tests/report/junit.xsd`` has them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree

from hwnas.report.case import OK, Case

_NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
MISSED = frozenset((4, 7))
"""Exit codes of what is a failure of the product; every other problem is an error, which kept it from being seen."""


def junit(cases: Sequence[Case]) -> str:
    """The document, a test suite a recipe and a test case a budget."""
    root = ElementTree.Element("testsuites", {"name": "hwnas", **_counts(cases)})
    for recipe in dict.fromkeys(case.recipe for case in cases):
        own = [case for case in cases if case.recipe == recipe]
        skipped = sum(case.ok and case.kind != OK for case in own)
        suite = ElementTree.SubElement(root, "testsuite", {"name": _text(recipe), **_counts(own), "skipped": str(skipped)})
        for case in own:
            _case(suite, case)
    ElementTree.indent(root, " ")
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _case(suite: ElementTree.Element, case: Case) -> None:
    element = ElementTree.SubElement(
        suite, "testcase", classname=f"hwnas.{_text(case.recipe)}", name=_text(case.budget or "recipe"), time=f"{case.seconds:.3f}"
    )
    if case.ok and case.kind != OK:
        ElementTree.SubElement(element, "skipped", type=_text(case.kind), message=_text(case.message))
    elif not case.ok:
        tag = "failure" if case.exit_code in MISSED else "error"
        problem = ElementTree.SubElement(element, tag, type=_text(case.kind), message=_text(case.message))
        problem.text = _text(case.message)
    if case.notes:
        ElementTree.SubElement(element, "system-out").text = _text("\n".join(case.notes))


def _counts(cases: Sequence[Case]) -> dict[str, str]:
    bad = [case for case in cases if not case.ok]
    failures = sum(case.exit_code in MISSED for case in bad)
    return {
        "tests": str(len(cases)),
        "failures": str(failures),
        "errors": str(len(bad) - failures),
        "time": f"{sum(case.seconds for case in cases):.3f}",
    }


def _text(value: str) -> str:
    """Without the characters that XML 1.0 cannot hold."""
    return _NOT_XML.sub("?", value)
