"""The kinds of latency predictor by name, and how each is stored: one file and one ``register`` line a kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hwnas.core.arch import SearchSpace
from hwnas.core.artifacts import StoredPredictor
from hwnas.core.errors import PredictorError
from hwnas.core.predict import Predictor
from hwnas.core.registry import Registry
from hwnas.latency import additive, calibrated, gaussian, transfer, trees
from hwnas.latency.additive import AdditiveLatency
from hwnas.latency.calibrated import CalibratedLatency
from hwnas.latency.gaussian import GaussianLatency
from hwnas.latency.store import restore_latency
from hwnas.latency.transfer import DevicePrior, TransferLatency
from hwnas.latency.trees import TreesLatency

DEFAULT = "calibrated"


@dataclass(frozen=True, slots=True)
class Known:
    """What a predictor may be made from: the blocks of a table (None where there are none), and other devices (None, too)."""

    space: SearchSpace
    context: Mapping[str, str | int]
    additive: AdditiveLatency | None = None
    prior: DevicePrior | None = None

    @property
    def label(self) -> str:
        """``device/runtime``, as errors name it."""
        return f"{self.context.get('device', 'device')}/{self.context.get('runtime', 'runtime')}"


@dataclass(frozen=True, slots=True)
class Kind:
    """``stored`` names the kind in files; ``needs`` is None, ``table`` or ``devices``: what must be known to make one."""

    summary: str
    stored: str
    make: Callable[[Known], Predictor]
    restore: Callable[[SearchSpace, StoredPredictor], Predictor]
    needs: str | None = None


PREDICTORS: Registry[Kind] = Registry("predictor")


def restore(space: SearchSpace, kind: str, meta: Mapping[str, Any], arrays: Mapping[str, Any], *, where: str) -> Predictor:
    """A predictor of ``space`` from what its ``state`` gave; ``kind`` is a registered name."""
    found = PREDICTORS.get(kind)
    return found.restore(space, StoredPredictor(found.stored, meta, arrays, where))


def _additive(known: Known) -> Predictor:
    if known.additive is None:
        raise PredictorError(f"{known.label}: an additive predictor needs a table of blocks; run 'hwnas profile'")
    return known.additive


def _calibrated(known: Known) -> Predictor:
    if known.additive is None:
        return CalibratedLatency(known.space, known.context)
    return CalibratedLatency.from_additive(known.additive)


def _trees(known: Known) -> Predictor:
    return TreesLatency(known.space, known.label)


def _gaussian(known: Known) -> Predictor:
    return GaussianLatency(known.space, known.label)


def _transfer(known: Known) -> Predictor:
    return TransferLatency(known.space, known.label, known.prior)


for _name, _kind in {
    "additive": Kind("the sum of block times, scaled", additive.KIND, _additive, restore_latency, needs="table"),
    "calibrated": Kind("block times, corrected by whole networks", calibrated.KIND, _calibrated, CalibratedLatency.restore),
    "trees": Kind("gradient-boosted trees on whole networks", trees.KIND, _trees, TreesLatency.restore),
    "gaussian": Kind("a Gaussian process on whole networks", gaussian.KIND, _gaussian, GaussianLatency.restore),
    "transfer": Kind("few measurements and other devices", transfer.KIND, _transfer, TransferLatency.restore, needs="devices"),
}.items():
    PREDICTORS.register(_name, _kind)
