import pytest

from hwnas.core import errors

CODES = {
    "UsageError": 2,
    "ConfigError": 2,
    "UnknownNameError": 2,
    "DataError": 2,
    "TableError": 2,
    "PredictorError": 2,
    "DeviceError": 3,
    "Unreachable": 3,
    "AuthFailed": 3,
    "HostKeyMismatch": 3,
    "AgentTimeout": 3,
    "DeviceLost": 3,
    "ProtocolError": 3,
    "TooNoisy": 3,
    "BudgetMissed": 4,
    "VerificationError": 5,
    "InfeasibleError": 6,
    "RegressionError": 7,
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
