"""hwnas: measure a device, search a once-trained supernet per latency budget, export what was verified on the device.

The names below are the Python API, and stay as they are within a minor version. Each is imported when it is first used, so that
``import hwnas`` costs nothing and brings neither torch nor a converter; ``__init__.pyi`` tells type checkers where they are.
"""

from importlib import import_module as _import_module

__version__ = "0.1.0"

_HOME = {
    **dict.fromkeys(
        (
            "Exported",
            "ExportedFile",
            "Subnet",
            "Verified",
            "export_subnet",
            "extract_subnet",
            "find_subnets",
            "latency_of",
            "load_accuracy",
            "load_latency",
            "load_space",
            "load_table",
            "open_workspace",
            "verify_files",
            "workspace_space",
        ),
        "hwnas.api",
    ),
    **dict.fromkeys(("Architecture", "SearchSpace"), "hwnas.core.arch"),
    **dict.fromkeys(
        ("BudgetMissed", "DeviceError", "HwnasError", "InfeasibleError", "RegressionError", "UsageError", "VerificationError"),
        "hwnas.core.errors",
    ),
    "LatencyTable": "hwnas.latency.table",
    "Prediction": "hwnas.core.predict",
    "TrustedLatency": "hwnas.latency.trusted",
    "Workspace": "hwnas.workspace",
}

__all__ = ["__version__", *sorted(_HOME)]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(_import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
