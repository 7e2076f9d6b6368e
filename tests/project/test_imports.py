"""What may be imported where, read from the source: nothing that is not declared, and at import nothing that may not be installed."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HOST = ROOT / "hwnas"
AGENT = ROOT / "devices" / "agent" / "hwnas_agent"
STANDARD = set(sys.stdlib_module_names) | {"__future__"}
OWN = {"hwnas", "hwnas_agent"}
CORE = {"numpy", "pydantic", "rich", "typer"}
EXTRAS = {"torch", "sklearn", "safetensors", "PIL", "onnx", "onnxruntime", "ai_edge_litert", "ai_edge_quantizer", "flatbuffers"}
EXTRAS |= {"paramiko", "cryptography", "adbutils", "yaml", "matplotlib", "pymoo", "jinja2", "markupsafe", "vl_convert"}
# Packages whose modules need an extra as a whole, and are imported only by those who have it.
HEAVY = ("supernet", "export", "pipeline")
# What a device's runtime brings with it; imported only inside functions, so that the agent can say what is missing.
ON_DEVICE = {"numpy", "onnxruntime", "ai_edge_litert", "tflite_runtime"}


def parse(path: Path, feature_version: tuple[int, int] | None = None) -> ast.AST:
    return ast.parse(path.read_text(encoding="utf-8"), feature_version=feature_version)


def imported(nodes: Iterable[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield (node.module or "").split(".")[0]


def at_import(tree: ast.AST) -> Iterator[ast.AST]:
    """Nodes that run when the module is imported: all but the bodies of functions and what is for the type checker alone."""
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.If) and isinstance(child.test, ast.Name) and child.test.id == "TYPE_CHECKING":
            continue
        yield child
        yield from at_import(child)


def sources(folder: Path) -> list[Path]:
    """What is part of the package; files that are copied beside models run without it."""
    return sorted(path for path in folder.rglob("*.py") if "assets" not in path.relative_to(folder).parts)


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", sources(HOST), ids=name_of)
def test_host_imports_only_what_is_declared(path: Path) -> None:
    assert set(imported(ast.walk(parse(path)))) - STANDARD - OWN - CORE - EXTRAS == set()


@pytest.mark.parametrize("path", [p for p in sources(HOST) if p.relative_to(HOST).parts[0] not in HEAVY], ids=name_of)
def test_importing_the_light_packages_needs_the_core_alone(path: Path) -> None:
    assert set(imported(at_import(parse(path)))) - STANDARD - OWN - CORE == set()


@pytest.mark.parametrize("path", sources(AGENT), ids=name_of)
def test_importing_the_agent_needs_the_standard_library_alone(path: Path) -> None:
    tree = parse(path, feature_version=(3, 8))
    assert set(imported(at_import(tree))) - STANDARD - {"hwnas_agent"} == set()
    assert set(imported(ast.walk(tree))) - STANDARD - {"hwnas_agent"} - ON_DEVICE == set()


def test_the_reader_tells_imports_apart() -> None:
    tree = ast.parse("import a.b\nif TYPE_CHECKING:\n    import c\nclass K:\n    from d.e import f\ndef g():\n    import h\n")
    assert set(imported(at_import(tree))) == {"a", "d"}
    assert set(imported(ast.walk(tree))) == {"a", "c", "d", "h"}


def test_there_is_something_to_read() -> None:
    assert len(sources(HOST)) > 20
    assert {"wire.py", "__main__.py"} <= {path.name for path in sources(AGENT)}
