"""adbutils, imported when a device is reached over adb, and not before: it is an extra, and takes half a second."""

from __future__ import annotations

from typing import Any

from hwnas.core.errors import UsageError


def adbutils() -> Any:
    """The module; where it is not installed, a `UsageError` that says which extra brings it."""
    try:
        import adbutils as module
    except ImportError:
        raise UsageError("devices over adb need adbutils; pip install 'hwnas[adb]'") from None
    return module


def adb_errors() -> tuple[type[Exception], ...]:
    """What talking to an adb server raises: a refusal, a connection that ended, an answer that is none."""
    return (adbutils().AdbError, OSError, EOFError, ValueError)
