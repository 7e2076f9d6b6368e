"""Measured claims: every module here is a benchmark, run as ``python -m benchmarks.AREA.NAME``."""
