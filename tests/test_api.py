"""The Python API: its names and signatures are pinned, it is cheap to import, and it does on a finished workspace what the commands do."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import hwnas

GOLDEN = Path(__file__).parent / "golden" / "public_api.txt"
STUB = Path(hwnas.__file__).with_suffix(".pyi")


def described(name: str) -> str:
    """A name of the API with all that callers rely on: parameters, fields, the base of an error."""
    value = getattr(hwnas, name)
    if isinstance(value, str):
        return f"{name}: str"
    if inspect.isfunction(value):
        return f"{name}{inspect.signature(value)}"
    if issubclass(value, Exception):
        return f"{name}({value.__base__.__name__}) exit code {value.exit_code}"
    if value.__module__ == "hwnas.api":
        return f"{name}: {', '.join(f'{field.name}: {field.type}' for field in dataclasses.fields(value))}"
    return f"{name} of {value.__module__}"


def test_the_api_is_what_was_promised() -> None:
    """A change of this file is a change that users see: it goes to the changelog, and a removal to the next minor version."""
    assert "".join(f"{described(name)}\n" for name in hwnas.__all__) == GOLDEN.read_text(encoding="utf-8")


def test_the_stub_says_where_the_names_are() -> None:
    homes = {
        alias.asname: node.module
        for node in ast.parse(STUB.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert homes == hwnas._HOME  # type: ignore[attr-defined]
    assert set(hwnas.__all__) == {"__version__", *homes}


def test_all_names_are_listed_and_others_are_refused() -> None:
    assert set(hwnas.__all__) <= set(dir(hwnas))
    with pytest.raises(AttributeError, match="module 'hwnas' has no attribute 'find_subnet'"):
        _ = hwnas.find_subnet  # type: ignore[attr-defined]


def test_importing_brings_nothing_heavy() -> None:
    program = """if True:
        import sys
        import hwnas
        assert not {"numpy", "pydantic", "torch"} & set(sys.modules)
        for name in hwnas.__all__:
            getattr(hwnas, name)
        print(sorted({"torch", "onnx", "onnxruntime", "ai_edge_litert", "sklearn", "PIL", "paramiko"} & set(sys.modules)))
    """
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


@pytest.fixture(scope="module")
def workspace(finished):
    return hwnas.open_workspace(finished[0])


@pytest.fixture(scope="module")
def latency(workspace):
    return hwnas.load_latency(workspace, "toy", "onnxruntime")


def test_subnets_are_those_of_the_command(workspace, latency, capsys) -> None:
    from hwnas.cli.main import call

    asked = ("--device", "toy", "--runtime", "onnxruntime", "--budget", "90%", "--budget", "50%", "--trials", "300", "--seed", "3")
    assert call(["search", "-w", str(workspace.root), *asked, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["budgets"]
    found = hwnas.find_subnets(latency, hwnas.load_accuracy(workspace), ["90%", "50%"], trials=300, seed=3)
    names = ("budget", "budget_ms", "accuracy", "accuracy_std", "predicted_ms", "trusted")
    assert [{name: getattr(each, name) for name in names} for each in found] == [{name: row[name] for name in names} for row in told]
    assert [each.architecture.id for each in found] == [row["arch"] for row in told]
    assert [each.at_most_ms for each in found] == [row["predicted_hi_ms"] for row in told]
    assert all(each.at_most_ms <= each.budget_ms for each in found)


def test_a_table_gives_the_predictor_that_was_stored(workspace, latency) -> None:
    (path,) = (workspace.store.tables / "toy").glob("onnxruntime-fp32-*-quiet.json")
    table = hwnas.load_table(str(path))
    made = hwnas.latency_of(table, hwnas.workspace_space(workspace))
    assert made.kind == latency.kind
    _, largest = hwnas_extremes(made.space)
    assert made.predict(largest.codes).mean == pytest.approx(latency.predict(largest.codes).mean, rel=1e-12)


def hwnas_extremes(space):
    from hwnas.space.family import family_of

    return family_of(space).extremes(space)


def test_a_space_by_name_is_that_of_the_workspace_when_it_fits_the_data(workspace) -> None:
    own = hwnas.workspace_space(workspace)
    sizes = own.choices[0].options
    assert hwnas.load_space("tiny-32", resolutions=[int(size) for size in sizes], channels=1, classes=10).id == own.id
    assert hwnas.load_space("tiny-32").id != own.id


def test_mistakes_are_errors_of_the_api(workspace, latency, tmp_path) -> None:
    for mistake in (
        lambda: hwnas.open_workspace(tmp_path),
        lambda: hwnas.load_space("tiny-33"),
        lambda: hwnas.load_table(tmp_path / "no.json"),
        lambda: hwnas.load_latency(workspace, "toy", "litert", precision="bf16"),
        lambda: hwnas.load_latency(workspace, "toys", "litert"),
        lambda: hwnas.find_subnets(latency, hwnas.load_accuracy(workspace), ["4"]),
    ):
        with pytest.raises(hwnas.UsageError):
            mistake()
    with pytest.raises(hwnas.InfeasibleError):
        hwnas.find_subnets(latency, hwnas.load_accuracy(workspace), ["0.001%"])


def test_a_subnet_as_module_files_and_verdict(copy, tmp_path) -> None:
    workspace = hwnas.open_workspace(copy)
    smallest, _ = hwnas_extremes(hwnas.workspace_space(workspace))
    module = hwnas.extract_subnet(workspace, smallest)
    written = hwnas.export_subnet(workspace, smallest, tmp_path / "files", formats=["onnx"])
    assert written.architecture == smallest
    (file,) = written.files
    assert (file.path.name, file.runtime, file.precision, file.size_bytes) == (
        "model.onnx",
        "onnxruntime",
        "fp32",
        file.path.stat().st_size,
    )
    import onnxruntime
    import torch

    session = onnxruntime.InferenceSession(file.path, providers=["CPUExecutionProvider"])
    x = np.random.default_rng(0).normal(size=session.get_inputs()[0].shape).astype(np.float32)
    with torch.inference_mode():
        logits = module(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(session.run(None, {"image": x})[0], logits, atol=1e-4)

    checked = hwnas.verify_files(workspace, written.folder)
    assert checked == hwnas.Verified(tmp_path / "files" / "manifest.json", "not measured")
    file.path.write_bytes(file.path.read_bytes()[:-1])
    with pytest.raises(hwnas.VerificationError, match=r"model\.onnx"):
        hwnas.verify_files(workspace, written.folder)
