"""A verdict in the form of SARIF 2.1.0 (OASIS), which code hosts show beside the file that a finding is about: here, the recipe."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from hwnas.report.case import Case

VERSION = "2.1.0"
SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def sarif(cases: Sequence[Case], *, version: str) -> str:
    """The document; cases that are ok are no findings."""
    bad = [case for case in cases if not case.ok]
    rules = [{"id": _rule(kind)} for kind in dict.fromkeys(case.kind for case in bad)]
    driver = {"name": "hwnas", "version": version, "rules": rules}
    document = {"$schema": SCHEMA, "version": VERSION, "runs": [{"tool": {"driver": driver}, "results": [_result(case) for case in bad]}]}
    return json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _result(case: Case) -> dict[str, Any]:
    where = {"artifactLocation": {"uri": f"export/recipes/{case.recipe}.toml"}}
    message = f"{case.name}: {case.message}"
    return {"ruleId": _rule(case.kind), "level": "error", "message": {"text": message}, "locations": [{"physicalLocation": where}]}


def _rule(kind: str) -> str:
    return kind.replace(" ", "-")
