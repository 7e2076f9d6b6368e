"""How every test runs: Hypothesis judges results, never the time that they took, which is the machine's."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

settings.register_profile("untimed", parent=settings.get_profile(settings.get_current_profile_name()), deadline=None)
settings.load_profile("untimed")

pytest_plugins = ["tests.rig.small_run"]


def pytest_configure(config: pytest.Config) -> None:
    """Give each of several workers a core of its own: the agents that tests start lock the core that they measure on."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    if worker.startswith("gw") and hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[int(worker[2:]) % len(cores)]})
