"""What the documentation tells a reader to type: every fenced block of README.md and docs/, and how it is marked.

A block of commands (``sh``) or ``python`` has one of two comments on the line above it: ``<!-- run: NAME -->`` says in which folder of the
test it runs, ``<!-- not run: reason -->`` why it does not. Configuration (``toml``) needs none: it is parsed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
RUN = ("sh", "python")

_FENCE = re.compile(
    r"(?:^<!-- (?P<mark>run|not run): (?P<said>.+?) -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
_COMMENT = re.compile(r"\s+#\s.*$")


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block; ``mark`` is ``run``, ``not run`` or empty, and ``said`` what stands behind it."""

    page: str
    line: int
    language: str
    text: str
    mark: str
    said: str

    @property
    def where(self) -> str:
        """Page and line, as editors take them."""
        return f"{self.page}:{self.line}"

    @property
    def commands(self) -> list[str]:
        """The lines of a block of commands, without comments."""
        return [_COMMENT.sub("", line) for line in self.text.splitlines() if line.strip() and not line.startswith("#")]


def blocks() -> list[Block]:
    """All blocks of all pages, in order."""
    found = []
    for path in PAGES:
        text = path.read_text(encoding="utf-8")
        for match in _FENCE.finditer(text):
            line = text.count("\n", 0, match.start("language")) + 1
            name = path.relative_to(ROOT).as_posix()
            found.append(Block(name, line, match["language"], match["text"], match["mark"] or "", match["said"] or ""))
    return found
