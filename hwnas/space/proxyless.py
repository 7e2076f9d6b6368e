"""The ProxylessNAS family: inverted residuals of kernel 3/5/7 and expand 3/6, left out at will where input and output are alike.

Cai et al. 2019, ProxylessNAS (arXiv 1812.00332): ReLU6, no squeeze-and-excitation, one resolution. Leaving out a block of a stage gives the
network that its other blocks make up in their order, so a depth says all that skipping does, and says it once. The last stage is one block.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from hwnas.core.arch import Architecture, Block, Codes, SearchSpace, constants_of, with_constants
from hwnas.core.registry import require_known
from hwnas.space.chain import Chain, Elastic, Parts
from hwnas.space.family import FAMILIES, Group, Preset, SpaceOptions
from hwnas.space.mobilenet_v3 import BlockSpec, Stage, halved, mbconv, stage_sizes

NAME = "proxyless"
RESOLUTION = 224
DEPTHS = ((1, 2, 3, 4),) * 5 + ((1,),)
ELASTIC = Elastic((3, 5, 7), (3, 6), DEPTHS)
ACT = "relu6"


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything of the space that is not a choice; ``first`` is the width of the static kernel-3 expand-1 block after the stem."""

    channels: int
    classes: int
    stem: int
    first: int
    stages: tuple[Stage, ...]
    final_expand: int


_SHAPE = ((24, 2), (40, 2), (80, 2), (96, 1), (192, 2), (320, 1))
_PLAN = Plan(3, 1000, 32, 16, tuple(Stage(width, stride, ACT, False) for width, stride in _SHAPE), 1280)


@lru_cache(maxsize=64)
def plan_of(space: SearchSpace) -> Plan:
    """The plan of a space of this family."""
    values = constants_of(space)
    return Plan(**{**values, "stages": tuple(Stage(**stage) for stage in values["stages"])})


class Proxyless:
    """The family; registered as ``proxyless``."""

    name = NAME

    def presets(self) -> Sequence[Preset]:
        """The published space."""
        return [Preset(NAME, "ProxylessNAS, width 1.0, 224 px (ImageNet)")]

    def space(self, name: str, options: SpaceOptions = SpaceOptions()) -> SearchSpace:  # noqa: B008 (frozen)
        """The published space for data of the given channels and classes."""
        require_known("space", name, (NAME,))
        own = options.applied(name, channels=_PLAN.channels, classes=_PLAN.classes, resolutions=(RESOLUTION,))
        values = {f: getattr(_PLAN, f) for f in Plan.__slots__} | {"channels": own.channels, "classes": own.classes}
        return SearchSpace(
            family=self.name,
            name=name,
            input_shape=(values["channels"], RESOLUTION, RESOLUTION),
            choices=ELASTIC.choices((RESOLUTION,)),
            constants=with_constants(**values),
        )

    def resolution(self, space: SearchSpace, arch: Architecture) -> int:
        """Input height and width in pixels."""
        return int(space.choices[0].options[arch.indices[0]])

    def describe(self, space: SearchSpace, arch: Architecture) -> str:
        """Resolution, and for every stage its blocks as kernel x expand: ``224 px, 3x3 5x6, …``."""
        return ELASTIC.describe(space, arch)

    def extremes(self, space: SearchSpace) -> tuple[Architecture, Architecture]:
        """All choices at their first option, and all at their last: options ascend."""
        return space.architecture([0] * len(space.choices)), space.architecture([int(n) - 1 for n in space.n_options])

    def vocabulary(self, space: SearchSpace) -> tuple[Block, ...]:
        """Every distinct block, sorted by key."""
        return _chain(space).words

    def block_ids(self, space: SearchSpace, codes: Codes) -> NDArray[np.int32]:
        """``(n, n_choices) int16 -> (n, max_blocks) int32``: stem, first block, stage by stage, final expand, head; -1 is no block."""
        return _chain(space).lookup(codes)

    def groups(self, space: SearchSpace) -> tuple[Group, ...]:  # noqa: ARG002 (all its spaces choose alike)
        """One group a stage."""
        return ELASTIC.groups()


@lru_cache(maxsize=64)
def _chain(space: SearchSpace) -> Chain:
    plan = plan_of(space)

    def parts(resolution: int) -> Parts:
        size = halved(resolution, 2)
        sizes = stage_sizes(plan.stages, size)
        stem = Block("stem", (plan.channels, resolution, resolution), (("out", plan.stem), ("k", 3), ("s", 2), ("act", ACT)))
        first = BlockSpec(-1, 0, plan.stem, plan.first, plan.stem, 3, 1, ACT, False)
        expand = Block("final_expand", (plan.stages[-1].width, sizes[-1], sizes[-1]), (("out", plan.final_expand), ("act", ACT)))
        head = Block("head", (plan.final_expand, sizes[-1], sizes[-1]), (("classes", plan.classes),))
        return Parts(
            front=(stem, mbconv(first, size)),
            body=lambda s, b, kernel, ratio: mbconv(_spec(plan, s, b, kernel, ratio), sizes[s + 1] if b else sizes[s]),
            back=(expand, head),
        )

    return Chain(space, ELASTIC, parts)


def _spec(plan: Plan, stage: int, position: int, kernel: int, expand: int) -> BlockSpec:
    own = plan.stages[stage]
    before = plan.stages[stage - 1].width if stage else plan.first
    source = own.width if position else before
    return BlockSpec(stage, position, source, own.width, source * expand, kernel, 1 if position else own.stride, ACT, False)


FAMILIES.register(NAME, Proxyless())
