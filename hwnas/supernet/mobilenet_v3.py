"""The MobileNetV3 supernet: Once-for-All's elastic kernel, expand ratio and depth (Cai et al. 2020, arXiv 1908.09791), any resolution.

Depth ``d`` runs the first ``d`` blocks of a stage. Registered as ``mobilenet_v3``.
"""

from __future__ import annotations

from functools import lru_cache
from typing import cast

import torch
from torch import Tensor, nn

from hwnas.core.arch import Architecture, Block, SearchSpace
from hwnas.core.errors import ConfigError
from hwnas.space.mobilenet_v3 import DEPTHS, EXPANDS, KERNELS, BlockSpec, block_spec, first_spec, plan_of
from hwnas.supernet.elastic import ElasticConv, ElasticConvBnAct, ElasticDepthwise, ElasticInvertedResidual
from hwnas.supernet.family import SUPERNETS, Supernet
from hwnas.supernet.static import ConvBnAct, Head, InvertedResidual, Network


@lru_cache(maxsize=4096)
def specs_of(space: SearchSpace, arch: Architecture) -> tuple[BlockSpec, ...]:
    """The inverted residuals of ``arch`` in chain order (without the static first one); an architecture of another space is refused."""
    if arch.space_id != space.id:
        raise ConfigError(f"architecture {arch.id} is not of space '{space.name}' as it is configured here")
    values = space.values(arch.indices)
    plan = plan_of(space)
    return tuple(
        block_spec(plan, s, b, int(values[f"s{s}.b{b}.kernel"]), int(values[f"s{s}.b{b}.expand"]))
        for s in range(len(plan.stages))
        for b in range(int(values[f"s{s}.depth"]))
    )


class MobileNetV3Supernet(Supernet):
    """All architectures of a MobileNetV3 space in one set of weights."""

    def __init__(self, space: SearchSpace) -> None:
        super().__init__()
        plan = plan_of(space)
        self.space = space
        self.stem = ElasticConvBnAct(plan.channels, plan.stem, kernel=3, stride=plan.stem_stride, act="hswish")
        self.first = ElasticInvertedResidual(first_spec(plan), kernels=(3,)) if plan.first_block else None
        self.stages = nn.ModuleList(
            nn.ModuleList(
                ElasticInvertedResidual(block_spec(plan, s, b, max(KERNELS), max(EXPANDS)), kernels=KERNELS) for b in range(max(DEPTHS))
            )
            for s in range(len(plan.stages))
        )
        self.final_expand = ElasticConvBnAct(plan.stages[-1].width, plan.final_expand, act="hswish")
        self.head = Head(plan.final_expand, plan.feature_mix, plan.classes)

    def forward(self, x: Tensor, arch: Architecture) -> Tensor:
        """``x: (N, C, R, R) float32 -> (N, classes)``; ``R`` is the caller's: the resolution choice of ``arch`` changes no weight."""
        plan = plan_of(self.space)
        x = self.stem(x, plan.stem)
        if self.first is not None:
            x = self.first(x, first_spec(plan))
        for spec in specs_of(self.space, arch):
            x = self.block(spec)(x, spec)
        return self.head(self.final_expand(x, plan.final_expand))  # type: ignore[no-any-return]

    def block(self, spec: BlockSpec) -> ElasticInvertedResidual:
        """The elastic block that computes ``spec``."""
        stage = cast("nn.ModuleList", self.stages[spec.stage])
        return cast("ElasticInvertedResidual", stage[spec.position])


