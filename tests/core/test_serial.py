import json
import math
import os
import string
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ConfigDict

from hwnas.core.errors import ConfigError, TableError
from hwnas.core.serial import STRICT, canonical_json, content_id, parse, plain, read_json, read_toml, sha256_file, write_atomic

NAMES = st.text(string.ascii_letters, max_size=5)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)


@dataclass(frozen=True, slots=True)
class Inner:
    rate: float
    sizes: tuple[int, ...] = ()

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    def __post_init__(self) -> None:
        if self.rate < 0:
            raise ConfigError("rate must not be negative")


@dataclass(frozen=True, slots=True)
class Outer:
    name: str
    inner: Inner
    others: dict[str, Inner] = field(default_factory=dict)
    enabled: bool = True

    __pydantic_config__: ClassVar[ConfigDict] = STRICT


@settings(deadline=None)
@given(JSON)
def test_canonical_json_says_the_same_in_one_way(value: Any) -> None:
    text = canonical_json(value)
    assert json.loads(text) == value
    assert canonical_json(json.loads(text)) == text
    assert "\n" not in text


@settings(deadline=None)
@given(st.dictionaries(NAMES, st.integers(), min_size=2))
def test_order_of_keys_does_not_count(value: dict[str, int]) -> None:
    turned = dict(reversed(list(value.items())))
    assert content_id(value) == content_id(turned)
    assert len(content_id(value)) == 16


@settings(deadline=None)
@given(JSON, JSON)
def test_ids_differ_when_the_content_does(one: Any, other: Any) -> None:
    assert (content_id(one) == content_id(other)) == (canonical_json(one) == canonical_json(other))


@pytest.mark.parametrize("value", [math.nan, math.inf, {"a": [-math.inf]}])
def test_what_json_cannot_say_is_refused(value: Any) -> None:
    with pytest.raises(ValueError):
        canonical_json(value)


def test_plain_reaches_into_everything() -> None:
    outer = Outer("a", Inner(0.5, (1, 2)), {"b": Inner(1.0)})
    assert plain([outer, (Path("x") / "y",), {1: None}]) == [
        {"name": "a", "inner": {"rate": 0.5, "sizes": [1, 2]}, "others": {"b": {"rate": 1.0, "sizes": []}}, "enabled": True},
        [str(PurePosixPath("x/y"))],
        {"1": None},
    ]
    assert plain(Inner) is Inner


# ---- strict parsing


def test_values_become_dataclasses_and_lists_tuples() -> None:
    parsed = parse(Outer, {"name": "a", "inner": {"rate": 2, "sizes": [1, 2]}, "others": {"b": {"rate": 0.5}}}, where="here")
    assert parsed == Outer("a", Inner(2.0, (1, 2)), {"b": Inner(0.5)})


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({"name": "a", "inner": {"rate": 1, "size": [1]}}, "here: unknown key 'inner.size'; did you mean 'sizes'?"),
        ({"name": "a", "inner": {"rate": 1}, "enable": True}, "here: unknown key 'enable'; did you mean 'enabled'?"),
        ({"name": "a"}, "here: key 'inner' is missing"),
        ({"name": "a", "inner": {}}, "here: key 'inner.rate' is missing"),
        ({"name": 3, "inner": {"rate": 1}}, "here: name: must be a valid string, not 3"),
        ({"name": "a", "inner": {"rate": "1"}}, "here: inner.rate: must be a valid number, not '1'"),
        ({"name": "a", "inner": {"rate": True}}, "here: inner.rate: must be a valid number, not True"),
        ({"name": "a", "inner": {"rate": math.nan}}, "here: inner.rate: must be a finite number"),
        ({"name": "a", "inner": {"rate": 1}, "enabled": 1}, "here: enabled: must be a valid boolean, not 1"),
    ],
)
def test_anything_else_is_named(value: Any, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(Outer, value, where="here")
    assert str(caught.value).startswith(says)
    assert "\n" not in str(caught.value)


def test_the_error_is_of_the_asked_kind_and_a_whole_of_another_shape_is_named() -> None:
    with pytest.raises(TableError, match="there: "):
        parse(Outer, [1, 2], where="there", error=TableError)
    with pytest.raises(ConfigError, match="rate must not be negative"):
        parse(Inner, {"rate": -1.0}, where="here")


# ---- files


def test_toml_is_read_strictly(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text('name = "a"\n[inner]\nrate = 1.5\n')
    assert parse(Outer, read_toml(path), where="a.toml") == Outer("a", Inner(1.5))
    path.write_text("name = ")
    with pytest.raises(ConfigError, match=r"a\.toml: not readable as TOML"):
        read_toml(path)
    path.write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="not readable as TOML"):
        read_toml(path)
    with pytest.raises(ConfigError, match=r"none\.toml: no such file"):
        read_toml(tmp_path / "none.toml")


@pytest.mark.parametrize("text", ["", "{", '{"a": NaN}', '{"a": -Infinity}', "[" * 100_000])
def test_json_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(TableError, match=r"a\.json: not readable as JSON"):
        read_json(path, error=TableError)


def test_json_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"a": [1, 2.5, null]}')
    assert read_json(path) == {"a": [1, 2.5, None]}
    with pytest.raises(ConfigError, match="no such file"):
        read_json(tmp_path / "none.json")
    with pytest.raises(ConfigError, match="not readable"):
        read_json(tmp_path)


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "new folder" / "a.bin"
    write_atomic(path, "é")
    assert path.read_bytes() == "é".encode()
    write_atomic(path, b"second")
    assert path.read_bytes() == b"second"
    assert path.stat().st_mode & 0o777 == 0o644

    def fail(descriptor: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        write_atomic(path, b"third")
    assert path.read_bytes() == b"second"
    assert [p.name for p in path.parent.iterdir()] == ["a.bin"]


def test_the_hash_of_a_file_is_that_of_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    assert sha256_file(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
