"""The MobileNetV3 family: inverted residuals with elastic kernel, expand ratio, depth and resolution.

Blocks after Howard et al. 2019 (arXiv 1905.02244), the elastic space after Cai et al. 2020, Once-for-All (arXiv 1908.09791): kernel 3/5/7
and expand 3/4/6 in every block, depth 2/3/4 in every stage. ``ofa-w1.0`` and ``ofa-w1.2`` are the published spaces.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from hwnas.core.arch import Architecture, Block, Choice, Codes, Condition, SearchSpace, constants_of, with_constants
from hwnas.core.errors import ConfigError
from hwnas.core.registry import Registry
from hwnas.space.family import FAMILIES, Group, Preset, SpaceOptions
from hwnas.space.slots import Slot, Slots

KERNELS = (3, 5, 7)
EXPANDS = (3, 4, 6)
DEPTHS = (2, 3, 4)


def make_divisible(value: float, divisor: int = 8) -> int:
    """``value`` rounded to a multiple of ``divisor``, never more than 10 % down (Howard et al. 2019)."""
    rounded = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * value else rounded


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage: output channels, stride of its first block, activation, squeeze-and-excitation."""

    width: int
    stride: int
    act: str
    se: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything of a MobileNetV3 space that is not a choice. ``first_block``: a static kernel-3 expand-1 block follows the stem."""

    channels: int
    classes: int
    stem: int
    stem_stride: int
    first_block: bool
    stages: tuple[Stage, ...]
    final_expand: int
    feature_mix: int


@dataclass(frozen=True, slots=True)
class _Recipe:
    summary: str
    plan: Plan
    resolutions: tuple[int, ...]


def _ofa(multiplier: float) -> Plan:
    def wide(channels: int) -> int:
        return make_divisible(channels * multiplier)

    shape = ((24, 2, "relu", False), (40, 2, "relu", True), (80, 2, "hswish", False), (112, 1, "hswish", True), (160, 2, "hswish", True))
    stages = tuple(Stage(wide(width), stride, act, se) for width, stride, act, se in shape)
    return Plan(3, 1000, wide(16), 2, True, stages, wide(960), wide(1280))


_TINY = Plan(
    channels=1,
    classes=10,
    stem=8,
    stem_stride=2,
    first_block=False,
    stages=(Stage(16, 2, "relu", False), Stage(32, 2, "hswish", True)),
    final_expand=128,
    feature_mix=192,
)

_PRESETS: Registry[_Recipe] = Registry("space")
_PRESETS.register("ofa-w1.0", _Recipe("Once-for-All MobileNetV3, width 1.0 (ImageNet)", _ofa(1.0), tuple(range(128, 225, 4))))
_PRESETS.register("ofa-w1.2", _Recipe("Once-for-All MobileNetV3, width 1.2 (ImageNet)", _ofa(1.2), tuple(range(128, 225, 4))))
_PRESETS.register("tiny-32", _Recipe("two stages for images of up to 32 px: the demo", _TINY, (16, 20, 24, 28, 32)))


@lru_cache(maxsize=64)
def plan_of(space: SearchSpace) -> Plan:
    """The plan of a space of this family."""
    values = constants_of(space)
    return Plan(**{**values, "stages": tuple(Stage(**stage) for stage in values["stages"])})


class MobileNetV3:
    """The family; registered as ``mobilenet_v3``."""

    name = "mobilenet_v3"

    def presets(self) -> Sequence[Preset]:
        """The published spaces and the demo's."""
        return [Preset(name, _PRESETS.get(name).summary) for name in _PRESETS.names()]

    def space(self, name: str, options: SpaceOptions = SpaceOptions()) -> SearchSpace:  # noqa: B008 (frozen)
        """The preset ``name`` for data of the given channels and classes, at all or some of its resolutions."""
        recipe = _PRESETS.get(name)
        unknown = set(options.resolutions) - set(recipe.resolutions)
        if unknown:
            raise ConfigError(f"space '{name}' has no resolution {min(unknown)}; it has {', '.join(map(str, recipe.resolutions))}")
        plan = recipe.plan
        values = {f: getattr(plan, f) for f in Plan.__slots__}
        values["channels"] = plan.channels if options.channels is None else options.channels
        values["classes"] = plan.classes if options.classes is None else options.classes
        if values["channels"] < 1 or values["classes"] < 2:
            raise ConfigError(f"space '{name}' needs at least 1 channel and 2 classes")
        sizes = tuple(sorted(options.resolutions or recipe.resolutions))
        return SearchSpace(
            family=self.name,
            name=name,
            input_shape=(values["channels"], sizes[-1], sizes[-1]),
            choices=tuple(_choices(sizes, len(plan.stages))),
            constants=with_constants(**values),
        )

    def resolution(self, space: SearchSpace, arch: Architecture) -> int:
        """Input height and width in pixels."""
        return int(space.choices[0].options[arch.indices[0]])

    def describe(self, space: SearchSpace, arch: Architecture) -> str:
        """Resolution, and for every stage its blocks as kernel x expand: ``32 px, 3x4 7x6, 5x3 3x3``."""
        values = space.values(arch.indices)
        stages = [
            " ".join(f"{values[f's{s}.b{b}.kernel']}x{values[f's{s}.b{b}.expand']}" for b in range(int(values[f"s{s}.depth"])))
            for s in range(len(plan_of(space).stages))
        ]
        return f"{values['resolution']} px, {', '.join(stages)}"

    def extremes(self, space: SearchSpace) -> tuple[Architecture, Architecture]:
        """All choices at their first option, and all at their last: options ascend."""
        return space.architecture([0] * len(space.choices)), space.architecture([int(n) - 1 for n in space.n_options])

    def vocabulary(self, space: SearchSpace) -> tuple[Block, ...]:
        """Every distinct block, sorted by key."""
        return _Tables.of(space).words

    def block_ids(self, space: SearchSpace, codes: Codes) -> NDArray[np.int32]:
        """``(n, n_choices) int16 -> (n, max_blocks) int32``: stem, blocks stage by stage, final expand, head; -1 is no block."""
        return _Tables.of(space).slots.lookup(codes)

    def groups(self, space: SearchSpace) -> tuple[Group, ...]:
        """One group a stage: its depth and its blocks' kernels and expands. The resolution is the whole network's."""
        width = 1 + 2 * DEPTHS[-1]
        return tuple(Group(f"s{s}", tuple(range(1 + s * width, 1 + (s + 1) * width))) for s in range(len(plan_of(space).stages)))


