"""``hwnas ci``: every recipe through the whole pipeline, held to its accepted figures, as a folder that a release is made of.

What came of a recipe is remembered until something changes. The devices of the others are profiled all at once; then recipes are taken one
by one, since each training, evaluation or conversion takes all cores of this machine, which may be one of the devices. One that fails does
not hide what came of the others. The folder is written beside its final place and takes it at the end: who reads it never finds half of it.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from hwnas import __version__
from hwnas.core.errors import BudgetMissed, ConfigError, DeviceError, HwnasError, Interrupted, RegressionError
from hwnas.core.serial import sha256_file
from hwnas.pipeline.card import model_card
from hwnas.pipeline.context import Context
from hwnas.pipeline.goals import target_of
from hwnas.pipeline.remembered import Rows, recalled, remember
from hwnas.recipe import Recipe
from hwnas.report.baseline import Allowed, Baseline, accepted, compare, path_of, read_baseline, write_baseline
from hwnas.report.case import OK, UNMEASURED, Case, exit_code_of
from hwnas.report.junit import junit
from hwnas.report.sarif import sarif
from hwnas.report.summary import markdown, perf_yaml

SUMS = "SHA256SUMS"
SCRIPTS = {"onnx": ("run_onnx.py", "picture.py"), "tflite": ("run_tflite.py", "picture.py")}
"""What runs a file of a format without hwnas."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A case a budget, in the order of the recipes, and the folder with what may ship."""

    cases: tuple[Case, ...]
    folder: Path

    @property
    def exit_code(self) -> int:
        """The highest of all cases."""
        return exit_code_of(self.cases)


def ci(ctx: Context, out: Path, *, accept: bool = False) -> Verdict:
    """Run every recipe and write ``out``; with ``accept`` today's figures become the baselines. The caller holds the store's lock.

    An ``out`` that holds anything but an earlier verdict raises `ConfigError`, before any work.
    """
    if out.exists() and not (out.is_dir() and (not any(out.iterdir()) or (out / SUMS).is_file())):
        raise ConfigError(f"{out}: is no folder of an earlier 'hwnas ci', which it would replace; give --out another one")
    recipes = ctx.workspace.recipes
    if not recipes:
        raise ConfigError(f"{ctx.workspace.root / 'export' / 'recipes'}: no recipes; write one, or start with 'hwnas init'")
    before = {name: read_baseline(path_of(ctx.workspace.root, name)) for name in recipes}
    known = {name: recalled(ctx, name, recipe) for name, recipe in recipes.items()}
    failed = _profiled(ctx, {name: recipe for name, recipe in recipes.items() if known[name] is None})
    cases: list[Case] = []
    for name, recipe in recipes.items():
        cases += failed.get(name) or _recipe(ctx, name, recipe, known[name], None if accept else before[name])
    if accept:
        _accept(ctx, cases)
    _write(ctx, cases, out)
    return Verdict(tuple(cases), out)


def _profiled(ctx: Context, recipes: Mapping[str, Recipe]) -> dict[str, list[Case]]:
    """Measure what tables are missing, all devices at once; a case for each recipe that is left without."""
    if not recipes:
        return {}
    from hwnas.pipeline.fleet import not_profiled

    errors = not_profiled(ctx, map(target_of, recipes.values()))
    stopped = next((error for error in errors.values() if isinstance(error, Interrupted)), None)
    if stopped is not None:
        raise stopped
    return {name: [_failed(name, errors[target_of(recipe)], 0.0)] for name, recipe in recipes.items() if target_of(recipe) in errors}


def _recipe(ctx: Context, name: str, recipe: Recipe, known: Rows | None, before: Baseline | None) -> list[Case]:
    begin = time.monotonic()
    try:
        rows = _rows(ctx, name, recipe) if known is None else known
    except Interrupted:
        raise
    except HwnasError as problem:
        return [_failed(name, problem, time.monotonic() - begin)]
    seconds = (time.monotonic() - begin) / len(rows)
    return [_case(ctx, name, recipe, row, before, seconds) for row in rows]


def _rows(ctx: Context, name: str, recipe: Recipe) -> Rows:
    # it imports torch, which takes longer than all of a build where nothing changed
    from hwnas.pipeline.run import run

    result = run(ctx, {name: recipe}, away_will_do=True)
    artifacts = (path for path in (result.folder / "artifacts").rglob("*") if path.is_file())
    remember(ctx, name, recipe, result.rows, [*result.sources, *artifacts])
    return result.rows


def _failed(name: str, problem: HwnasError, seconds: float) -> Case:
    return Case(name, "", type(problem).__name__, problem.exit_code, " ".join(str(problem).split()), seconds)


def _case(ctx: Context, name: str, recipe: Recipe, row: Mapping[str, Any], before: Baseline | None, seconds: float) -> Case:
    kind, code, message, notes = _judged(ctx, recipe, row, before)
    return Case(name, row["budget"], kind, code, message, seconds, row, tuple(notes))


