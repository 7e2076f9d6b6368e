"""Search for the best architectures under budgets, with predictors only; numpy only. Importing it registers strategies and solvers."""

from hwnas.search import evolution, exact, linearised, random

__all__ = ["evolution", "exact", "linearised", "random"]
