"""The Python API, as ``import hwnas`` shows it: what the commands do, as typed values.

Nothing here imports torch before `extract_subnet`, `export_subnet` and `verify_files` need it. All errors are `hwnas.HwnasError`. The names
of functions hold a verb and a noun because ``hwnas.search`` and ``hwnas.export`` are packages.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from hwnas.core.arch import Architecture, SearchSpace
from hwnas.core.predict import Predictor
from hwnas.core.result import LatencyLimit
from hwnas.core.serial import canonical_json
from hwnas.latency.chosen import chosen_latency
from hwnas.latency.table import LatencyTable
from hwnas.latency.tablefile import read_table
from hwnas.latency.trusted import TrustedLatency
from hwnas.pipeline import searching
from hwnas.search.front import find_front
from hwnas.space.family import SpaceOptions, find_space
from hwnas.supernet.predictor import StoredAccuracy
from hwnas.workspace import Workspace

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class Subnet:
    """What `find_subnets` chose for one budget: nothing here is measured.

    Accuracies are shares of 1, times ms. ``at_most_ms`` is the bound that the budget was held against; where ``trusted`` is false, the
    subnet lies outside of what was measured on the device, and no bound holds.
    """

    budget: str
    budget_ms: float
    architecture: Architecture
    accuracy: float
    accuracy_std: float
    predicted_ms: float
    at_most_ms: float
    trusted: bool


@dataclass(frozen=True, slots=True)
class ExportedFile:
    """One written model. ``accuracy_val``: top-1 of the file itself on the validation part, a share; ``parity_max_abs``: the largest
    difference of its logits from those of torch, or for int8 from those of the float file.
    """

    path: Path
    runtime: str
    precision: str
    sha256: str
    size_bytes: int
    accuracy_val: float
    parity_max_abs: float


@dataclass(frozen=True, slots=True)
class Exported:
    """What `export_subnet` wrote into ``folder``, beside labels, preprocessing and ``manifest.json``."""

    folder: Path
    architecture: Architecture
    files: tuple[ExportedFile, ...]


@dataclass(frozen=True, slots=True)
class Verified:
    """What `verify_files` found. What was not measured, or has no budget, is None; ``measured_ci_ms`` is a 95 % interval."""

    manifest: Path
    verdict: Literal["ok", "over budget", "not measured"]
    accuracy_test: float | None = None
    budget_ms: float | None = None
    measured_ms: float | None = None
    measured_ci_ms: tuple[float, float] | None = None


def open_workspace(folder: str | Path = ".") -> Workspace:
    """The workspace in ``folder``; a missing or wrong ``hwnas.toml`` raises `hwnas.UsageError`."""
    return Workspace.open(Path(folder))


def load_space(name: str, *, resolutions: Sequence[int] = (), channels: int | None = None, classes: int | None = None) -> SearchSpace:
    """A preset (``hwnas spaces list``), at some of its resolutions (px), for images of ``channels`` and ``classes``; else as it is."""
    return find_space(name, SpaceOptions(channels, classes, tuple(resolutions)))


def workspace_space(workspace: Workspace) -> SearchSpace:
    """The space that the stored predictors of ``workspace`` are of, fitted to its data; without any, `hwnas.UsageError`."""
    return searching.stored_space(workspace)


def load_table(path: str | Path) -> LatencyTable:
    """The latency table at ``path``, with every check that is possible without the device; what does not hold raises `hwnas.UsageError`."""
    return read_table(Path(path))


def latency_of(table: LatencyTable, space: SearchSpace, *, statistic: str = "p50") -> TrustedLatency:
    """The predictor that ``hwnas search`` would fit to ``table``: calibrated from 19 whole networks on, else additive.

    A table that lacks a block of ``space`` raises `hwnas.UsageError`. Without whole networks it predicts, but bounds nothing.
    """
    return chosen_latency(table, space, statistic=statistic)


def load_latency(
    workspace: Workspace,
    device: str,
    runtime: str,
    *,
    precision: str = "fp32",
    statistic: str = "p50",
    regime: str = "quiet",
    threads: int | None = None,
    confidence: float | None = None,
) -> TrustedLatency:
    """The latency predictor that a profile of ``device`` stored in ``workspace``; without one, `hwnas.UsageError` says what to run.

    ``threads`` are the device's unless given, and ``confidence`` the predictor's own (0.95 where enough networks are measured).
    """
    asked = searching.Question(device, runtime, (), precision, statistic, regime=regime, threads=threads, confidence=confidence)
    return searching.stored_latency(workspace, workspace_space(workspace), asked)[0]


def load_accuracy(workspace: Workspace) -> StoredAccuracy:
    """The accuracy predictor that training stored in ``workspace``: ``predict(codes)`` gives top-1 on the validation part, a share."""
    return searching.stored_accuracy(workspace, workspace_space(workspace))


def find_subnets(
    latency: TrustedLatency,
    accuracy: Predictor,
    budgets: Sequence[str],
    *,
    strategy: str = "evolution",
    trials: int = 20_000,
    seed: int = 0,
) -> tuple[Subnet, ...]:
    """The subnet with the best predicted accuracy under each of ``budgets`` (``"2.5ms"``, or ``"60%"`` of the largest), in their order.

    ``strategy`` is one of ``[search]`` in ``hwnas.toml``; ``trials`` architectures are looked at for each budget, and the same seed gives
    the same subnets. A budget that nothing fits raises `hwnas.InfeasibleError`.
    """
    space, largest_ms = latency.space, latency.largest_ms()
    budgets_ms = [LatencyLimit.parse(text).resolve_ms(largest_ms) for text in budgets]
    front = find_front(space, latency, accuracy, budgets_ms, strategy=strategy, trials=trials, seed=seed)
    found = []
    for text, budget_ms in zip(budgets, budgets_ms, strict=True):
        best = front.best(budget_ms)
        found.append(
            Subnet(
                text,
                budget_ms,
                space.architecture(best.codes[0]),
                float(best.accuracy[0]),
                float(best.accuracy_std[0]),
                float(best.latency_ms[0]),
                float(best.upper_ms[0]),
                not latency.outside(best.codes)[0],
            )
        )
    return tuple(found)


def extract_subnet(workspace: Workspace, subnet: Architecture | str) -> nn.Module:
    """A subnet of the trained supernet as a plain module, its batch norm recalibrated: ``(N, C, H, W) -> (N, classes)`` logits.

    ``subnet`` may be what `export_subnet` takes. A workspace without a supernet trains one first.
    """
    from hwnas.pipeline.accuracy import Trained
    from hwnas.pipeline.context import Context
    from hwnas.pipeline.subnets import find_architecture

    ctx = Context(workspace)
    with ctx.store.lock():
        return Trained.load(ctx).module(find_architecture(ctx.space, ctx.store.root, _text(ctx.space, subnet)))


def export_subnet(
    workspace: Workspace,
    subnet: Architecture | str,
    folder: str | Path,
    *,
    formats: Sequence[str] = ("onnx", "tflite"),
) -> Exported:
    """Write a subnet in ``formats`` into ``folder``, which must be new or empty.

    A format is ``onnx``, ``tflite`` or ``pt2``, with a precision where that is not float32, as in ``onnx:fp16`` or ``tflite:int8``.

    ``subnet`` is an architecture, ``"smallest"``, ``"largest"``, or the id of one that a search or run of the workspace found. A file that
    differs from its subnet in torch raises `hwnas.VerificationError`.
    """
    from hwnas.export.exporter import parse_format
    from hwnas.pipeline.context import Context
    from hwnas.pipeline.exporting import export_subnet as export

    named = [parse_format(text) for text in formats]
    ctx = Context(workspace)
    with ctx.store.lock():
        written = export(ctx, _text(ctx.space, subnet), Path(folder), formats=named, int8=False)
    folder = Path(written["folder"])
    names = ("runtime", "precision", "sha256", "size_bytes", "accuracy_val", "parity_max_abs")
    files = tuple(ExportedFile(folder / each["path"], *(each[name] for name in names)) for each in written["files"])
    return Exported(folder, ctx.space.parse(written["choices"]), files)


def verify_files(workspace: Workspace, folder: str | Path, *, timing: bool = True) -> Verified:
    """Check exported files again: every byte, the accuracy of the file itself, and with ``timing`` its latency on the device.

    A changed, missing or unsafe file, and another accuracy, raise `hwnas.VerificationError`; a budget that is missed is a verdict.
    """
    from hwnas.pipeline.context import Context
    from hwnas.pipeline.verifying import verify_files as verify

    ctx = Context(workspace)
    with ctx.store.lock():
        checked = verify(ctx, Path(folder), timing=timing)
    interval = checked.get("measured_ci_ms")
    return Verified(
        Path(checked["manifest"]),
        checked["verdict"],
        checked.get("accuracy_test"),
        checked.get("budget_ms"),
        checked.get("measured_ms"),
        None if interval is None else (interval[0], interval[1]),
    )


def _text(space: SearchSpace, subnet: Architecture | str) -> str:
    """``subnet`` as commands name it."""
    return subnet if isinstance(subnet, str) else canonical_json(space.values(subnet.indices))
