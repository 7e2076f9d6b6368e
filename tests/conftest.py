"""How every test runs: Hypothesis judges results, never the time that they took, which is the machine's."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("untimed", parent=settings.get_profile(settings.get_current_profile_name()), deadline=None)
settings.load_profile("untimed")

pytest_plugins = ["tests.rig.small_run"]
