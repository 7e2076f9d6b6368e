"""A new device from a few measurements and what is known of other devices.

Devices differ along few directions: what an operation costs beside another. Each known device gives a vector of weights over the features
of a view (`hwnas.latency.views`), relative to its median network; their mean and covariance are the prior of the new device's weights (a
linear Gaussian process over tasks with a learned covariance: Bonilla et al. 2008, Multi-task Gaussian Process Prediction), and a few
measurements, chosen for information, make it a posterior. Which view the device follows is decided by the evidence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from hwnas.core.arch import Codes, SearchSpace
from hwnas.core.artifacts import StoredPredictor
from hwnas.core.errors import PredictorError
from hwnas.core.predict import Floats, Prediction
from hwnas.latency.design import choose
from hwnas.latency.regression import Belief, Posterior, condition, evidence, robust_weights
from hwnas.latency.samples import require_samples
from hwnas.latency.views import views

KIND = "latency-transfer"
MIN_SAMPLES = 5
MIN_DEVICES = 2
_INFLATE = 1.2
_OWN_RELATIVE, _OWN = 0.15, 0.01
"""How far a new device's weight may be from what the others span: relative to the weight, and to the median network."""
_SCALE_SPREAD = 0.5
_VIEW_SPREAD = 0.3
_LOWEST_NOISE = 0.05
_NOISE_SPREAD = 0.7


@dataclass(frozen=True, slots=True)
class Source:
    """What is known of another device: networks ``codes (n, n_choices)`` and their ``measured_ms (n,)``.

    ``device`` is the physical one: columns of one device (other batch sizes, runtimes, threads) are no independent witnesses.
    """

    device: str
    label: str
    codes: Codes
    measured_ms: Floats


@dataclass(frozen=True, slots=True)
class _Known:
    """A source in a few numbers: the view that it follows, its weights relative to its median network, its noise, by view."""

    device: str
    view: str
    weights: Mapping[str, Floats]
    noise: float


@dataclass(frozen=True)
class DevicePrior:
    """What other devices of a space say about a new one; made once, used for choosing networks and for fitting."""

    space: SearchSpace
    known: tuple[_Known, ...]

    @classmethod
    def learn(cls, space: SearchSpace, sources: Sequence[Source]) -> Self:
        """From at least two physical devices; each source is checked as any measurements are."""
        return cls(space, tuple(_summarise(space, source) for source in sources))

    def without(self, device: str) -> Self:
        """The same without one physical device and all that was measured on it."""
        return replace(self, known=tuple(each for each in self.known if each.device != device))

    @property
    def devices(self) -> tuple[str, ...]:
        """The physical devices, sorted."""
        return tuple(sorted({each.device for each in self.known}))

    @cached_property
    def belief(self) -> Belief:
        """Of the weights of a new device whose median network takes 1 ms; a device of many columns counts once."""
        if len(self.devices) < MIN_DEVICES:
            raise PredictorError(f"space '{self.space.name}': a new one needs at least {MIN_DEVICES} known ones, not {len(self.devices)}")
        columns = [sum(other.device == each.device for other in self.known) for each in self.known]
        share = np.array([1 / count for count in columns]) / len(self.devices)
        weights = np.stack([each.weights[each.view] for each in self.known])
        mean = share @ weights
        centred = weights - mean
        covariance = _INFLATE * (centred * share[:, None]).T @ centred
        covariance += np.diag((_OWN_RELATIVE * np.abs(mean) + _OWN) ** 2) + _SCALE_SPREAD**2 * np.outer(mean, mean)
        logs = np.log([each.noise for each in self.known])
        return Belief(mean, covariance, float(np.exp(share @ logs)), max(float(np.std(logs)), _NOISE_SPREAD))

    @cached_property
    def view_odds(self) -> Mapping[str, float]:
        """Logarithm of how likely a new device follows each view: how many do, and one more (Laplace)."""
        following = {name: len({each.device for each in self.known if each.view == name}) for name in views(self.space)}
        return {name: float(np.log((count + 1) / (len(self.devices) + len(following)))) for name, count in following.items()}

    def choose(self, candidates: Codes, count: int) -> NDArray[np.intp]:
        """Positions of the ``count`` networks to measure among ``candidates (n, n_choices)``, the most informative first.

        Views are told apart, too: how far they are from each other on a candidate is one more thing that is not known.
        """
        self.space.check(candidates)
        belief = self.belief
        first, *others = [view(candidates) for view in views(self.space).values()]
        expected = first @ belief.mean
        apart = [(features @ belief.mean / expected - 1)[:, None] for features in others]
        width = first.shape[1]
        covariance = np.diag(np.full(width + len(apart), _VIEW_SPREAD**2))
        covariance[:width, :width] = belief.covariance
        relative = np.concatenate([first / expected[:, None], *apart], axis=1)
        return choose(relative, covariance, noise=max(belief.noise, _LOWEST_NOISE), count=count)


