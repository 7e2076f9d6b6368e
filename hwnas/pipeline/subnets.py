"""One subnet as a person names it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from hwnas.core.arch import Architecture, SearchSpace
from hwnas.core.errors import ConfigError, UnknownNameError
from hwnas.core.serial import read_json
from hwnas.space.family import family_of

MIN_PREFIX = 4


def find_architecture(space: SearchSpace, runs: Path, text: str) -> Architecture:
    """``smallest``, ``largest``, JSON of choices, or an id (a prefix of at least four digits) that a run or search below ``runs`` found."""
    extremes = dict(zip(("smallest", "largest"), family_of(space).extremes(space), strict=True))
    if text in extremes:
        return extremes[text]
    if text.lstrip().startswith("{"):
        return _from_json(space, text)
    known = {arch.id: arch for arch in _found(space, runs)}
    matches = [arch for name, arch in known.items() if name.startswith(text)] if len(text) >= MIN_PREFIX else []
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise UnknownNameError(f"'{text}' begins the ids of {len(matches)} subnets; give more digits")
    raise UnknownNameError(
        f"no subnet '{text}' of space '{space.name}' was found by a run or search here; give its id, 'largest', or JSON of its choices"
    )


def _from_json(space: SearchSpace, text: str) -> Architecture:
    try:
        values = json.loads(text)
    except ValueError as problem:
        raise ConfigError(f"{text[:40]!r}: not JSON of choices: {problem}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{text[:40]!r}: not JSON of choices: an object is needed")
    arch = space.parse(values)
    unsaid = [name for name in space.values(arch.indices) if name not in values and len(space.choices[space.index(name)].options) > 1]
    if unsaid:
        raise ConfigError(f"choice '{unsaid[0]}' is not said ({len(unsaid)} are missing); each that counts is needed")
    return arch


def _found(space: SearchSpace, runs: Path) -> Sequence[Architecture]:
    found = []
    for path in sorted(runs.glob("search/front-*.json")):
        front = read_json(path)
        if front.get("space") == space.id:
            found += [space.architecture(point["codes"]) for point in front["points"]]
    for path in sorted(runs.glob("*/artifacts/*/*/manifest.json")):
        manifest = read_json(path)
        if manifest.get("space", {}).get("id") == space.id:
            found.append(space.parse(manifest["architecture"]))
    return found
