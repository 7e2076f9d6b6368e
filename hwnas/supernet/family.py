"""What a family of supernets is, and the registry of families (keyed by the name of the space family that they train)."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor, nn

from hwnas.core.arch import Architecture, Block, SearchSpace
from hwnas.core.registry import Registry


class Supernet(nn.Module):
    """A network that computes any architecture of ``space``; which one is an argument, never a state."""

    space: SearchSpace

    def forward(self, x: Tensor, arch: Architecture) -> Tensor:
        """``x: (N, C, R, R) float32 -> (N, classes)`` logits of ``arch``. In training mode batch norm uses the batch's statistics."""
        raise NotImplementedError


class SupernetFamily(Protocol):
    """Builds supernets of one family and takes plain modules out of them."""

    def build(self, space: SearchSpace, *, seed: int) -> Supernet:
        """A freshly initialised supernet of ``space``; the same seed gives the same weights."""
        ...

    def static(self, space: SearchSpace, arch: Architecture, *, seed: int) -> nn.Module:
        """``arch`` as a freshly initialised plain module, to be trained alone."""
        ...

    def extract(self, supernet: Supernet, arch: Architecture) -> nn.Module:
        """``arch`` as a plain module in evaluation mode with copies of the supernet's weights and no trace of elasticity.

        Its batch norms count no batches (``num_batches_tracked == 0``) until they are recalibrated (`hwnas.supernet.calibrate`).
        """
        ...

    def part_names(self, space: SearchSpace, arch: Architecture) -> tuple[str, ...]:
        """A name for each of the parts that ``arch`` runs one after the other: as many as it has blocks (`blocks_of`).

        Subnets whose names begin alike have the same weights up to there.
        """
        ...

    def parts(self, module: nn.Module) -> tuple[nn.Module, ...]:
        """The parts of a plain module that this family made, in the order of `part_names`."""
        ...

    def block_module(self, block: Block) -> nn.Module:
        """A plain module in evaluation mode that computes ``block``, for profiling; its weights are random but always the same."""
        ...


SUPERNETS: Registry[SupernetFamily] = Registry("supernet family")


def supernet_family(space: SearchSpace) -> SupernetFamily:
    """The family that trains ``space``; a space family without supernets raises `UnknownNameError`."""
    return SUPERNETS.get(space.family)
