"""YAML of plain values: no objects, no key twice. PyYAML is an extra, and imported when a YAML file is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hwnas.core.errors import TableError


def load(path: Path, text: str) -> Any:
    """The one document of ``text``; anything else, and what is torn, raises `TableError` in one line."""
    try:
        import yaml
    except ImportError:
        raise TableError(f"{path}: YAML needs PyYAML; pip install 'hwnas[yaml]'") from None
    try:
        _require_once(path, yaml.compose(text, Loader=yaml.SafeLoader))
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as problem:
        mark = getattr(problem, "problem_mark", None)
        line = "" if mark is None else f":{mark.line + 1}"
        said = getattr(problem, "problem", None) or type(problem).__name__
        raise TableError(f"{path}{line}: torn, or not YAML of plain values: {' '.join(str(said).split())}") from None


def _require_once(path: Path, root: Any) -> None:
    """No mapping has a key twice: the loader would let the last one win."""
    import yaml

    waiting, known = [root], set()
    while waiting:
        node = waiting.pop()
        if id(node) in known:  # an alias may lead back
            continue
        known.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting += node.value
        elif isinstance(node, yaml.MappingNode):
            keys = set()
            for key, value in node.value:
                if isinstance(key, yaml.ScalarNode) and key.value in keys:
                    raise TableError(f"{path}:{key.start_mark.line + 1}: '{key.value}' is there twice; leave one of them out")
                keys.add(key.value if isinstance(key, yaml.ScalarNode) else id(key))
                waiting.append(value)
