"""How much a network may need, as written: ``2M``, ``256kB``, ``1MiB``, or ``60%`` of what the largest subnet needs."""

from __future__ import annotations

import math
import re

from hwnas.core.errors import ConfigError
from hwnas.core.registry import require_known
from hwnas.latency.footprint import UNITS

_AMOUNT = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)\s*(%|[kKMG]i?B?|B)?\s*\Z")
_TIMES = {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "ki": 2.0**10, "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30}


def parse_amount(name: str, amount: str) -> tuple[float, bool]:
    """Of one of `UNITS`: a number, and whether it is a share of the largest subnet's; anything else raises `ConfigError`."""
    require_known("limit", name, UNITS)
    text = f"{name}={amount}"
    match = _AMOUNT.match(amount)
    unit = (match[2] or "") if match else ""
    if match is None or (unit.endswith("B") and UNITS[name] != "B"):
        words = "k, M or G" if UNITS[name] == "" else "B, kB, MB or MiB"
        raise ConfigError(f"limit {text!r}: a number above 0 is needed, perhaps with {words}, or % of the largest subnet's")
    value = float(match[1])
    if not (value > 0 and math.isfinite(value)):
        raise ConfigError(f"limit {text!r}: must be a finite number above 0")
    return (value / 100, True) if unit == "%" else (value * _TIMES[unit.removesuffix("B")], False)
