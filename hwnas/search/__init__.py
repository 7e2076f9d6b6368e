"""Search for the best architectures under budgets, with predictors only; numpy only. Importing the package registers its strategies."""

from hwnas.search import evolution, random

__all__ = ["evolution", "random"]
