"""The agent runs on a device that has Python and a runtime, and nothing else: its imports show it."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

AGENT = Path(__file__).parents[2] / "devices" / "agent" / "hwnas_agent"
# What a device's runtime brings with it; imported only inside functions, so that the agent can say what is missing.
ON_DEVICE = {"numpy", "onnxruntime", "ai_edge_litert", "tflite_runtime"}
ALWAYS = set(sys.stdlib_module_names) | {"hwnas_agent"}


def imported(nodes: list[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").split(".")[0] if node.level == 0 else "hwnas_agent"


def at_import(tree: ast.AST) -> list[ast.AST]:
    """Nodes that run when the module is imported: all but the bodies of functions."""
    found: list[ast.AST] = []
    for child in ast.iter_child_nodes(tree):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            found += [child, *at_import(child)]
    return found


def test_the_agent_is_there() -> None:
    assert {"wire.py", "__main__.py"} <= {path.name for path in AGENT.glob("*.py")}


@pytest.mark.parametrize("path", sorted(AGENT.rglob("*.py")), ids=lambda path: path.name)
def test_importing_needs_the_standard_library_alone(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 8))
    assert set(imported(at_import(tree))) - ALWAYS == set()
    assert set(imported(list(ast.walk(tree)))) - ALWAYS - ON_DEVICE == set()
