"""Official Once-for-All checkpoints of MobileNetV3 (Cai et al. 2020, arXiv 1908.09791), read without running anything that is in them.

A file is a state dict, or holds one as ``state_dict``; only what ``torch.load(weights_only=True)`` admits is read. Its keys say
``blocks.N.mobile_inverted_conv.`` or ``blocks.N.conv.``, and name a layer within a layer of its own kind once or twice (``bn.bn.``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError  # only its name: torch raises it for what it refuses to load
from typing import Any

import torch
from torch import Tensor

from hwnas.core.errors import CheckpointError, ConfigError
from hwnas.space.family import SpaceOptions, family_of
from hwnas.space.mobilenet_v3 import DEPTHS, plan_of
from hwnas.supernet.family import Supernet, supernet_family
from hwnas.supernet.mobilenet_v3 import MobileNetV3Supernet

SHOWN = 3
_LAYERS = (
    ("stem.", "first_conv."),
    ("first.", "blocks.0."),
    ("final_expand.", "final_expand_layer."),
    ("head.mix.", "feature_mix_layer.conv."),
    ("head.classifier.", "classifier.linear."),
    (".expand.conv.", ".inverted_bottleneck.conv."),
    (".expand.bn.", ".inverted_bottleneck.bn."),
    (".depthwise.conv.transforms.5", ".depth_conv.conv.7to5_matrix"),
    (".depthwise.conv.transforms.3", ".depth_conv.conv.5to3_matrix"),
    (".depthwise.", ".depth_conv."),
    (".se.", ".depth_conv.se.fc."),
    (".project.", ".point_linear."),
)


def read_ofa(path: Path, supernet: Supernet) -> None:
    """Load the official checkpoint at ``path`` into ``supernet``.

    Raises `CheckpointError` where the file is unreadable, holds more than weights, lacks or adds keys, is of another space, or holds a
    weight that is no finite number; `ConfigError` where the supernet's space is none of Once-for-All's. The supernet is then as it was.
    """
    if not isinstance(supernet, MobileNetV3Supernet) or supernet.first is None or len(supernet.stages) != 5:
        raise ConfigError(f"space '{supernet.space.name}' is none of Once-for-All's; set space.preset to ofa-w1.0 or ofa-w1.2")
    given = _normalised(_loaded(path), where=path)
    wanted = {official_name(name): (name, value) for name, value in supernet.state_dict().items()}
    _same_names(given, wanted, where=path)
    wrong = [key for key in wanted if given[key].shape != wanted[key][1].shape]
    if wrong:
        raise CheckpointError(f"{path}: {_other_space(supernet, given, wanted, wrong)}")
    broken = [key for key, value in given.items() if not torch.isfinite(value).all()]
    if broken:
        raise CheckpointError(f"{path}: {_listed('tensor', broken)} not finite (NaN or infinity); the file is damaged: get it again")
    supernet.load_state_dict({name: given[key].to(value.dtype) for key, (name, value) in wanted.items()})


def official_name(name: str) -> str:
    """The name in an official checkpoint of the supernet's tensor ``name``, in its shortest spelling."""
    block = re.match(r"stages\.(\d+)\.(\d+)(?=\.)", name)
    if block:
        name = f"blocks.{1 + max(DEPTHS) * int(block[1]) + int(block[2])}{name[block.end() :]}"
    for own, official in _LAYERS:
        name = name.replace(own, official, 1) if own.startswith(".") or name.startswith(own) else name
    return name


