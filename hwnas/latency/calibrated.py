"""Calibrated latency, the default: additive over blocks, with what whole networks teach about them.

``latency = call + sum of block times``, where the block times have a Gaussian prior around the table (`hwnas.latency.blockprior`) and a few
dozen whole networks, chosen by `CalibratedLatency.choose`, make it a posterior by robust Bayesian regression (`hwnas.latency.regression`):
border effects, the scale of a stage, what depth and resolution add. Without a table the networks teach the block times, too. The result
is compiled to one gather a network, and its uncertainty to a few more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from hwnas.core.arch import Codes, SearchSpace
from hwnas.core.artifacts import StoredPredictor
from hwnas.core.errors import PredictorError
from hwnas.core.predict import Floats, Prediction
from hwnas.latency.additive import AdditiveLatency
from hwnas.latency.blockprior import BlockPrior, counts
from hwnas.latency.blocksums import padded, sum_over_blocks
from hwnas.latency.design import choose
from hwnas.latency.regression import evidence, solve
from hwnas.latency.samples import require_samples
from hwnas.space.family import blockwise
from hwnas.space.moves import sample

KIND = "latency-calibrated"
MIN_NETWORKS = 8
_NOISE = 0.02
_NOISE_SPREAD = 1.0
_CALL_SPREAD = 0.05
"""Of the call of an empty model, relative to the median network."""
_SPREADS = (0.3, 1.0, 3.0)
"""How far off tables may be, in multiples of what is usual; the evidence decides."""
_RANK = 6
_PROBES = 256


@dataclass(frozen=True, slots=True)
class Compiled:
    """Block times ``(V,)`` and what is not known of them, ``factor (V, r)``, in ms; ``call_ms`` and ``call_factor (r,)`` are a network's.

    ``noise`` is relative to the prediction.
    """

    times_ms: Floats
    factor: Floats
    call_ms: float
    call_factor: Floats
    noise: float
    networks: int


@dataclass(frozen=True)
class CalibratedLatency:
    """Predicts milliseconds from codes of one blockwise space; ``times_ms (V,)`` is the table, None to learn it from whole networks."""

    space: SearchSpace
    context: Mapping[str, str | int]
    times_ms: Floats | None = None
    overhead_ms: float = 0.0
    compiled: Compiled | None = None

    @classmethod
    def from_additive(cls, additive: AdditiveLatency) -> Self:
        """Around the table of an additive predictor; fit it to whole networks."""
        return cls(additive.space, additive.context, additive.times_ms, additive.overhead_ms)

    @property
    def label(self) -> str:
        """``device/runtime``, as errors name it."""
        return f"{self.context.get('device', 'device')}/{self.context.get('runtime', 'runtime')}"

    @cached_property
    def _prior(self) -> BlockPrior:
        return BlockPrior.of(blockwise(self.space).vocabulary(self.space), self.times_ms)

    def _counts(self, codes: Codes) -> Floats:
        return counts(blockwise(self.space).block_ids(self.space, codes), len(self._prior.times_ms))

    def choose(self, candidates: Codes, count: int) -> NDArray[np.intp]:
        """Positions of the ``count`` networks to measure among ``candidates (n, n_choices)``, the most informative first."""
        self.space.check(candidates)
        networks = self._counts(candidates)
        expected = networks @ self._prior.times_ms
        shared = networks @ self._prior.factor / expected[:, None]
        calls = _CALL_SPREAD * float(np.median(expected)) / expected[:, None]
        features = np.concatenate([shared, calls], axis=1)
        return choose(features, np.eye(features.shape[1]), noise=_NOISE, count=count)

    def fit(self, codes: Codes, y: Floats) -> Self:
        """From measured whole networks, ``(n, n_choices)`` and ``(n,)`` ms."""
        measured = require_samples(self.space, codes, y, at_least=MIN_NETWORKS, label=self.label)
        networks = self._counts(codes)
        scale = float(np.median(measured / (networks @ self._prior.times_ms + self.overhead_ms)))
        fits = [_Fit.make(self._prior.scaled(scale, spread), networks, measured, self.overhead_ms) for spread in _SPREADS]
        best = max(fits, key=lambda fit: fit.evidence)
        probes = self._counts(sample(self.space, _PROBES, np.random.default_rng(0)))
        return replace(self, compiled=best.compile(probes))

    def predict(self, codes: Codes) -> Prediction:
        """``(n, n_choices) int16 -> (n,)`` ms."""
        own = self._own
        sums = sum_over_blocks(self.space, codes, self._compiled_rows)
        mean = own.call_ms + sums[:, 0]
        unknown = sums[:, 1:] + own.call_factor
        return Prediction(mean, np.sqrt(np.einsum("ij,ij->i", unknown, unknown) + np.square(own.noise * mean)))

    @property
    def _own(self) -> Compiled:
        if self.compiled is None:
            raise PredictorError(f"{self.label}: no whole network was measured yet; fit at least {MIN_NETWORKS}")
        return self.compiled

    @cached_property
    def _compiled_rows(self) -> Floats:
        own = self._own
        return padded(np.concatenate([own.times_ms[:, None], own.factor], axis=1))

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """The compiled form."""
        own = self._own
        meta = {**self.context, "space": self.space.id, "call_ms": own.call_ms, "noise": own.noise, "networks": own.networks}
        return meta, {"times_ms": own.times_ms, "factor": own.factor, "call_factor": own.call_factor}

    @classmethod
    def restore(cls, space: SearchSpace, stored: StoredPredictor) -> Self:
        """From what `state` gave; another space raises `PredictorError`."""
        stored.require(KIND, space=space.id)
        words = len(blockwise(space).vocabulary(space))
        meta = dict(stored.meta)
        own = Compiled(
            times_ms=stored.array("times_ms", shape=(words,)),
            factor=stored.array("factor", shape=(words, None)),
            call_ms=float(meta.pop("call_ms")),
            call_factor=stored.array("call_factor", shape=(None,)),
            noise=float(meta.pop("noise")),
            networks=int(meta.pop("networks")),
        )
        meta.pop("space")
        return cls(space, meta, compiled=own)


@dataclass(frozen=True, slots=True)
class _Fit:
    """One prior conditioned on the measured networks; ``cross (n, V)`` are the prior covariances of networks and blocks."""

    prior: BlockPrior
    networks: Floats
    cross: Floats
    call_variance: float
    call_ms: float
    pull: Floats
    precision: Floats
    noise: float
    evidence: float

    @classmethod
    def make(cls, prior: BlockPrior, networks: Floats, measured: Floats, overhead_ms: float) -> Self:
        cross = (networks @ prior.factor) @ prior.factor.T + networks * prior.own**2
        call = (_CALL_SPREAD * float(np.median(measured))) ** 2
        gram = cross @ networks.T + call
        expected = networks @ prior.times_ms + overhead_ms
        solution = solve(gram, expected, measured, noise=_NOISE)
        score = evidence(gram, expected, measured, solution.mean, noise=_NOISE, noise_spread=_NOISE_SPREAD)
        return cls(prior, networks, cross, call, overhead_ms, solution.pull, solution.precision, solution.noise, score)

    def compile(self, probes: Floats) -> Compiled:
        """Times after the measurements; their covariance as the few directions that matter to ``probes (m, V)`` (Nyström)."""
        prior_cross = (probes @ self.prior.factor) @ self.prior.factor.T + probes * self.prior.own**2
        to_measured = probes @ self.cross.T + self.call_variance
        # rows: covariance of a probe with every block, and with the call, after the measurements
        blocks = prior_cross - to_measured @ self.precision @ self.cross
        call = self.call_variance - to_measured @ self.precision @ np.full(len(self.networks), self.call_variance)
        among = blocks @ probes.T + call[:, None]
        values, vectors = np.linalg.eigh((among + among.T) / 2)
        kept = values[-_RANK:] > 1e-12 * max(float(values[-1]), 1e-300)
        top = vectors[:, -_RANK:][:, kept] / np.sqrt(values[-_RANK:][kept])
        times = self.prior.times_ms + self.pull @ self.cross
        mean = probes @ times + self.call_ms + self.call_variance * float(self.pull.sum())
        # what the kept directions leave out is taken as noise
        left = max(float(np.mean((np.trace(among) - values[-_RANK:].sum()) / len(probes) / mean**2)), 0.0)
        return Compiled(
            times_ms=times,
            factor=blocks.T @ top,
            call_ms=self.call_ms + self.call_variance * float(self.pull.sum()),
            call_factor=call @ top,
            noise=float(np.sqrt(self.noise**2 + left)),
            networks=len(self.networks),
        )
