"""Zero-cost proxies: scores of untrained networks that go with the accuracy of trained ones; for ranking where nothing was trained yet.

Scores have no unit and mean nothing beside those of another proxy. How far to trust them: Abdelfattah et al. 2021 (arXiv 2101.08134) find
the number of parameters hard to beat. A proxy is one function and one ``register`` line.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hwnas.core.errors import DataError
from hwnas.core.registry import Registry

Score = Callable[[nn.Module, Tensor, Tensor], float]


@dataclass(frozen=True, slots=True)
class Proxy:
    """``score`` of a plain network that it may change, a batch ``(n, C, R, R) float64`` and labels ``(n,)``; larger is better.

    ``source`` is the paper.
    """

    summary: str
    source: str
    score: Score


PROXIES: Registry[Proxy] = Registry("proxy")
_ACTIVATIONS = (nn.ReLU, nn.ReLU6, nn.Hardswish)
_LAYERS = (nn.Conv2d, nn.Linear)


def score(name: str, module: nn.Module, images: Tensor, labels: Tensor) -> float:
    """The proxy ``name`` of ``module``, which is left as it is; in double precision. Fewer than two images raise `DataError`."""
    if len(images) < 2 or len(images) != len(labels):
        raise DataError(f"a proxy needs at least 2 images with a label each, not {len(images)} and {len(labels)}")
    copy = deepcopy(module).double().train()
    return PROXIES.get(name).score(copy, images.double(), labels)


def _parameters(module: nn.Module, images: Tensor, labels: Tensor) -> float:  # noqa: ARG001 (Score's names)
    return float(sum(p.numel() for p in module.parameters()))


def _flops(module: nn.Module, images: Tensor, labels: Tensor) -> float:  # noqa: ARG001
    """Multiplications and additions of convolutions and linear layers for one image."""
    found: list[float] = []

    def count(layer: nn.Module, output: Tensor) -> None:
        weight = layer.get_parameter("weight")
        found.append(2.0 * weight[0].numel() * output[0].numel())

    with torch.no_grad(), _watching(module, _LAYERS, lambda layer, _, output: count(layer, output)):
        module(images[:2])
    return sum(found)


def _grad_norm(module: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Sum over layers of the norm of the gradient of their weights."""
    _backward(module, images, labels)
    return float(sum(gradient.norm() for _, gradient in _weights(module)))


def _snip(module: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Sum over weights of how much the loss would change without them, to first order."""
    _backward(module, images, labels)
    return float(sum((weight * gradient).abs().sum() for weight, gradient in _weights(module)))


def _synflow(module: nn.Module, images: Tensor, labels: Tensor) -> float:  # noqa: ARG001
    """Logarithm of the sum over weights of the product with their gradient, where all weights are positive and the image is all ones.

    Batch norm does nothing here: it has its initial statistics.
    """
    module.eval()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.abs_()
    torch.autograd.backward(module(torch.ones_like(images[:1])).sum())
    total = float(sum((weight * gradient).abs().sum() for weight, gradient in _weights(module)))
    return math.log(total)


def _naswot(module: nn.Module, images: Tensor, labels: Tensor) -> float:  # noqa: ARG001
    """Logarithm of the determinant of how many activations each two images have on the same side of zero."""
    n = len(images)
    kernel = torch.zeros((n, n), dtype=torch.float64)

    def compare(inputs: Tensor) -> None:
        on = (inputs.detach() > 0).double().flatten(1)
        kernel.add_(on @ on.T + (1 - on) @ (1 - on).T)

    with torch.no_grad(), _watching(module, _ACTIVATIONS, lambda _, inputs, __: compare(inputs[0])):
        module(images)
    # two images that no activation tells apart make it singular
    return float(torch.linalg.slogdet(kernel + 1e-6 * torch.eye(n, dtype=torch.float64)).logabsdet)


def _jacob_cov(module: nn.Module, images: Tensor, labels: Tensor) -> float:  # noqa: ARG001
    """How little the gradients of the output by each image correlate: from the eigenvalues of their correlations."""
    inputs = images.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(module(inputs).sum(), inputs)
    eigenvalues = torch.linalg.eigvalsh(torch.corrcoef(gradient.flatten(1))).clamp_min(0) + 1e-5
    return float(-(eigenvalues.log() + 1 / eigenvalues).sum())


def _backward(module: nn.Module, images: Tensor, labels: Tensor) -> None:
    torch.autograd.backward(F.cross_entropy(module(images), labels))


def _weights(module: nn.Module) -> Iterator[tuple[Tensor, Tensor]]:
    """Weights of the layers with their gradients."""
    for each in module.modules():
        if isinstance(each, _LAYERS) and each.weight.grad is not None:
            yield each.weight.detach(), each.weight.grad


@contextmanager
def _watching(
    module: nn.Module, kinds: tuple[type[nn.Module], ...], seen: Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]
) -> Iterator[None]:
    """Inside, ``seen`` is told of every call of a layer of these kinds."""
    hooks = [each.register_forward_hook(seen) for each in module.modules() if isinstance(each, kinds)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


for _name, _proxy in {
    "params": Proxy("number of parameters", "the baseline of Abdelfattah et al. 2021, arXiv 2101.08134", _parameters),
    "flops": Proxy("operations an image", "the baseline of Abdelfattah et al. 2021, arXiv 2101.08134", _flops),
    "grad-norm": Proxy("norm of the gradient", "Abdelfattah et al. 2021, arXiv 2101.08134", _grad_norm),
    "snip": Proxy("what the loss loses with each weight", "Lee et al. 2019, arXiv 1810.02340", _snip),
    "synflow": Proxy("flow through all weights, without data", "Tanaka et al. 2020, arXiv 2006.05467", _synflow),
    "naswot": Proxy("how well activations tell images apart", "Mellor et al. 2021, arXiv 2006.04647", _naswot),
    "jacob-cov": Proxy("how little input gradients correlate", "Mellor et al. 2021, arXiv 2006.04647 (version 1)", _jacob_cov),
}.items():
    PROXIES.register(_name, _proxy)
