"""Joins the siblings: data, supernet, profiler, latency, search and export know nothing of each other; here they become one run."""
