"""Benchmarks of measuring devices."""
