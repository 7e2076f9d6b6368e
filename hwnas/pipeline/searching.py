"""``hwnas search``: the front from stored predictors alone. Needs neither torch nor the data nor the device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from pydantic import ConfigDict

from hwnas import __version__
from hwnas.config import CONFIG
from hwnas.core.arch import SearchSpace
from hwnas.core.errors import PredictorError, UnknownNameError
from hwnas.core.predict import LatencyModel
from hwnas.core.registry import require_known, suggest
from hwnas.core.result import LatencyLimit
from hwnas.core.serial import STRICT, canonical_json, content_id, parse, plain, read_json, sha256_file, write_atomic
from hwnas.latency.chosen import why
from hwnas.latency.conformal import require_level
from hwnas.latency.trusted import TrustedLatency
from hwnas.pipeline.goals import Target
from hwnas.pipeline.limits import Asked, limits_of, worst_of
from hwnas.pipeline.notes import Watch
from hwnas.pipeline.reporter import Reporter, Silent
from hwnas.pipeline.results import known_codes, now, one_search, write_evaluated, write_run
from hwnas.search.archive import Archive, Front
from hwnas.search.front import find_front
from hwnas.search.preflight import preflight
from hwnas.search.solver import SOLVERS, Models
from hwnas.search.strategy import STRATEGIES
from hwnas.space.family import SpaceOptions, family_of, find_space
from hwnas.store.stages import Store
from hwnas.supernet.predictor import StoredAccuracy, load_accuracy
from hwnas.workspace import Workspace

SPACE = "space.json"
ACCURACY = "accuracy.json"


@dataclass(frozen=True, slots=True)
class StoredSpace:
    """Which space the stored predictors are of: enough to build it without the data."""

    preset: str
    channels: int
    classes: int
    resolutions: tuple[int, ...]
    id: str

    __pydantic_config__: ClassVar[ConfigDict] = STRICT


@dataclass(frozen=True, slots=True)
class Question:
    """What is searched: budgets as written, for one target; None takes what the workspace and its device say.

    A subnet keeps a budget with probability ``confidence``; None takes the predictor's own.
    """

    device: str
    runtime: str
    budgets: tuple[str, ...]
    precision: str = "fp32"
    statistic: str = "p50"
    strategy: str | None = None
    trials: int | None = None
    regime: str = "quiet"
    threads: int | None = None
    limits: tuple[str, ...] = ()
    seed: int | None = None
    begin: str | None = None
    confidence: float | None = None


@dataclass(frozen=True)
class Problem:
    """A question with all that answers it: models, budgets in ms, and the ``latency`` of the device itself.

    With limits on the worst of several devices, ``models.latency`` is that of the worst. ``predictors`` are the digests of the
    files of all that are used.
    """

    models: Models
    latency: TrustedLatency
    budgets_ms: tuple[float, ...]
    strategy: str
    trials: int
    seed: int
    predictors: Mapping[str, str]


def publish_space(store: Store, space: SearchSpace, options: SpaceOptions) -> None:
    """Say below ``runs/predictors`` which space its predictors are of."""
    stored = StoredSpace(space.name, options.channels or 0, options.classes or 0, options.resolutions, space.id)
    write_atomic(store.predictors / SPACE, canonical_json(stored) + "\n")


def publish_latency(store: Store, predictor: TrustedLatency) -> None:
    """Store a latency predictor where `answer` finds it."""
    predictor.save(_latency_path(store, predictor.context, predictor.statistic))


def _latency_path(store: Store, context: Mapping[str, Any], statistic: str) -> Path:
    c = context
    name = f"{c['runtime']}-{c['precision']}-t{c['threads']}-b{c['batch']}-{c['regime']}-{statistic}.json"
    return store.predictors / "latency" / str(c["device"]) / name


def has_space(workspace: Workspace) -> bool:
    """Whether predictors of some space are stored."""
    return (workspace.store.predictors / SPACE).is_file()


def stored_space(workspace: Workspace) -> SearchSpace:
    """The space of the stored predictors; without any, of another space than the workspace's, or of another version, `PredictorError`."""
    path = workspace.store.predictors / SPACE
    if not path.is_file():
        raise PredictorError(f"{path.parent}: no predictors are stored yet; run 'hwnas profile DEVICE' and 'hwnas train'")
    stored = parse(StoredSpace, read_json(path, error=PredictorError), where=str(path), error=PredictorError)
    asked = workspace.config.space
    if (stored.preset, stored.resolutions) != (asked.preset, asked.resolutions):
        raise PredictorError(
            f"{path}: the stored predictors are of another space ({_named(stored.preset, stored.resolutions)}) than {CONFIG} asks for "
            f"({_named(asked.preset, asked.resolutions)}); profile and train again"
        )
    space = find_space(stored.preset, SpaceOptions(stored.channels, stored.classes, stored.resolutions))
    if space.id != stored.id:
        raise PredictorError(
            f"{path}: the stored predictors are of another space than '{stored.preset}' is in this version; profile and train again"
        )
    return space


