"""Search for the best architectures under budgets, with predictors only; numpy only. Importing it registers strategies and solvers."""

from hwnas.search import (
    bayesian,
    differentiable,
    evolution,
    exact,
    linearised,
    local,
    nsga2,
    once_for_all,
    predictor_guided,
    progressive,
    random,
    reinforce,
    successive_halving,
)

__all__ = [
    "bayesian",
    "differentiable",
    "evolution",
    "exact",
    "linearised",
    "local",
    "nsga2",
    "once_for_all",
    "predictor_guided",
    "progressive",
    "random",
    "reinforce",
    "successive_halving",
]
