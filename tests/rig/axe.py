"""axe-core (`tests/rig/setup.sh axe` fetches it): what in a page shuts people out, by the rules of WCAG."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

VERSION = "4.14.1"
GRAVE = ("serious", "critical")


def script() -> Path:
    """Where the rig keeps it."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hwnas" / "rig" / f"axe-{VERSION}.js"


def no_axe() -> str:
    """Why it cannot be used here; empty where it can."""
    return "" if script().is_file() else "no axe-core here (tests/rig/setup.sh axe fetches it)"


def faults(page: Any) -> list[str]:
    """The grave faults of a page, a line each: rule, and the elements that break it."""
    page.evaluate(script().read_text(encoding="utf-8"))
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{each['id']}: {'; '.join(str(node['html'])[:120] for node in each['nodes'][:4])}"
        for each in found["violations"]
        if each["impact"] in GRAVE
    ]
