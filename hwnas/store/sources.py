"""A digest of the source of everything that a module imports from this project: a stage is done again when its own code changes.

Imports are read from the syntax tree, so nothing is imported (torch may be absent) and only what a stage can reach counts.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
from functools import lru_cache
from pathlib import Path

PACKAGES = ("hwnas", "hwnas_agent")


def source_digest(*modules: str, alone: tuple[str, ...] = ()) -> str:
    """16 hexadecimal digits over the sources of ``modules`` and of all they import from this project, transitively.

    Of the modules in ``alone`` only their own source counts: glue that imports everything would make everything depend on everything.
    """
    seen: set[str] = set()
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name in seen or _path(name) is None:
            continue
        seen.add(name)
        waiting.extend(_imports(name))
    digest = hashlib.sha256()
    for name in sorted(seen | set(alone)):
        path = _path(name)
        if path is not None:
            digest.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def package_digest() -> str:
    """16 hexadecimal digits over every source file of the project: quicker than to find out which of them matter."""
    digest = hashlib.sha256()
    for folder in (start.parent for start in map(_path, PACKAGES) if start is not None):
        for path in sorted(folder.rglob("*.py")):
            digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


@lru_cache(maxsize=1024)
def _path(name: str) -> Path | None:
    """Source file of a module; None for what is not a module of this project. Parents are found without running them."""
    first, *rest = name.split(".")
    if first not in PACKAGES:
        return None
    spec = importlib.util.find_spec(first)
    if spec is None or not spec.submodule_search_locations:
        return None
    at = Path(next(iter(spec.submodule_search_locations))).joinpath(*rest)
    for candidate in (at.with_suffix(".py"), at / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


@lru_cache(maxsize=1024)
def _imports(name: str) -> tuple[str, ...]:
    path = _path(name)
    if path is None:
        return ()
    found: list[str] = [name.rpartition(".")[0]]
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return tuple(n for n in found if n.split(".")[0] in PACKAGES)