def _choices(sizes: tuple[int, ...], stages: int) -> list[Choice]:
    choices = [Choice("resolution", sizes)]
    for s in range(stages):
        choices.append(Choice(f"s{s}.depth", DEPTHS))
        for b in range(DEPTHS[-1]):
            deep = tuple(d for d in DEPTHS if d > b)
            condition = None if len(deep) == len(DEPTHS) else Condition(f"s{s}.depth", deep)
            choices.append(Choice(f"s{s}.b{b}.kernel", KERNELS, condition))
            choices.append(Choice(f"s{s}.b{b}.expand", EXPANDS, condition))
    return choices


@dataclass(frozen=True, slots=True)
class BlockSpec:
    """One inverted residual as the network builders need it; ``mid`` counts channels after expansion."""

    stage: int
    position: int
    in_width: int
    out_width: int
    mid: int
    kernel: int
    stride: int
    act: str
    se: bool

    @property
    def residual(self) -> bool:
        """Whether input and output are added."""
        return self.stride == 1 and self.in_width == self.out_width


def block_spec(plan: Plan, stage: int, position: int, kernel: int, expand: int) -> BlockSpec:
    """The inverted residual at ``position`` of ``stage`` with the given choices."""
    own = plan.stages[stage]
    before = plan.stages[stage - 1].width if stage else plan.stem
    source = own.width if position else before
    return BlockSpec(
        stage=stage,
        position=position,
        in_width=source,
        out_width=own.width,
        mid=make_divisible(round(source * expand)),
        kernel=kernel,
        stride=1 if position else own.stride,
        act=own.act,
        se=own.se,
    )


