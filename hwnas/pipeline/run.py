"""``hwnas run``: profile, train once, search per budget, export, verify; every step reused where nothing changed."""

from __future__ import annotations

import json
import shutil
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwnas import __version__
from hwnas.core.errors import BudgetMissed, ConfigError, DeviceFaster
from hwnas.core.serial import content_id, plain, write_atomic
from hwnas.export.exporter import exporter_for
from hwnas.latency.chosen import why
from hwnas.latency.trusted import TrustedLatency
from hwnas.pipeline.accuracy import Trained, accuracy_model
from hwnas.pipeline.candidates import picked, searched
from hwnas.pipeline.context import Context
from hwnas.pipeline.deploy import Outcome, deployed
from hwnas.pipeline.fleet import profiles_for_run
from hwnas.pipeline.goals import Goal, Target, goals_of, target_of
from hwnas.pipeline.kept import keep_search
from hwnas.pipeline.limits import recipe_limits
from hwnas.pipeline.profile import Profile
from hwnas.pipeline.profiling import measured_again
from hwnas.pipeline.release import release
from hwnas.pipeline.verification import Bench
from hwnas.recipe import Recipe
from hwnas.search.feasible import check_budgets
from hwnas.store.journal import Journal
from hwnas.supernet.train import steps_an_epoch

MAX_AGAIN = 2
"""How often one table is measured again in a run."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a run came to: its id, its folder, how long it took now, and a row a target; ``sources``: its tables and the files' timings."""

    run: str
    folder: Path
    seconds: float
    rows: tuple[Mapping[str, Any], ...]
    sources: tuple[Path, ...] = ()

    def document(self) -> dict[str, Any]:
        """The documented JSON of ``hwnas run --json``."""
        return {"run": self.run, "seconds": round(self.seconds, 3), "targets": plain(self.rows)}

    def require_ok(self) -> None:
        """Raise `BudgetMissed` with prediction, measurement and interval side by side, if a target missed its budget."""
        missed = [row for row in self.rows if row["verdict"] != "ok"]
        if missed:
            row = missed[0]
            low, high = row["measured_ci_ms"]
            raise BudgetMissed(
                f"{row['device']}/{row['runtime']}: {len(missed)} of {len(self.rows)} budgets missed; "
                f"first {row['budget']} = {row['budget_ms']:.4f} ms: "
                f"predicted {row['predicted_ms']:.4f} (at most {row['predicted_hi_ms']:.4f}), measured {row['measured_ms']:.4f} "
                f"({low:.4f} to {high:.4f}) after {row['tried']} candidates; raise the budget or profile the device again"
            )


def run(ctx: Context, recipes: Mapping[str, Recipe] | None = None, *, away_will_do: bool = False) -> Result:
    """The whole pipeline on one workspace, for all of its recipes or some of them; the caller holds the store's lock.

    With ``away_will_do`` files of a device that cannot be reached are left unmeasured, where it has tables.
    """
    begin = time.monotonic()
    recipes = ctx.workspace.recipes if recipes is None else recipes
    if not recipes:
        raise ConfigError(f"{ctx.workspace.root / 'export' / 'recipes'}: no recipes; write one, or start with 'hwnas init'")
    for recipe in recipes.values():
        exporter_for(recipe.runtime)
    steps_an_epoch(ctx.dataset, ctx.config.train)
    again: Counter[Target] = Counter()
    while True:
        profiles = profiles_for_run(ctx, map(target_of, recipes.values()))
        benches = {
            target: Bench(ctx, profile, Journal(_verification_journal(ctx, profile)), away_will_do=away_will_do)
            for target, profile in profiles.items()
        }
        try:
            return _finish(ctx, recipes, benches, _outcomes(ctx, recipes, benches), begin)
        except DeviceFaster as found:
            # budgets and predictions of a busy device mean little: nothing is decided by them
            profile = next(p for target, p in profiles.items() if target == found.what)
            again[profile.target] += 1
            if again[profile.target] > MAX_AGAIN:
                raise
            measured_again(ctx, profile, quiet_level_us=found.quiet_level_us)


def _outcomes(ctx: Context, recipes: Mapping[str, Recipe], benches: Mapping[Target, Bench]) -> list[Outcome]:
    """From tables to timed files; `DeviceFaster` where a table proves to be of a busy device."""
    goals = _goals(ctx, recipes, {target: bench.profile for target, bench in benches.items()})
    trained = {weights: Trained.load(ctx, weights) for weights in dict.fromkeys(recipe.weights for recipe in recipes.values())}
    outcomes: list[Outcome] = []
    for name, recipe in recipes.items():
        own = [goal for goal in goals if goal.name == name]
        outcomes += _deploy(ctx, trained[recipe.weights], benches[target_of(recipe)], own, ctx.store.root / run_id(ctx, recipes))
    return outcomes


