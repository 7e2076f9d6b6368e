"""Small files of the kernel's: one line, one number, or nothing that could be read."""

from __future__ import annotations

from pathlib import Path


def text_in(path: Path) -> str | None:
    """The first line; None where it is empty or cannot be read."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.readline(256).strip() or None
    except OSError:
        return None


def number_in(path: Path) -> float | None:
    """The first line as a number; None where it is none."""
    text = text_in(path)
    try:
        return float(text) if text is not None and len(text) < 32 else None
    except ValueError:
        return None
