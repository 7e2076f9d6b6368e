"""What every stage of a run needs: the workspace, its data and space, where results are kept, and how progress is shown."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from hwnas.config import Config
from hwnas.core.arch import SearchSpace
from hwnas.data import Dataset, load_dataset
from hwnas.pipeline.recording import Recording
from hwnas.pipeline.reporter import Reporter, Silent
from hwnas.profiler.together import Together
from hwnas.space.family import SpaceOptions, find_space
from hwnas.store.stages import Store
from hwnas.workspace import Workspace


@dataclass(frozen=True)
class Context:
    """One run of one workspace. ``replay`` takes the device's place where it is given; ``together`` is what its sessions share."""

    workspace: Workspace
    reporter: Reporter = field(default_factory=Silent)
    replay: Recording | None = None
    together: Together = field(default_factory=Together)

    @property
    def config(self) -> Config:
        """``hwnas.toml``."""
        return self.workspace.config

    @property
    def store(self) -> Store:
        """``runs/``."""
        return self.workspace.store

    @cached_property
    def dataset(self) -> Dataset:
        """The images, split into parts."""
        with self.reporter.stage("read images", 1):
            data = self.config.data
            return load_dataset(data.source, root=self.workspace.root, seed=data.seed, cache=self.store.images, limits=data.limits)

    @cached_property
    def space(self) -> SearchSpace:
        """The search space, fitted to the data's channels and classes."""
        return find_space(self.config.space.preset, self.space_options)

    @property
    def space_options(self) -> SpaceOptions:
        """What the workspace and its data set on the preset."""
        return SpaceOptions(self.dataset.channels, self.dataset.n_classes, self.config.space.resolutions)
