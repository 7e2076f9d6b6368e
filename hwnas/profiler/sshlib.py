"""paramiko, imported when a device is reached over ssh, and not before: it is an extra, and takes a quarter of a second."""

from __future__ import annotations

import logging
from typing import Any

from hwnas.core.errors import UsageError


def paramiko() -> Any:
    """The module; where it is not installed, a `UsageError` that says which extra brings it."""
    try:
        import paramiko as module
    except ImportError:
        raise UsageError("devices over ssh need paramiko; pip install 'hwnas[ssh]'") from None
    # what it logs of broken connections comes as an error of ours; without a handler Python would print it
    logger = logging.getLogger("paramiko")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
    return module


def key_errors() -> tuple[type[Exception], ...]:
    """What loading a private key raises that is not one, or of a kind that paramiko cannot use (a security key's)."""
    library = paramiko()
    from cryptography.exceptions import UnsupportedAlgorithm

    return (library.SSHException, library.UnknownKeyType, UnsupportedAlgorithm, ValueError, OSError)
