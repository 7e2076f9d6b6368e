"""How values become bytes and back: canonical JSON, content ids, strict TOML and JSON into dataclasses, atomic files.

Canonical JSON follows RFC 8785 in what matters here: sorted keys, no blanks, no NaN or infinity, UTF-8. Numbers are Python's shortest
round-trip form. A content id is the first 16 hexadecimal digits of the SHA-256 of that.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import tempfile
import tomllib
import typing
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from hwnas.core.errors import ConfigError, HwnasError
from hwnas.core.registry import suggest

T = TypeVar("T")

_UNKNOWN_KEY = ("unexpected_keyword_argument", "extra_forbidden")

STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
"""Set as ``__pydantic_config__`` on every dataclass that is read from a file."""


def plain(value: Any) -> Any:
    """Dataclasses, tuples and mappings as what JSON knows; anything else is returned as it is."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, Path):
        return value.as_posix()
    return value


def canonical_json(value: Any) -> str:
    """``value`` as canonical JSON; NaN and infinity raise ``ValueError``."""
    return json.dumps(plain(value), sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False)


def content_id(value: Any) -> str:
    """16 hexadecimal digits that change when the content does."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:16]


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_atomic(path: Path, data: bytes | str) -> None:
    """Write all of ``data`` or nothing: a reader never sees half a file, whenever the process is killed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    raw = data.encode() if isinstance(data, str) else data
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def parse(cls: type[T], value: Any, *, where: str, error: type[HwnasError] = ConfigError) -> T:
    """``value`` (parsed TOML or JSON) as ``cls``, strictly.

    Unknown keys and wrong types raise ``error``, in one line that begins with ``where``.

    ``cls`` is a dataclass with ``__pydantic_config__ = STRICT``; lists become tuples where it says so.
    """
    try:
        # JSON mode lets arrays fill tuples while everything else stays strict
        validated: T = _adapter(typing.cast(Any, cls)).validate_json(json.dumps(value, default=_no_dates))
        return validated
    except ValidationError as problem:
        raise error(f"{where}: {_explain(problem, cls)}") from None
    except HwnasError as problem:
        raise error(f"{where}: {problem}") from None


@lru_cache(maxsize=256)
def _adapter(cls: Any) -> TypeAdapter[Any]:
    """Made once a class: that takes longer than any value to be parsed."""
    return TypeAdapter(cls)


def read_toml(path: Path) -> dict[str, Any]:
    """The TOML file at ``path`` as a mapping; a missing or malformed one raises `ConfigError`."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))  # some editors write a byte order mark
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as problem:
        raise ConfigError(f"{path}: not readable as TOML: {problem}") from None


def read_json(path: Path, *, error: type[HwnasError] = ConfigError) -> Any:
    """The JSON file at ``path``; a missing, torn or malformed one raises ``error``."""
    try:
        return json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_constants)
    except FileNotFoundError:
        raise error(f"{path}: no such file") from None
    except (OSError, ValueError, RecursionError) as problem:
        raise error(f"{path}: not readable as JSON: {problem}") from None


def _no_constants(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


def _no_dates(value: Any) -> Any:
    raise HwnasError(f"'{value}' is a date or time, which no key takes; write text in quotes")


def _explain(problem: ValidationError, cls: Any) -> str:
    errors = problem.errors(include_url=False)
    # a misspelt key is also a missing one: the misspelling is what helps
    first = next((e for e in errors if e["type"] in _UNKNOWN_KEY), errors[0])
    parts = [str(part) for part in first["loc"]]
    at = ".".join(parts) or "the whole"
    if first["type"] in _UNKNOWN_KEY:
        return f"unknown key '{at}'; {suggest(parts[-1], _keys_at(cls, parts[:-1]))}"
    if first["type"] == "missing" or first["type"] == "missing_argument":
        return f"key '{at}' is missing"
    message = first["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    shown = repr(first.get("input"))
    if first["type"] == "value_error":
        return f"{at}: {message}" if parts else message
    return f"{at}: must be {message}, not {shown[:60]}"


def _keys_at(cls: Any, parts: list[str]) -> list[str]:
    """Names of the fields of the dataclass that the path leads to; empty where it leads elsewhere."""
    for part in parts:
        hints = typing.get_type_hints(cls) if dataclasses.is_dataclass(cls) else {}
        hint = hints.get(part)
        cls = next((arg for arg in (hint, *typing.get_args(hint)) if dataclasses.is_dataclass(arg)), None)
    if not dataclasses.is_dataclass(cls):
        return []
    return [f.name for f in dataclasses.fields(cls)]
