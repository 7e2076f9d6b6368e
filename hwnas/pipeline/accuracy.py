"""Stages: train the supernet once (or take one that was imported), evaluate some of its subnets, fit the accuracy predictor.

Every evaluation is journalled and never repeated.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from torch import nn

import hwnas.supernet.mobilenet_v3  # noqa: F401  (registers its supernets)
from hwnas.core.arch import Architecture, Codes
from hwnas.core.artifacts import load_predictor
from hwnas.core.errors import UsageError
from hwnas.core.serial import content_id, plain
from hwnas.data import Preprocessing
from hwnas.pipeline.context import Context
from hwnas.pipeline.given import given
from hwnas.pipeline.imported import WEIGHTS, imported
from hwnas.pipeline.notes import PROGRESS, Notes
from hwnas.pipeline.reporter import Advance
from hwnas.pipeline.searching import ACCURACY, publish_space
from hwnas.pipeline.selection import informative, spread
from hwnas.recipe import Weights
from hwnas.space.family import family_of
from hwnas.store.journal import Journal
from hwnas.store.stages import Stage
from hwnas.supernet.accuracy import Score, Subnets
from hwnas.supernet.checkpoint import Checkpoints, read_weights, write_weights
from hwnas.supernet.curriculum import curriculum_of
from hwnas.supernet.family import Supernet, supernet_family
from hwnas.supernet.predictor import FittedAccuracy, fit_scores, new_accuracy, save_accuracy
from hwnas.supernet.train import Progress, train

TRAIN_CODE = ("hwnas.supernet.train", "hwnas.supernet.mobilenet_v3", "hwnas.supernet.checkpoint")
EVALUATE_CODE = ("hwnas.supernet.accuracy",)
FIT_CODE = ("hwnas.supernet.predictor",)


@dataclass(frozen=True)
class Trained:
    """The trained supernet of a workspace; what is asked of its subnets is answered once and kept.

    ``stage`` holds the weights, ``identity`` is what they are of, and ``key`` names what decides a recalibrated subnet.
    """

    ctx: Context
    stage: Stage
    identity: Mapping[str, object]
    key: str
    evaluations: Journal
    known: dict[str, Score] = field(default_factory=dict)

    @classmethod
    def load(cls, ctx: Context, weights: Weights | None = None) -> Trained:
        """Train, go on with an interrupted training, or reuse a finished one; or take ``weights`` that are given."""
        stage, identity, key = _supernet(ctx, weights)
        inputs = [key, ctx.config.accuracy.recalibration_images, ctx.config.train.threads]
        folder = ctx.store.stage("evaluate", inputs, code=EVALUATE_CODE, glue=__name__).folder
        journal = Journal(folder / "evaluations.jsonl")
        try:
            known = {str(r["arch"]): Score(float(r["accuracy_val"]), float(r["loss_val"])) for r in journal.records}
        except (KeyError, TypeError, ValueError):
            raise UsageError(f"{journal.path}: holds an evaluation of another shape; it was edited: delete the file") from None
        return cls(ctx, stage, identity, key, journal, known)

    @property
    def id(self) -> str:
        """What decides the weights of every exported subnet."""
        return f"{self.key}-{self.ctx.config.accuracy.recalibration_images}"

    @property
    def checkpoint(self) -> Path:
        """The file of the supernet's weights."""
        return self.stage.folder / WEIGHTS

    @cached_property
    def _subnets(self) -> Subnets:
        supernet = supernet_family(self.ctx.space).build(self.ctx.space, seed=self.ctx.config.seed)
        read_weights(self.checkpoint, supernet, self.identity)
        config = self.ctx.config
        return Subnets(
            supernet, self.ctx.dataset, recalibration_images=config.accuracy.recalibration_images, torch_threads=config.train.threads
        )

    def module(self, arch: Architecture) -> nn.Module:
        """``arch`` as a plain module, recalibrated."""
        return self._subnets.subnet(arch)

    def accuracy(self, arch: Architecture) -> float:
        """Top-1 of a subnet on the validation part, as a share."""
        return self.score(arch).accuracy

    def score(self, arch: Architecture) -> Score:
        """How a subnet does on the validation part."""
        self.evaluate([arch])
        return self.known[arch.id]

    def evaluate(self, archs: Iterable[Architecture], advance: Advance | None = None) -> None:
        """Evaluate those of ``archs`` that were not yet, together: what they have in common is computed once."""
        missing = {arch.id: arch for arch in archs if arch.id not in self.known}
        for done, (arch, score) in enumerate(self._subnets.scores(missing.values(), part="val") if missing else ()):
            record = {"arch": arch.id, "codes": arch.indices, "accuracy_val": score.accuracy, "loss_val": score.loss}
            self.evaluations.append(record)
            self.known[arch.id] = score
            if advance:
                advance(done + 1, arch.id)

    def preprocessing(self, arch: Architecture) -> Preprocessing:
        """What turns an image into this subnet's input."""
        return self.ctx.dataset.preprocessing(family_of(self.ctx.space).resolution(self.ctx.space, arch))