def _named(preset: str, resolutions: tuple[int, ...]) -> str:
    return f"{preset} at {', '.join(map(str, resolutions))}" if resolutions else f"{preset} at all resolutions"


def posed(workspace: Workspace, question: Question) -> Problem:
    """What is asked, as models and numbers; whatever is missing or wrong raises a typed error."""
    budgets = [LatencyLimit.parse(text) for text in question.budgets]
    if question.confidence is not None:
        require_level(question.confidence)
    asked = [Asked.parse(text) for text in question.limits]
    space = stored_space(workspace)
    latency, stored = stored_latency(workspace, space, question)
    largest_ms = latency.largest_ms()
    budgets_ms = tuple(budget.resolve_ms(largest_ms) for budget in budgets)
    accuracy = stored_accuracy(workspace, space)
    predictors = {latency.label: stored, "accuracy": sha256_file(workspace.store.predictors / ACCURACY)}

    def find(device: str, runtime: str) -> tuple[LatencyModel, float]:
        other, digest = stored_latency(workspace, space, replace(question, device=device, runtime=runtime, threads=None))
        predictors[other.label] = digest
        return other, other.largest_ms()

    held = worst_of(space, latency, largest_ms, asked, question.budgets, find)
    known = None if question.begin is None else known_codes(workspace.store, space, question.begin)
    models = Models(space, held, accuracy, limits_of(space, asked, question.precision, find), known)
    config = workspace.config.search
    seed = workspace.config.seed if question.seed is None else question.seed
    strategy, trials = question.strategy or config.strategy, question.trials or config.trials
    require_known("strategy", strategy, (*STRATEGIES, *SOLVERS))
    return Problem(models, latency, budgets_ms, strategy, trials, seed, predictors)


def answer(workspace: Workspace, question: Question, reporter: Reporter | None = None) -> dict[str, Any]:
    """The best subnet under each budget, as plain values; all that was evaluated is kept (`hwnas.pipeline.results`)."""
    if question.begin is not None:
        question = replace(question, begin=str(one_search(workspace.store, question.begin)["run"]))
    problem = posed(workspace, question)
    models, budgets_ms = problem.models, problem.budgets_ms
    space = models.space
    before = preflight(models, budgets_ms)
    settings = {"strategy": problem.strategy, "trials": problem.trials, "seed": problem.seed}
    key = content_id([plain(question), space.id, problem.predictors, settings, __version__])
    noted = Watch(workspace.store.root / "search" / f"watch-{key}.jsonl", dict(zip(question.budgets, budgets_ms, strict=True)))
    total = problem.trials * len(set(budgets_ms))
    with (reporter or Silent()).stage(f"search for {problem.latency.label}", total) as advance:

        def watch(archive: Archive) -> None:
            noted(archive)
            advance(min(archive.evaluated, total), "architectures")

        front = find_front(
            space,
            models.latency,
            models.accuracy,
            budgets_ms,
            strategy=problem.strategy,
            trials=problem.trials,
            seed=problem.seed,
            limits=models.limits,
            known=models.known,
            watch=watch,
        )
    noted.end()
    path = write_front(workspace.store, front, key)
    target = {**problem.latency.context, "statistic": question.statistic}
    evaluated = write_evaluated(workspace.store, front, key, {"run": key, **target, **settings})
    latency = problem.latency
    model = {"confidence": latency.confidence, "model": latency.kind, "why": why(latency), "networks": latency.networks}
    found = {
        "space": space.name,
        **asdict(question),
        **settings,
        **model,
        "evaluated": front.evaluated,
        "bound": front.bound,
        "preflight": {"rows": plain(before.rows), "together": list(before.together)},
        "budgets": [_row(problem, front, text, budget_ms) for text, budget_ms in zip(question.budgets, budgets_ms, strict=True)],
    }
    provenance = {"space_id": space.id, "target": target, "version": __version__, "predictors": problem.predictors}
    write_run(workspace.store, key, {**found, **provenance, "when": now()})
    return {"run": key, **found, "front_file": str(path), "evaluated_file": str(evaluated)}