class MobileNetV3Family:
    """Builds and takes apart MobileNetV3 supernets."""

    def build(self, space: SearchSpace, *, seed: int) -> Supernet:
        """A freshly initialised supernet."""
        with torch.random.fork_rng(devices=[]):  # torch's own initialisation must not move the caller's generator
            net = MobileNetV3Supernet(space)
        initialise(net, seed=seed)
        return net

    def static(self, space: SearchSpace, arch: Architecture, *, seed: int) -> nn.Module:
        """``arch`` as a freshly initialised plain `Network`."""
        net = _network(space, specs_of(space, arch))
        initialise(net, seed=seed)
        return net

    def extract(self, supernet: Supernet, arch: Architecture) -> nn.Module:
        """``arch`` as a plain `Network` in evaluation mode with copies of the supernet's weights; not recalibrated."""
        if not isinstance(supernet, MobileNetV3Supernet):
            raise ConfigError(f"a {type(supernet).__name__} is not a MobileNetV3 supernet")
        specs = specs_of(supernet.space, arch)
        net = _network(supernet.space, specs).to(next(supernet.parameters()).dtype)
        sources = ([] if supernet.first is None else [supernet.first]) + [supernet.block(spec) for spec in specs]
        supernet.stem.fill(net.stem)
        for source, target in zip(sources, net.blocks, strict=True):
            source.fill(cast("InvertedResidual", target))
        supernet.final_expand.fill(net.final_expand)
        net.head.load_state_dict(supernet.head.state_dict())
        return net.eval()

    def part_names(self, space: SearchSpace, arch: Architecture) -> tuple[str, ...]:
        """Stem, inverted residuals by stage, position, kernel and middle width, final expansion, head."""
        front = ["first"] if plan_of(space).first_block else []
        body = [f"s{spec.stage}.b{spec.position}-k{spec.kernel}-mid{spec.mid}" for spec in specs_of(space, arch)]
        return ("stem", *front, *body, "final_expand", "head")

    def parts(self, module: nn.Module) -> tuple[nn.Module, ...]:
        """The parts of a plain `Network`."""
        if not isinstance(module, Network):
            raise ConfigError(f"a {type(module).__name__} is not a network of the MobileNetV3 family")
        return (module.stem, *module.blocks, module.final_expand, module.head)

    def block_module(self, block: Block) -> nn.Module:
        """A plain module that computes ``block``; its batch norms count one batch, as if they were recalibrated."""
        with torch.random.fork_rng(devices=[]):
            module = _module(block)
        initialise(module, seed=0)
        for each in module.modules():
            if isinstance(each, nn.BatchNorm2d) and each.num_batches_tracked is not None:
                each.num_batches_tracked.fill_(1)
        return module.eval()


def initialise(module: nn.Module, *, seed: int) -> None:
    """Kaiming's normal initialisation by fan out (He et al. 2015, arXiv 1502.01852) of every convolution; classifier normal, std 0.01."""
    generator = torch.Generator().manual_seed(seed)
    for each in module.modules():
        if isinstance(each, (ElasticConv, nn.Conv2d)):
            fan_out = each.weight.shape[0] * each.weight.shape[2] * each.weight.shape[3]
            groups = each.groups if isinstance(each, nn.Conv2d) else 1
            _normal(each.weight, (2 * groups / fan_out) ** 0.5, generator)
            if each.bias is not None:
                nn.init.zeros_(each.bias)
        elif isinstance(each, ElasticDepthwise):
            _normal(each.weight, (2 / each.weight.shape[-1] ** 2) ** 0.5, generator)
        elif isinstance(each, nn.Linear):
            _normal(each.weight, 0.01, generator)
            nn.init.zeros_(each.bias)


def _network(space: SearchSpace, specs: tuple[BlockSpec, ...]) -> Network:
    with torch.random.fork_rng(devices=[]):
        return Network(plan_of(space), specs)


def _normal(weight: Tensor, std: float, generator: torch.Generator) -> None:
    with torch.no_grad():
        weight.normal_(0.0, std, generator=generator)


def _module(block: Block) -> nn.Module:
    width = block.in_shape[0]
    params = dict(block.params)

    def number(name: str) -> int:
        return int(params[name])

    if block.op == "stem":
        return ConvBnAct(width, number("out"), kernel=number("k"), stride=number("s"), act=str(params["act"]))
    if block.op == "final_expand":
        return ConvBnAct(width, number("out"), act=str(params["act"]))
    if block.op == "head":
        return Head(width, number("mix"), number("classes"))
    if block.op == "mbconv":
        return InvertedResidual(_spec(block))
    raise ConfigError(f"block '{block.key}': the MobileNetV3 family has no operation '{block.op}'")


def _spec(block: Block) -> BlockSpec:
    """The inverse of `hwnas.space.mobilenet_v3.mbconv`; stage and position, which no block has, are -1."""
    params = dict(block.params)
    spec = BlockSpec(
        stage=-1,
        position=-1,
        in_width=block.in_shape[0],
        out_width=int(params["out"]),
        mid=int(params["mid"]),
        kernel=int(params["k"]),
        stride=int(params["s"]),
        act=str(params["act"]),
        se="se" in params,
    )
    if spec.residual != ("res" in params):
        raise ConfigError(f"block '{block.key}': a residual needs stride 1 and equal widths, and is always there where they are")
    return spec


SUPERNETS.register("mobilenet_v3", MobileNetV3Family())