def accuracy_model(ctx: Context, trained: Trained, *, predictor: str | None = None, subnets: int | None = None) -> FittedAccuracy:
    """The accuracy predictor, fitted on evaluated subnets and stored where ``hwnas search`` finds it.

    It is fitted to what their losses say of their accuracies, too (`fit_scores`).
    ``predictor`` and ``subnets`` are as ``hwnas.toml`` says unless given.
    """
    archs = [ctx.space.architecture(row) for row in subnets_to_evaluate(ctx, subnets)]
    missing = sum(arch.id not in trained.known for arch in archs)
    if missing:
        with ctx.reporter.stage("evaluate subnets", missing) as advance:
            trained.evaluate(archs, advance)
    else:
        ctx.reporter.reused("evaluate subnets")
    codes = np.concatenate([arch.codes for arch in archs])
    scores = [trained.score(arch) for arch in archs]
    model = _fitted(ctx, predictor or ctx.config.accuracy.predictor, codes, scores)
    publish_space(ctx.store, ctx.space, ctx.space_options)
    save_accuracy(ctx.store.predictors / ACCURACY, model)
    return model


def _fitted(ctx: Context, kind: str, codes: Codes, scores: Sequence[Score]) -> FittedAccuracy:
    """The predictor ``kind`` of what is known, fitted once: recipes and later runs ask for the same one."""
    accuracies, losses = np.array([score.accuracy for score in scores]), np.array([score.loss for score in scores])
    seed, images = ctx.config.seed, ctx.dataset.part("val").n
    inputs = [ctx.space.id, kind, seed, codes.tolist(), accuracies.tolist(), losses.tolist(), images]
    stage = ctx.store.stage("fit", inputs, code=FIT_CODE, glue=__name__)
    path, new = stage.folder / ACCURACY, new_accuracy(kind, ctx.space, seed=seed)
    if not stage.done:
        save_accuracy(path, fit_scores(new, codes, accuracies, losses, images=images))
        stage.finish(path.name, path.with_suffix(".npz").name)
    return type(new).of(load_predictor(path), ctx.space)


def subnets_to_evaluate(ctx: Context, wanted: int | None = None) -> Codes:
    """Those that the accuracy predictor is fitted to; as many as ``hwnas.toml`` says unless given."""
    chosen = {"spread": spread, "informative": informative}[ctx.config.accuracy.selection]
    return chosen(ctx.space, ctx.config.accuracy.subnets if wanted is None else wanted, seed=ctx.config.seed)


def _identity(ctx: Context) -> dict[str, object]:
    return {"space": ctx.space.id, "data": ctx.dataset.id, "recipe": plain(ctx.config.train), "seed": ctx.config.seed}


def _supernet(ctx: Context, weights: Weights | None) -> tuple[Stage, Mapping[str, object], str]:
    """Where the weights are, what they are of, and what decides, with them, a recalibrated subnet."""
    if weights is not None:
        stage, identity = given(ctx, weights)
        return stage, identity, content_id([stage.key, ctx.dataset.id])
    found = imported(ctx)
    if found is not None:
        stage, source = found
        return stage, source.identity, content_id([stage.key, ctx.dataset.id])
    stage = ctx.store.stage("train", _identity(ctx), code=TRAIN_CODE, glue=__name__)
    if stage.done:
        ctx.reporter.reused(f"train {ctx.space.name}")
    else:
        _train(ctx, stage)
    return stage, _identity(ctx), stage.key


def _train(ctx: Context, stage: Stage) -> None:
    supernet: Supernet = supernet_family(ctx.space).build(ctx.space, seed=ctx.config.seed)
    checkpoints = Checkpoints(stage.folder / "checkpoints", _identity(ctx))
    config = ctx.config.train
    curriculum = curriculum_of(ctx.space, config, seed=ctx.config.seed)
    with ctx.reporter.stage(f"train {ctx.space.name}", 100) as advance:
        note = Notes(stage.folder / PROGRESS)

        def progress(at: Progress) -> None:
            advance(100 * at.share, f"epoch {at.epoch + 1}/{at.epochs}, loss {at.loss:.3f}")
            note({"epoch": at.share * at.epochs, "epochs": at.epochs, "loss": at.loss})

        train(supernet, curriculum, ctx.dataset, config, seed=ctx.config.seed, checkpoints=checkpoints, progress=progress)
    write_weights(stage.folder / WEIGHTS, supernet, _identity(ctx))
    stage.finish(WEIGHTS)
    for path in checkpoints.files():
        path.unlink(missing_ok=True)
