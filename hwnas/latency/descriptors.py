"""Networks as rows of numbers for the predictors that know nothing of blocks: trees and Gaussian processes.

Isomorphic cells give the same row. A choice among numbers is that number, 0 to 1; any other is one-hot. Kinds of choices that recur
(kernels, expands) are counted over their group as well.
"""

from __future__ import annotations

import numpy as np

from hwnas.core.arch import Codes, SearchSpace
from hwnas.core.predict import Floats
from hwnas.latency.views import views
from hwnas.space.family import Cellwise, family_of
from hwnas.space.moves import encode


def describe(space: SearchSpace, codes: Codes) -> Floats:
    """``(n, n_choices) int16 -> (n, p) float64``; codes of another space raise `ConfigError`."""
    family = family_of(space)
    own = [view(codes)[:, 1:] for view in views(space).values()]
    if isinstance(family, Cellwise):
        return np.concatenate([encode(space, family.representative(space, codes)), *own], axis=1)
    kinds = {choice.name.split(".")[-1] for choice in space.choices}
    parts = [_choice(space, codes, position) for position in range(len(space.choices))]
    return np.concatenate(parts + (own if len(kinds) < len(space.choices) else []), axis=1)


def _choice(space: SearchSpace, codes: Codes, position: int) -> Floats:
    options = space.choices[position].options
    active = space.active(codes)[:, position]
    if all(isinstance(option, (int, float)) for option in options):
        values = np.array(options, dtype=np.float64)
        scaled = (values - values.min()) / max(float(np.ptp(values)), 1e-300)
        return np.where(active, scaled[codes[:, position]], 0.0)[:, None]
    hot: Floats = (codes[:, position][:, None] == np.arange(len(options))) & active[:, None]
    return hot.astype(np.float64)
