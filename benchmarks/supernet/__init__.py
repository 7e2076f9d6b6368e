"""Benchmarks of the supernet and its training."""
