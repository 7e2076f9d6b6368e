"""Search for the best architectures under budgets, with predictors only; numpy only. Importing it registers strategies and solvers."""

from hwnas.search import bayesian, evolution, exact, linearised, local, once_for_all, random

__all__ = ["bayesian", "evolution", "exact", "linearised", "local", "once_for_all", "random"]
