"""Benchmarks of what leaves the project: files, and the pipeline that makes them."""
