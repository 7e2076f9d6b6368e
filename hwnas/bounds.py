"""What numbers in a workspace's files may be: each check raises `ValueError` with the name and the value."""

from __future__ import annotations


def at_least(name: str, value: float, least: float) -> None:
    """``value >= least``."""
    if value < least:
        raise ValueError(f"{name} must be at least {least:g}, not {value:g}")


def seed_in_range(value: int) -> None:
    """What random generators take."""
    if not 0 <= value < 2**32:
        raise ValueError(f"seed must be from 0 to {2**32 - 1}, not {value}")


def share(name: str, value: float) -> None:
    """From 0 to 1."""
    if not 0 <= value <= 1:
        raise ValueError(f"{name} must be a share from 0 to 1, not {value:g}")
