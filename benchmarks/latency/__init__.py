"""Tables and predictors of latency, held to what others published."""