def _goals(ctx: Context, recipes: Mapping[str, Recipe], profiles: Mapping[Target, Profile]) -> list[Goal]:
    """Every goal, checked to be feasible before anything is trained."""
    goals: list[Goal] = []
    for name, recipe in recipes.items():
        profile = profiles[target_of(recipe)]
        largest_ms = profile.largest_ms(ctx, regime=recipe.regime, statistic=recipe.statistic)
        own = goals_of(name, recipe, largest_ms=largest_ms)
        latency = profile.predictor(ctx, regime=recipe.regime, statistic=recipe.statistic)
        check_budgets(ctx.space, latency, [goal.budget_ms for goal in own], recipe_limits(ctx.space, recipe))
        goals += own
    return goals


def _deploy(ctx: Context, trained: Trained, bench: Bench, goals: Sequence[Goal], folder: Path) -> list[Outcome]:
    recipe = goals[0].recipe
    latency = bench.profile.predictor(ctx, regime=recipe.regime, statistic=recipe.statistic)
    ctx.reporter.expect(f"{bench.profile.target.label}: searching by the {why(latency)}; bounds of {latency.confidence:.0%}")
    budgets_ms = [goal.budget_ms for goal in goals]
    front = searched(ctx, latency, accuracy_model(ctx, trained), budgets_ms, recipe_limits(ctx.space, recipe))
    keep_search(folder, goals[0].name, front, _asked(ctx, latency, goals))
    return deployed(ctx, trained, bench, goals, picked(ctx, trained, latency, front, goals))


def _asked(ctx: Context, latency: TrustedLatency, goals: Sequence[Goal]) -> dict[str, Any]:
    config, recipe = ctx.config.search, goals[0].recipe
    return {
        "device": recipe.device,
        "runtime": recipe.runtime,
        "precision": recipe.precision,
        "statistic": recipe.statistic,
        "regime": recipe.regime,
        "strategy": config.strategy,
        "trials": config.trials,
        "seed": ctx.config.seed,
        "model": latency.kind,
        "confidence": latency.confidence,
        "budgets": [{"budget": goal.limit.text, "budget_ms": goal.budget_ms} for goal in goals],
    }


def _verification_journal(ctx: Context, profile: Profile) -> Path:
    key = content_id([profile.id, ctx.replay.id if ctx.replay else None])
    return ctx.store.root / "stages" / f"verify-{key}" / "journal.jsonl"


def run_id(ctx: Context, recipes: Mapping[str, Recipe]) -> str:
    """Names a run by what it was asked: configuration, recipes, devices, data, space, version and replay."""
    asked = [
        ctx.config,
        recipes,
        ctx.workspace.devices,
        ctx.dataset.id,
        ctx.space.id,
        __version__,
        ctx.replay.id if ctx.replay else None,
    ]
    return content_id(plain(asked))[:12]


def _finish(
    ctx: Context, recipes: Mapping[str, Recipe], benches: Mapping[Target, Bench], outcomes: Sequence[Outcome], begin: float
) -> Result:
    name = run_id(ctx, recipes)
    folder = ctx.store.root / name
    rows = [release(ctx, outcome, benches[target_of(outcome.goal.recipe)], folder) for outcome in outcomes]
    journals = [path for bench in benches.values() for path in (bench.profile.journal, bench.journal.path) if path and path.is_file()]
    write_atomic(folder / "journal.jsonl", b"".join(path.read_bytes() for path in journals))
    for bench in benches.values():
        for path in bench.profile.paths.values():
            _copy_table(path, folder / "tables" / bench.profile.target.device)
    timings = (bench.journal.path for bench in benches.values() if bench.journal.path.is_file())
    sources = (*(path for bench in benches.values() for path in bench.profile.paths.values()), *timings)
    result = Result(name, folder, time.monotonic() - begin, tuple(rows), sources)
    write_atomic(folder / "result.json", json.dumps(result.document(), indent=1, sort_keys=True) + "\n")
    return result


def _copy_table(path: Path, to: Path) -> None:
    to.mkdir(parents=True, exist_ok=True)
    for source in path.parent.glob(f"{path.stem}.*"):
        shutil.copyfile(source, to / source.name)
