"""What an ensemble of accuracy predictors may be made of: fitted by scikit-learn, kept as plain arrays, predicting with numpy alone.

Inputs and targets are standardised by the ensemble. A member is one class and one ``register`` line.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from itertools import pairwise
from typing import Protocol

import numpy as np

from hwnas.core.predict import Floats
from hwnas.core.registry import Registry

Arrays = Mapping[str, Floats]
PENALTIES = tuple(float(10.0**e) for e in np.arange(-3, 4.5, 0.5))
HIDDEN = (32, 32)
DECAY = 3.0
"""The weight decay of the perceptrons: inputs are many and subnets few."""


class Member(Protocol):
    """A regression from ``x (n, p)`` to ``y (n,)``; ``sizes`` says whether it takes products of sizes beside the one-hot choices."""

    summary: str
    sizes: bool

    def fit(self, x: Floats, y: Floats, *, seed: int) -> Arrays:
        """What `predict` needs, as arrays by name."""
        ...

    def predict(self, arrays: Arrays, x: Floats) -> Floats:
        """``(n, p) -> (n,)``."""
        ...

    def shapes(self, p: int) -> Mapping[str, tuple[int | None, ...]]:
        """Of the arrays, for ``p`` inputs; None is any length."""
        ...


class Perceptron:
    """Two hidden layers of 32 units with ReLU and weight decay, fitted by L-BFGS."""

    summary = "multi-layer perceptrons"
    sizes = True

    def fit(self, x: Floats, y: Floats, *, seed: int) -> Arrays:
        """Weights and biases of the layers."""
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.neural_network import MLPRegressor

        model = MLPRegressor(hidden_layer_sizes=HIDDEN, alpha=DECAY, solver="lbfgs", max_iter=200, random_state=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # where it stops is as good as where it would
            model.fit(x, y)
        layers = zip(model.coefs_, model.intercepts_, strict=True)
        return {f"{kind}{i}": value for i, layer in enumerate(layers) for kind, value in zip(("weight", "bias"), layer, strict=True)}

    def predict(self, arrays: Arrays, x: Floats) -> Floats:
        """The network's output."""
        for i in range(len(HIDDEN)):
            x = np.maximum(x @ arrays[f"weight{i}"] + arrays[f"bias{i}"], 0)
        last = len(HIDDEN)
        out: Floats = x @ arrays[f"weight{last}"] + arrays[f"bias{last}"]
        return out[:, 0]

    def shapes(self, p: int) -> Mapping[str, tuple[int | None, ...]]:
        """Layer by layer."""
        widths = (p, *HIDDEN, 1)
        pairs = list(enumerate(pairwise(widths)))
        return {f"weight{i}": pair for i, pair in pairs} | {f"bias{i}": pair[1:] for i, pair in pairs}


class Additive:
    """A sum over the choices: ridge regression (Hoerl & Kennard 1970, doi:10.1080/00401706.1970.10488634); what exact solvers can read."""

    summary = "a sum over the choices"
    sizes = False

    def fit(self, x: Floats, y: Floats, *, seed: int) -> Arrays:  # noqa: ARG002 (there is one solution)
        """A weight for every option."""
        from sklearn.linear_model import RidgeCV

        model = RidgeCV(alphas=PENALTIES).fit(x, y)
        return {"weights": np.asarray(model.coef_, dtype=np.float64), "intercept": np.array([float(model.intercept_)])}

    def predict(self, arrays: Arrays, x: Floats) -> Floats:
        """The sum."""
        out: Floats = x @ arrays["weights"] + arrays["intercept"][0]
        return out

    def shapes(self, p: int) -> Mapping[str, tuple[int | None, ...]]:
        """The weights, and a number."""
        return {"weights": (p,), "intercept": (1,)}


class Gaussian:
    """The mean of a Gaussian process with a linear and a smooth part (Rasmussen & Williams 2006, ISBN 026218253X)."""

    summary = "Gaussian processes"
    sizes = True

    def fit(self, x: Floats, y: Floats, *, seed: int) -> Arrays:
        """The subnets that were seen, what each says of others, and the covariance's scales (linear, smooth, length)."""
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import RBF, ConstantKernel, DotProduct, WhiteKernel

        # inputs are divided by the root of their number, so that lengths do not depend on it
        rows = x / np.sqrt(x.shape[1])
        linear = ConstantKernel(1.0, (1e-4, 1e4)) * DotProduct(1.0, sigma_0_bounds="fixed")
        smooth = ConstantKernel(0.1, (1e-6, 1e2)) * RBF(1.0, (0.1, 10.0))
        model = GaussianProcessRegressor(linear + smooth + WhiteKernel(0.05, (1e-6, 1.0)), random_state=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # a scale at the end of its range: that part is not needed
            model.fit(rows, y)
        found = model.kernel_.k1
        scales = (found.k1.k1.constant_value, found.k2.k1.constant_value, found.k2.k2.length_scale)
        return {"rows": rows, "pull": np.asarray(model.alpha_, dtype=np.float64), "scales": np.array(scales, dtype=np.float64)}

    def predict(self, arrays: Arrays, x: Floats) -> Floats:
        """The mean of the process."""
        rows, new = arrays["rows"], x / np.sqrt(x.shape[1])
        linear, smooth, length = arrays["scales"]
        products = new @ rows.T
        squares = np.maximum(np.sum(new**2, axis=1)[:, None] + np.sum(rows**2, axis=1)[None] - 2 * products, 0.0)
        out: Floats = (linear * (1 + products) + smooth * np.exp(-0.5 * squares / length**2)) @ arrays["pull"]
        return out

    def shapes(self, p: int) -> Mapping[str, tuple[int | None, ...]]:
        """As many rows as subnets were seen."""
        return {"rows": (None, p), "pull": (None,), "scales": (3,)}


MEMBERS: Registry[Member] = Registry("accuracy predictor")
MEMBERS.register("mlp", Perceptron())
MEMBERS.register("additive", Additive())
MEMBERS.register("gaussian", Gaussian())