def stored_latency(workspace: Workspace, space: SearchSpace, question: Question) -> tuple[TrustedLatency, str]:
    """The stored predictor, with the confidence that is asked for, and the hash of its file."""
    device = workspace.device(question.device)
    target = Target(device.id, question.runtime, question.precision, question.threads or device.threads)
    context = {**asdict(target), "regime": question.regime}
    path = _latency_path(workspace.store, context, question.statistic)
    if not path.is_file():
        raise _not_stored(path.parent, {**context, "statistic": question.statistic})
    predictor = TrustedLatency.load(path, space, statistic=question.statistic, **context)
    return predictor.at(question.confidence), sha256_file(path)


def _not_stored(folder: Path, asked: Mapping[str, Any]) -> PredictorError | UnknownNameError:
    """Why a device's ``folder`` has no predictor of what is asked: it has none at all, or none of the first word that is not known."""
    device = asked["device"]
    # names as `_latency_path` gives them; a runtime's may hold hyphens
    stored = [path.stem.rsplit("-", 5) for path in sorted(folder.glob("*-*-t*-b*-*-*.json"))]
    for position, kind in enumerate(("runtime", "precision", "threads", "batch", "regime", "statistic")):
        mark = {"threads": "t", "batch": "b"}.get(kind, "")
        known = {words[position].removeprefix(mark) for words in stored}
        wanted = str(asked[kind])
        if known and wanted not in known:
            said = f"no predictor of {kind} '{wanted}' is stored for {device}; {suggest(wanted, known)}"
            return UnknownNameError(f"{said} ('hwnas profile {device}' stores what its recipes use)")
        stored = [words for words in stored if words[position] == mark + wanted]
    return PredictorError(f"{folder}: no latency predictor of {device} is stored yet; run 'hwnas profile {device}'")


def stored_accuracy(workspace: Workspace, space: SearchSpace) -> StoredAccuracy:
    """The stored predictor of ``space``; without one, `PredictorError`."""
    path = workspace.store.predictors / ACCURACY
    if not path.is_file():
        raise PredictorError(f"{path}: no accuracy predictor is stored yet; run 'hwnas train', or import one ('hwnas accuracy import')")
    return load_accuracy(path, space)


def write_front(store: Store, front: Front, key: str) -> Path:
    """Keep a whole front as JSON: codes, predicted latency and its bound, predicted accuracy."""
    points = front.points
    listed = [
        {
            "arch": front.space.architecture(row).id,
            "codes": [int(i) for i in row],
            "predicted_ms": float(points.latency_ms[i]),
            "predicted_hi_ms": float(points.upper_ms[i]),
            "accuracy": float(points.accuracy[i]),
        }
        for i, row in enumerate(points.codes)
    ]
    path = store.root / "search" / f"front-{key}.json"
    write_atomic(path, canonical_json({"space": front.space.id, "evaluated": front.evaluated, "points": listed}) + "\n")
    return path


def _row(problem: Problem, front: Front, text: str, budget_ms: float) -> dict[str, Any]:
    best, space = front.best(budget_ms), front.space
    arch = space.architecture(best.codes[0])
    return {
        "budget": text,
        "budget_ms": budget_ms,
        "arch": arch.id,
        "choices": space.values(arch.indices),
        "summary": family_of(space).describe(space, arch),
        "accuracy": float(best.accuracy[0]),
        "accuracy_std": float(best.accuracy_std[0]),
        "predicted_ms": float(best.latency_ms[0]),
        "predicted_hi_ms": float(best.upper_ms[0]),
        "limited": {limit.resource.name: float(limit.resource.cost(best.codes)[0]) for limit in problem.models.limits},
        "trusted": not problem.latency.outside(best.codes)[0],
    }