@dataclass(frozen=True)
class TransferLatency:
    """Predicts a new device; ``prior`` is None in one that was stored, which predicts but cannot be fitted."""

    space: SearchSpace
    label: str
    prior: DevicePrior | None
    view: str = ""
    posterior: Posterior | None = None

    def fit(self, codes: Codes, y: Floats) -> Self:
        """From at least five measured networks, ``(n, n_choices)`` and ``(n,)`` ms."""
        if self.prior is None:
            raise PredictorError(f"{self.label}: a stored predictor knows no other devices any more; fit a new one")
        measured = require_samples(self.space, codes, y, at_least=MIN_SAMPLES, label=self.label)
        belief = self.prior.belief
        best, found = -np.inf, None
        for name, view in views(self.space).items():
            features = view(codes)
            scale = float(np.median(measured / (features @ belief.mean)))
            posterior = condition(features, measured / scale, belief)
            score = evidence(
                features @ belief.covariance @ features.T,
                features @ belief.mean,
                measured / scale,
                features @ posterior.weights,
                noise=belief.noise,
                noise_spread=belief.noise_spread,
            )
            score += self.prior.view_odds[name] - len(measured) * np.log(scale)
            if score > best:
                best, found = score, (name, Posterior(posterior.weights * scale, posterior.covariance * scale**2, posterior.noise))
        if found is None:
            raise PredictorError(f"{self.label}: the measurements fit no device at all; measure again when less else runs there")
        return replace(self, view=found[0], posterior=found[1])

    def predict(self, codes: Codes) -> Prediction:
        """``(n, n_choices) int16 -> (n,)`` ms."""
        if self.posterior is None:
            raise PredictorError(f"{self.label}: nothing was measured yet; fit at least {MIN_SAMPLES} networks")
        mean, std = self.posterior.predict(views(self.space)[self.view](codes))
        return Prediction(mean, std)

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """The posterior, without the other devices."""
        if self.posterior is None:
            raise PredictorError(f"{self.label}: nothing to store before a fit")
        meta = {"space": self.space.id, "label": self.label, "view": self.view, "noise": self.posterior.noise}
        return meta, {"weights": self.posterior.weights, "covariance": self.posterior.covariance}

    @classmethod
    def restore(cls, space: SearchSpace, stored: StoredPredictor) -> Self:
        """From what `state` gave; another space raises `PredictorError`."""
        stored.require(KIND, space=space.id)
        meta = stored.meta
        if meta.get("view") not in views(space):
            raise PredictorError(f"{stored.where}: space '{space.name}' has no view '{meta.get('view')}'; fit it again")
        width = views(space)[meta["view"]](np.zeros((1, len(space.choices)), dtype=np.int16)).shape[1]
        weights, covariance = stored.array("weights", shape=(width,)), stored.array("covariance", shape=(width, width))
        return cls(space, str(meta["label"]), None, meta["view"], Posterior(weights, covariance, float(meta["noise"])))


def _summarise(space: SearchSpace, source: Source) -> _Known:
    measured = require_samples(space, source.codes, source.measured_ms, at_least=MIN_SAMPLES, label=source.label)
    fits = {}
    for name, view in views(space).items():
        features = view(source.codes)
        weights, noise = robust_weights(features, measured)
        fits[name] = (weights / float(np.median(features @ weights)), noise)
    best = min(fits, key=lambda name: fits[name][1])
    return _Known(source.device, best, {name: weights for name, (weights, _) in fits.items()}, max(fits[best][1], 1e-4))
