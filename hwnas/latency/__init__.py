"""Latency tables and the predictors made from them. numpy only: neither torch nor a runtime is needed to read or predict."""