def first_spec(plan: Plan) -> BlockSpec:
    """The static block after the stem: kernel 3, expand 1, ReLU."""
    return BlockSpec(-1, 0, plan.stem, plan.stem, plan.stem, 3, 1, "relu", False)


def mbconv(spec: BlockSpec, size: int) -> Block:
    """An inverted residual on ``size`` x ``size`` as a block to measure."""
    params: list[tuple[str, int | str]] = [
        ("out", spec.out_width),
        ("k", spec.kernel),
        ("mid", spec.mid),
        ("s", spec.stride),
        ("act", spec.act),
    ]
    params += [("se", "se")] if spec.se else []
    params += [("res", "res")] if spec.residual else []
    return Block("mbconv", (spec.in_width, size, size), tuple(params))


def halved(size: int, stride: int) -> int:
    """Output size of a convolution with padding k // 2."""
    return (size - 1) // stride + 1


class _Tables:
    """Vocabulary and position lookups of one space, computed once."""

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        plan = plan_of(space)
        found: dict[str, Block] = {}

        def note(block: Block) -> str:
            found[block.key] = block
            return block.key

        sizes = [int(o) for o in space.choices[0].options]
        stages = range(len(plan.stages))
        keys = np.empty((len(sizes), len(plan.stages), DEPTHS[-1], len(KERNELS), len(EXPANDS)), dtype=object)
        heads, tails = [], []
        for r, resolution in enumerate(sizes):
            size = halved(resolution, plan.stem_stride)
            stem = Block(
                "stem", (plan.channels, resolution, resolution), (("out", plan.stem), ("k", 3), ("s", plan.stem_stride), ("act", "hswish"))
            )
            front = [note(stem)] + ([note(mbconv(first_spec(plan), size))] if plan.first_block else [])
            for s in stages:
                for b in range(DEPTHS[-1]):
                    for k, kernel in enumerate(KERNELS):
                        for e, expand in enumerate(EXPANDS):
                            keys[r, s, b, k, e] = note(mbconv(block_spec(plan, s, b, kernel, expand), size))
                    size = halved(size, plan.stages[s].stride) if b == 0 else size
            last = plan.stages[-1].width
            expand_block = Block("final_expand", (last, size, size), (("out", plan.final_expand), ("act", "hswish")))
            head = Block("head", (plan.final_expand, size, size), (("mix", plan.feature_mix), ("classes", plan.classes)))
            heads.append(front)
            tails.append([note(expand_block), note(head)])
        self.words = tuple(found[key] for key in sorted(found))
        position = {block.key: i for i, block in enumerate(self.words)}
        ids = np.vectorize(position.__getitem__, otypes=[np.int32])
        body = [_slot(ids(keys[:, s, b]), s, b) for s in stages for b in range(DEPTHS[-1])]
        first = [Slot((0,), column) for column in ids(np.array(heads, dtype=object)).T]
        back = [Slot((0,), column) for column in ids(np.array(tails, dtype=object)).T]
        self.slots = Slots([*first, *body, *back], len(space.choices))

    @staticmethod
    def of(space: SearchSpace) -> _Tables:
        return _tables(space)


def _slot(ids: NDArray[np.int32], stage: int, block: int) -> Slot:
    """One block of a stage, ``ids (resolutions, kernels, expands)``: there where the stage is deep enough."""
    first = 1 + stage * (1 + 2 * DEPTHS[-1])
    active = np.array([depth > block for depth in DEPTHS])[None, :, None, None]
    return Slot((0, first, first + 1 + 2 * block, first + 2 + 2 * block), np.where(active, ids[:, None], np.int32(-1)))


@lru_cache(maxsize=64)
def _tables(space: SearchSpace) -> _Tables:
    return _Tables(space)


FAMILIES.register("mobilenet_v3", MobileNetV3())
