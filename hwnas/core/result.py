"""What a deployment is asked for and what comes out: latency budgets, artifacts."""

from __future__ import annotations

import re
from dataclasses import dataclass

from hwnas.core.errors import ConfigError

_BUDGET = re.compile(r"^\s*([0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)\s*(us|ms|s|%)\s*$")
_TO_MS = {"us": 1e-3, "ms": 1.0, "s": 1e3}


@dataclass(frozen=True, slots=True)
class LatencyLimit:
    """A latency budget as written: milliseconds, or a share of the largest subnet's latency until a table resolves it."""

    text: str
    value: float
    relative: bool

    @classmethod
    def parse(cls, text: str) -> LatencyLimit:
        """``2.5ms``, ``900us``, ``0.1s`` or ``60%`` (of the largest subnet); anything else raises `ConfigError`."""
        match = _BUDGET.match(text) if isinstance(text, str) else None
        if match is None:
            raise ConfigError(
                f"budget {text!r}: a number above 0 with a unit is needed: us, ms, s, or % of the largest subnet, as in '2.5ms'"
            )
        number, unit = float(match[1]), match[2]
        if number == float("inf"):
            raise ConfigError(f"budget {text!r}: is too large for any device")
        if not number > 0:
            raise ConfigError(f"budget {text!r}: must be above 0")
        if unit == "%":
            return cls(text.strip(), number / 100, True)
        return cls(text.strip(), number * _TO_MS[unit], False)

    def resolve_ms(self, largest_ms: float) -> float:
        """The limit in ms, given the latency of the largest subnet."""
        return self.value * largest_ms if self.relative else self.value


@dataclass(frozen=True, slots=True)
class Artifact:
    """An exported file: where it is, its SHA-256, what it runs on, and which architecture it holds."""

    path: str
    sha256: str
    runtime: str
    precision: str
    arch_id: str
