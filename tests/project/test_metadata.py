"""What the project says about itself in several places agrees."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import hwnas

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
PIN = re.compile(r"^([A-Za-z0-9._-]+)==([0-9][A-Za-z0-9.]*)$")


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    matches = [(line, PIN.match(line)) for line in lines if line and not line.startswith("#")]
    assert [line for line, match in matches if match is None] == []
    return {canonicalize_name(match[1]): match[2] for _, match in matches if match}


def requirements(lines: list[str]) -> Iterator[Requirement]:
    for requirement in map(Requirement, lines):
        if requirement.name == PROJECT["name"]:
            for extra in requirement.extras:
                yield from requirements(EXTRAS[extra])
        else:
            yield requirement


def test_version_is_the_same_everywhere() -> None:
    assert hwnas.__version__ == PROJECT["version"]
    assert re.findall(r"^## \[([^\]]+)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)[0] == PROJECT["version"]


@pytest.mark.parametrize("requirement", sorted(requirements(PROJECT["dependencies"] + EXTRAS["dev"]), key=str), ids=str)
def test_every_requirement_is_pinned_to_a_version_that_it_allows(requirement: Requirement) -> None:
    version = pins().get(canonicalize_name(requirement.name))
    assert version is not None, f"constraints.txt does not pin {requirement.name}"
    assert requirement.specifier.contains(version)


def test_pins_name_each_package_once() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert len(pins()) == len([line for line in lines if line and not line.startswith("#")])


def test_core_needs_nothing_heavy() -> None:
    assert {canonicalize_name(r.name) for r in requirements(PROJECT["dependencies"])} == {"numpy", "pydantic", "rich", "typer"}


def test_extra_all_covers_every_extra_of_a_user() -> None:
    users = {name for name in EXTRAS if name not in {"all", "dev", "docs"}}
    assert {extra for line in EXTRAS["all"] for extra in Requirement(line).extras} == users


def test_license_is_the_apache_license() -> None:
    assert PROJECT["license"] == "Apache-2.0"
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text
