import ast
from pathlib import Path

import pytest

import hwnas
from hwnas.core import errors

CODES = {
    "UsageError": 2,
    "ConfigError": 2,
    "UnknownNameError": 2,
    "DataError": 2,
    "TableError": 2,
    "PredictorError": 2,
    "CheckpointError": 2,
    "TrainingDiverged": 2,
    "TrainingProcessLost": 2,
    "UnsupportedOpError": 2,
    "DeviceError": 3,
    "Unreachable": 3,
    "PageRefused": 3,
    "AuthFailed": 3,
    "HostKeyMismatch": 3,
    "AgentTimeout": 3,
    "DeviceLost": 3,
    "ProtocolError": 3,
    "DeviceChanged": 3,
    "TooNoisy": 3,
    "DeviceFaster": 3,
    "BudgetMissed": 4,
    "VerificationError": 5,
    "InfeasibleError": 6,
    "RegressionError": 7,
    "TableOutdated": 7,
    "Interrupted": 130,
}


def every_error() -> dict[str, type[errors.HwnasError]]:
    found = {n: v for n, v in vars(errors).items() if isinstance(v, type) and issubclass(v, errors.HwnasError)}
    return {n: v for n, v in found.items() if v is not errors.HwnasError}


def test_every_error_has_its_documented_exit_code() -> None:
    assert {name: kind.exit_code for name, kind in every_error().items()} == CODES
    assert errors.HwnasError.exit_code == 1


@pytest.mark.parametrize("name", sorted(CODES))
def test_the_tree_in_the_docstring_is_the_tree(name: str) -> None:
    assert errors.__doc__ is not None
    line = next(line for line in errors.__doc__.splitlines() if name in line.split())
    assert line.split()[line.split().index(name) + 1] == str(CODES[name])


def test_no_error_of_the_tree_is_defined_elsewhere() -> None:
    root = Path(hwnas.__file__).parent
    bases = {"HwnasError", "Exception", *CODES}
    elsewhere = [
        f"{path.relative_to(root)}: {node.name}"
        for path in root.rglob("*.py")
        if path != Path(errors.__file__)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef) and any(getattr(base, "id", getattr(base, "attr", None)) in bases for base in node.bases)
    ]
    assert elsewhere == []


def test_every_exit_code_is_in_the_help() -> None:
    from hwnas.cli.main import EPILOG

    for code in {*CODES.values()}:
        assert f" {code} " in EPILOG