def _judged(ctx: Context, recipe: Recipe, row: Mapping[str, Any], before: Baseline | None) -> tuple[str, int, str, list[str]]:
    """Kind, exit code, message and notes of one row."""
    notes = list(_notes(ctx, recipe, row, before))
    if row["verdict"] not in (OK, UNMEASURED):
        low, high = row["measured_ci_ms"]
        message = (
            f"measured {row['measured_ms']:.4f} ms ({low:.4f} to {high:.4f}), budget {row['budget_ms']:.4f}, predicted "
            f"{row['predicted_ms']:.4f} (at most {row['predicted_hi_ms']:.4f}), after {row['tried']} candidates"
        )
        return row["verdict"], BudgetMissed.exit_code, message, notes
    worse = _regressions(ctx, recipe, row, before)
    if worse:
        return "regression", RegressionError.exit_code, "; ".join(worse), notes
    if row["verdict"] == UNMEASURED:
        predicted = f"{row['predicted_ms']:.4f} ms (at most {row['predicted_hi_ms']:.4f}), budget {row['budget_ms']:.4f}"
        return UNMEASURED, 0 if recipe.allow_unmeasured else DeviceError.exit_code, f"{row['unmeasured']}: {predicted}", notes
    return OK, 0, "", notes


def _regressions(ctx: Context, recipe: Recipe, row: Mapping[str, Any], before: Baseline | None) -> tuple[str, ...]:
    known = None if before is None else before.targets.get(row["budget"])
    if before is None or known is None:
        return ()
    limits = recipe.baseline
    allowed = Allowed(limits.max_accuracy_drop, limits.max_latency_growth, limits.max_size_growth)
    images = min(before.test_images, ctx.dataset.part("test").n)
    return compare(row, known, allowed, images=images, same_data=before.dataset == ctx.dataset.id)


def _notes(ctx: Context, recipe: Recipe, row: Mapping[str, Any], before: Baseline | None) -> Sequence[str]:
    notes = []
    if before is None:
        notes.append("no baseline: held to its budget alone; 'hwnas ci --accept' makes one")
    elif row["budget"] not in before.targets:
        notes.append("not in the baseline: held to its budget alone")
    elif before.dataset != ctx.dataset.id:
        notes.append("the baseline is of other data: accuracies are not compared")
    if row["verdict"] == UNMEASURED and recipe.allow_unmeasured:
        notes.append(f"NOT MEASURED, as the recipe allows: {row['unmeasured']}")
    if row["anchored_error"] is not None:
        notes.append(f"timed on a busy device; brought to the quiet state with an error of up to {100 * row['anchored_error']:.1f} %")
    if row["int8"] and not row["int8"]["ships"]:
        notes.append(f"8-bit file left out: {'; '.join(row['int8']['reasons'])}")
    return notes


def _accept(ctx: Context, cases: Sequence[Case]) -> None:
    """Recipes with a problem, or with a budget that was not measured, keep the baseline that they have."""
    for recipe in dict.fromkeys(case.recipe for case in cases):
        own = [case for case in cases if case.recipe == recipe]
        if all(case.kind == OK for case in own):
            targets = {case.budget: accepted(case.row) for case in own if case.row is not None}
            baseline = Baseline(recipe, ctx.dataset.id, ctx.dataset.part("test").n, targets)
            write_baseline(baseline, path_of(ctx.workspace.root, recipe))


def _write(ctx: Context, cases: Sequence[Case], out: Path) -> None:
    part = out.with_name(f"{out.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    for case in cases:
        if case.ok and case.row is not None:
            _artifact(ctx, case, case.row, part)
    documents = {
        "junit.xml": junit(cases),
        "summary.md": markdown(cases),
        "findings.sarif": sarif(cases, version=__version__),
        "perf.yaml": perf_yaml(cases),
    }
    for name, text in documents.items():
        (part / name).write_text(text, encoding="utf-8")
    names = sorted(path.relative_to(part).as_posix() for path in part.rglob("*") if path.is_file())
    (part / SUMS).write_text("".join(f"{sha256_file(part / name)}  {name}\n" for name in names), encoding="utf-8")
    shutil.rmtree(out, ignore_errors=True)
    part.replace(out)


def _artifact(ctx: Context, case: Case, row: Mapping[str, Any], part: Path) -> None:
    """The folder of one budget: what the run released, a card, and a script that runs it without hwnas."""
    source = ctx.workspace.root / row["artifact"]
    folder = part / case.recipe / source.parent.name
    shutil.copytree(source.parent, folder)
    (folder / "MODEL_CARD.md").write_text(model_card(ctx, case.recipe, row), encoding="utf-8")
    for name in SCRIPTS.get(source.suffix[1:], ()):
        with as_file(files("hwnas") / "assets" / "standalone" / name) as script:
            shutil.copyfile(script, folder / name)
