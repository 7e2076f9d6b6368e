"""An ensemble that follows what was observed: trained anew whenever enough was added."""

from __future__ import annotations

import numpy as np

from hwnas.core.arch import Codes
from hwnas.core.predict import Floats
from hwnas.search.ensemble import Ensemble
from hwnas.search.observed import Features, Observed
from hwnas.space.moves import encode

_REFIT = 1.25


class Surrogate:
    """Predicts how good codes are, in normal scores; ``features: (n, n_choices) -> (n, p)`` default to the choices, one-hot."""

    def __init__(self, known: Observed, features: Features | None) -> None:
        self._known = known
        self._features = features
        self._ensemble: Ensemble | None = None
        self._fitted = 0

    def predict(self, codes: Codes) -> Floats:
        """What every member says of ``codes: (n, n_choices)``, ``(members, n)``; larger is better."""
        known = self._known
        if self._ensemble is None or len(known.codes) >= _REFIT * self._fitted:
            self._ensemble = Ensemble.of(self._seen(known.codes), known.scores(), known.rng)
            self._fitted = len(known.codes)
        return self._ensemble.predict(self._seen(codes))

    def drawn(self, codes: Codes) -> Floats:
        """What each of ``codes`` may be, ``(n,)``: drawn from what members leave open (Thompson 1933, doi:10.1093/biomet/25.3-4.285)."""
        said = self.predict(codes)
        draws: Floats = self._known.rng.normal(said.mean(axis=0), said.std(axis=0, ddof=1))
        return draws

    def _seen(self, codes: Codes) -> Floats:
        return encode(self._known.space, codes) if self._features is None else np.asarray(self._features(codes))
