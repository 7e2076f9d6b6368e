"""Checkpoints of a training run and weights of a supernet: safetensors files whose header says, in JSON, what they are of.

Files are written whole or not at all and hold a hash of their tensors. Of a run the two latest are kept, so that a good one is left where a
full disk or a bad sector tore the last.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from hwnas.core.errors import CheckpointError
from hwnas.core.serial import canonical_json, plain, write_atomic

FORMAT = 1
KEPT = 2
_NAME = re.compile(r"epoch(\d{5})-step(\d{7})\.safetensors")


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """The next step of a training run to compute; both count from 0."""

    epoch: int
    step: int


class Checkpoints:
    """The checkpoints of one training run in a folder; ``identity`` is all that decides its result (space, data, recipe, seed)."""

    def __init__(self, folder: Path, identity: Mapping[str, Any]) -> None:
        self.folder = folder
        self.identity = plain(identity)

    def save(
        self, position: Position, net: nn.Module, optimiser: torch.optim.Optimizer, *, others: Mapping[str, nn.Module] | None = None
    ) -> None:
        """Write the state before ``position``, also of ``others`` by name, and remove all but the latest files."""
        nets = {"net": net, **(others or {})}
        tensors = {f"{kind}.{name}": value for kind, each in nets.items() for name, value in each.state_dict().items()}
        for index, values in optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{index}.{name}": value for name, value in values.items() if isinstance(value, Tensor)}
        meta = {"kind": "training", "identity": self.identity, "epoch": position.epoch, "step": position.step}
        _write(self.folder / f"epoch{position.epoch:05}-step{position.step:07}.safetensors", tensors, meta)
        for old in self.files()[KEPT:]:
            old.unlink(missing_ok=True)

    def load(self, net: nn.Module, optimiser: torch.optim.Optimizer, *, others: Mapping[str, nn.Module] | None = None) -> Position:
        """Bring all of them to the latest good checkpoint and say where to go on; the first step where there is none.

        A torn file is passed over. One of another run (space, data, recipe or seed) raises `CheckpointError`.
        """
        for path in self.files():
            try:
                tensors, meta = _read(path, kind="training")
            except CheckpointError:
                continue
            if meta["identity"] != self.identity:
                raise CheckpointError(f"{path}: a checkpoint of another training run (space, data, recipe or seed); remove its folder")
            for kind, each in {"net": net, **(others or {})}.items():
                _fill(each, _part(tensors, f"{kind}."), where=path)
            state: dict[int, dict[str, Tensor]] = {}
            for name, value in _part(tensors, "optimiser.").items():
                index, _, field = name.partition(".")
                state.setdefault(int(index), {})[field] = value
            optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
            return Position(meta["epoch"], meta["step"])
        return Position(0, 0)

    def files(self) -> list[Path]:
        """The checkpoint files, the latest first."""
        found = [path for path in self.folder.glob("*.safetensors") if _NAME.fullmatch(path.name)]
        return sorted(found, reverse=True)


def write_weights(path: Path, net: nn.Module, identity: Mapping[str, Any]) -> None:
    """Write the weights of ``net``; ``identity`` says what they are of and is compared when they are read."""
    _write(path, dict(net.state_dict()), {"kind": "weights", "identity": plain(identity)})


def read_weights(path: Path, net: nn.Module, identity: Mapping[str, Any]) -> None:
    """Load what `write_weights` wrote into ``net``; a torn file, or one of another identity or shape, raises `CheckpointError`."""
    tensors, meta = _read(path, kind="weights")
    if meta["identity"] != plain(identity):
        raise CheckpointError(f"{path}: weights of something else: {canonical_json(meta['identity'])[:200]}; train again")
    _fill(net, tensors, where=path)


def read_weights_of(path: Path, net: nn.Module, *, space: str) -> None:
    """The same, whatever else they are of: weights of another space than ``space`` (its id) raise `CheckpointError`."""
    tensors, meta = _read(path, kind="weights")
    found = meta["identity"].get("space") if isinstance(meta.get("identity"), dict) else None
    if found != space:
        raise CheckpointError(f"{path}: weights of space {found}, not of {space}, the one of this workspace and its data")
    _fill(net, tensors, where=path)


def _write(path: Path, tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> None:
    flat = {name: value.detach().contiguous() for name, value in tensors.items()}
    header = canonical_json({**meta, "format": FORMAT, "sha256": _digest(flat)})
    write_atomic(path, save_tensors(flat, metadata={"hwnas": header}))


def _read(path: Path, *, kind: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    try:
        raw = path.read_bytes()
        tensors = load_tensors(raw)
        size = int.from_bytes(raw[:8], "little")
        meta = json.loads(json.loads(raw[8 : 8 + size])["__metadata__"]["hwnas"])
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as problem:
        raise CheckpointError(f"{path}: not readable as weights of hwnas: {' '.join(str(problem).split())}") from None
    if meta.get("format") != FORMAT or meta.get("kind") != kind:
        raise CheckpointError(f"{path}: not a file of {kind} in format {FORMAT}, but of {meta.get('kind')} in format {meta.get('format')}")
    if meta.get("sha256") != _digest(tensors):
        raise CheckpointError(f"{path}: its tensors do not match their hash; the file is damaged")
    return tensors, meta


def _digest(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _fill(net: nn.Module, tensors: Mapping[str, Tensor], *, where: Path) -> None:
    wanted = net.state_dict()
    wrong = sorted(wanted.keys() ^ tensors.keys()) or sorted(n for n in wanted if wanted[n].shape != tensors[n].shape)
    if wrong:
        raise CheckpointError(f"{where}: {len(wrong)} tensors are missing, unknown or of another shape, first {', '.join(wrong[:3])}")
    broken = sorted(name for name, value in tensors.items() if value.is_floating_point() and not torch.isfinite(value).all())
    if broken:
        raise CheckpointError(
            f"{where}: {len(broken)} tensors are not finite (NaN or infinity), first {', '.join(broken[:3])}; train again"
        )
    net.load_state_dict(dict(tensors))
