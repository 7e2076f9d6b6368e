"""The Android example, as far as it can be held to anything without an SDK: it is well-formed, and speaks of what `hwnas ci` writes."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from hwnas.data.preprocessing import Preprocessing
from hwnas.export.manifest import FileEntry, Manifest, check_manifest

EXAMPLE = Path(__file__).parents[2] / "examples" / "android"
SOURCES = EXAMPLE / "app" / "src" / "main"
KOTLIN = SOURCES / "java" / "org" / "hwnas" / "example"
ANDROID = "{http://schemas.android.com/apk/res/android}"


def source(name: str) -> str:
    return (KOTLIN / name).read_text()


def asset_names() -> dict[str, str]:
    return dict(re.findall(r'const val (\w+) = "([^"]+)"', source("Classifier.kt")))


@pytest.mark.parametrize("path", sorted(EXAMPLE.rglob("*.xml")), ids=lambda path: path.name)
def test_xml_is_well_formed(path: Path) -> None:
    assert ElementTree.parse(path).getroot().tag


def test_names_of_resources_are_there() -> None:
    strings = {element.get("name") for element in ElementTree.parse(SOURCES / "res" / "values" / "strings.xml").getroot()}
    ids = {
        e.get(f"{ANDROID}id", "").removeprefix("@+id/") for e in ElementTree.parse(SOURCES / "res" / "layout" / "activity_main.xml").iter()
    }
    texts = "\n".join(path.read_text() for path in (*SOURCES.rglob("*.kt"), *SOURCES.rglob("*.xml")))
    assert set(re.findall(r"(?:R\.string\.|@string/)(\w+)", texts)) == strings
    assert set(re.findall(r"R\.id\.(\w+)", texts)) == ids - {""}
    assert set(re.findall(r"R\.layout\.(\w+)", texts)) == {"activity_main"}
    activity = ElementTree.parse(SOURCES / "AndroidManifest.xml").find(".//activity")
    assert activity is not None
    name = activity.get(f"{ANDROID}name", "")
    assert f"class {name.removeprefix('.')} " in source("MainActivity.kt")


@pytest.mark.parametrize("name", ["MainActivity.kt", "Classifier.kt", "Steps.kt"])
def test_brackets_close_and_the_package_is_that_of_the_build(name: str) -> None:
    text = re.sub(r'"(?:\\.|[^"\\])*"|//.*|/\*.*?\*/', "", source(name), flags=re.DOTALL)
    waiting = []
    for sign in re.findall(r"[()\[\]{}]", text):
        if sign in "([{":
            waiting.append(sign)
        else:
            assert waiting.pop() + sign in ("()", "[]", "{}")
    assert not waiting
    assert source(name).startswith("package org.hwnas.example\n")
    assert 'namespace = "org.hwnas.example"' in (EXAMPLE / "app" / "build.gradle.kts").read_text()


def test_what_is_read_is_what_is_written(finished: tuple[Path, dict[str, list[dict[str, str]]]]) -> None:
    """The assets are files of a release, and the fields that are read are those of its documents."""
    root, document = finished
    (row, *_) = [row for row in document["targets"] if row["runtime"] == "litert"]
    folder = (root / row["artifact"]).parent
    names = asset_names()
    assert set(names) == {"MODEL", "LABELS", "PREPROCESSING", "MANIFEST"}
    assert set(names.values()) <= {path.name for path in folder.iterdir()}
    gradle = (EXAMPLE / "app" / "build.gradle.kts").read_text()
    assert set(re.findall(r'"([\w.]+\.(?:txt|json|tflite))"', gradle)) == set(names.values())
    steps = set(re.findall(r'told\.get\w+\("(\w+)"\)', source("Steps.kt")))
    assert steps == {"size", "colour", "scale", "mean", "std", "layout"}
    assert steps <= {field.name for field in dataclasses.fields(Preprocessing)}
    read = set(re.findall(r'get(?:String|JSONArray)\("(\w+)"\)', source("Classifier.kt")))
    assert read == {"files", "sha256"}
    assert read <= {field.name for cls in (Manifest, FileEntry) for field in dataclasses.fields(cls)}
    listed = {entry.path: entry.sha256 for entry in check_manifest(folder / names["MANIFEST"]).files}
    assert names["MODEL"] in listed


def test_it_says_that_it_was_not_built() -> None:
    assert "has not been built here" in (EXAMPLE / "README.md").read_text()