def _loaded(path: Path) -> Mapping[str, Tensor]:
    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as problem:
        raise CheckpointError(f"{path}: cannot be read: {problem.strerror or problem}") from None
    except UnpicklingError:
        raise CheckpointError(f"{path}: holds more than weights (pickled objects, which could run code), and is not loaded") from None
    except (RuntimeError, EOFError, ValueError, KeyError, TypeError, IndexError, AttributeError) as problem:
        raise CheckpointError(f"{path}: not a checkpoint that torch can read: {' '.join(str(problem).split())[:120]}") from None
    state = content.get("state_dict", content) if isinstance(content, Mapping) else content
    if not isinstance(state, Mapping) or not state:
        raise CheckpointError(f"{path}: not a state dict (names and tensors), nor does it hold one as 'state_dict'")
    odd = [str(key) for key, value in state.items() if not (isinstance(key, str) and _plain(value))]
    if odd:
        raise CheckpointError(f"{path}: {_listed('entry', odd)} no plain tensor; it is not a state dict of Once-for-All")
    return state


def _plain(value: object) -> bool:
    return isinstance(value, Tensor) and value.layout == torch.strided and not value.is_quantized and value.device.type == "cpu"


def _normalised(state: Mapping[str, Tensor], *, where: Path) -> dict[str, Tensor]:
    """The floating-point tensors under their names in the shortest spelling; counters of batches say nothing about a subnet."""
    found: dict[str, Tensor] = {}
    for key, value in state.items():
        if key.endswith("num_batches_tracked"):
            continue
        name = re.sub(r"^(blocks\.\d+)\.(mobile_inverted_conv|conv)\.", r"\1.", key)
        name = re.sub(r"\b(bn|linear)\.\1\.", r"\1.", name)
        name = re.sub(r"\bconv\.conv\.weight$", "conv.weight", name)
        if name in found:
            raise CheckpointError(f"{where}: holds '{name}' in two spellings, one of them '{key}'; keep one")
        found[name] = value
    return found


def _same_names(given: Mapping[str, Tensor], wanted: Mapping[str, Any], *, where: Path) -> None:
    problems = [
        f"{_listed('key', keys)} {word}"
        for keys, word in ((sorted(wanted.keys() - given), "missing"), (sorted(given.keys() - wanted), "unknown"))
        if keys
    ]
    if problems:
        raise CheckpointError(f"{where}: {'; '.join(problems)}; it is not a checkpoint of OFAMobileNetV3 (d234, e346, k357)")


def _other_space(
    supernet: MobileNetV3Supernet, given: Mapping[str, Tensor], wanted: Mapping[str, tuple[str, Tensor]], wrong: list[str]
) -> str:
    """What to say of a file whose shapes are not those of the supernet: which space it is of, where that is known."""
    own = supernet.space
    classes, channels = len(given["classifier.linear.bias"].reshape(-1)), _length(given["first_conv.conv.weight"], 1)
    for preset in family_of(own).presets():
        options = SpaceOptions(channels or 1, max(classes, 2))
        space = family_of(own).space(preset.name, options)
        other = supernet_family(space).build(space, seed=0)
        if {official_name(n): v.shape for n, v in other.state_dict().items()} == {key: value.shape for key, value in given.items()}:
            plan = plan_of(own)
            return (
                f"is of space '{space.name}' with {channels} channels and {classes} classes, not of '{own.name}' with {plan.channels} and "
                f"{plan.classes}; set space.preset, or take the data set that it was trained on"
            )
    first = wrong[0]
    shapes = f"{tuple(given[first].shape)}, not {tuple(wanted[first][1].shape)} as in space '{own.name}'"
    return f"{_listed('tensor', wrong)} of another shape ({first} is {shapes})"


def _length(value: Tensor, dim: int) -> int:
    return value.shape[dim] if value.ndim > dim else 0


def _listed(what: str, names: list[str]) -> str:
    """``3 keys are``: how many there are, and the first of them by name."""
    many = f"{what[:-1]}ies" if what.endswith("y") and what != "key" else f"{what}s"
    named = ", ".join(names[:SHOWN]) + (", …" if len(names) > SHOWN else "")
    return f"{len(names)} {what if len(names) == 1 else many} ({named}) {'is' if len(names) == 1 else 'are'}"
