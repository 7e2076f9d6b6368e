"""A manifest says the same in the same bytes, and no byte of it or of its files changes unseen."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hwnas.core.errors import UsageError, VerificationError
from hwnas.export.manifest import (
    Attempted,
    FileEntry,
    Int8Figures,
    LatencyFigures,
    Manifest,
    check_manifest,
    describe_files,
    tool_versions,
    write_manifest,
)
from hwnas.export.verify import Parity


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "labels").mkdir()
    (tmp_path / "model.onnx").write_bytes(bytes(range(256)))
    (tmp_path / "labels" / "names.txt").write_text("cat\nchat\n")
    return tmp_path


def manifest(folder: Path) -> Manifest:
    return Manifest(
        name="small-é",
        precision="fp32",
        verdict="ok",
        arch_id="0123456789abcdef",
        architecture={"resolution": 32, "width": 1.0, "act": "relu"},
        space={"family": "mobilenet_v3", "name": "tiny-32", "id": "00ff"},
        dataset={"name": "fashion-mnist", "classes": 10, "augmented": False},
        metrics={"accuracy_val": 0.91, "accuracy_test": 0.9},
        latency=LatencyFigures("host", "onnxruntime", 1, "p50", "quiet", budget_ms=2.0, predicted_ms=1.5, measured_ci_ms=(1.4, 1.6)),
        parity=Parity(1e-6, 1e-4, None, 1.0, 32),
        files=describe_files(folder, [folder / "model.onnx", folder / "labels" / "names.txt"]),
        table={"file": "onnxruntime-fp32-t1-b1-quiet.json", "id": "77"},
        tools=tool_versions(),
        attempts=(Attempted("ff00", 1.4, 2.1, (2.0, 2.2), False), Attempted("0123456789abcdef", 1.5, 1.5, (1.4, 1.6), True)),
        int8=Int8Figures(0.9, 0.89, 0.98, 2.4, (2.3, 2.5), None, 1000, False, ("slower than the budget",)),
        device_drift=1.02,
    )


def test_what_is_written_is_read_back(folder: Path) -> None:
    path = folder / "manifest.json"
    write_manifest(manifest(folder), path)
    first = path.read_bytes()
    assert check_manifest(path) == manifest(folder)
    write_manifest(check_manifest(path), path)
    assert path.read_bytes() == first
    shown = json.loads(first)
    assert list(shown) == sorted(shown)
    assert [entry["path"] for entry in shown["files"]] == ["labels/names.txt", "model.onnx"]
    assert shown["files"][1]["size_bytes"] == 256
    assert "é" in first.decode()


def test_files_that_nothing_has_timed(folder: Path) -> None:
    plain = replace(manifest(folder), latency=None, attempts=(), int8=None, device_drift=None)
    write_manifest(plain, folder / "manifest.json")
    assert check_manifest(folder / "manifest.json") == plain


def test_a_whole_number_of_milliseconds_is_no_change(folder: Path) -> None:
    whole = replace(manifest(folder), latency=LatencyFigures("host", "litert", 1, "p50", "quiet", budget_ms=2))
    write_manifest(whole, folder / "manifest.json")
    read = check_manifest(folder / "manifest.json").latency
    assert read is not None
    assert read.budget_ms == 2.0


def test_any_changed_byte_of_the_manifest_is_found(folder: Path) -> None:
    path = folder / "manifest.json"
    write_manifest(manifest(folder), path)
    text = path.read_bytes()
    rng = np.random.default_rng(0)
    for position in rng.integers(0, len(text), 300):
        changed = bytearray(text)
        changed[position] ^= int(rng.integers(1, 256))
        path.write_bytes(changed)
        with pytest.raises(VerificationError):
            check_manifest(path)
    for changed_text in (
        text + b"\n",
        text.replace(b"\n", b"\r\n"),
        text.replace(b'"accuracy_val": 0.91', b'"accuracy_val": 0.99'),
        b"[]",
        b"{}",
    ):
        path.write_bytes(changed_text)
        with pytest.raises(VerificationError, match="was changed after it was written"):
            check_manifest(path)


def test_any_changed_byte_of_a_file_is_found(folder: Path) -> None:
    path = folder / "manifest.json"
    write_manifest(manifest(folder), path)
    for name in ("model.onnx", "labels/names.txt"):
        content = (folder / name).read_bytes()
        for position in range(0, len(content), 7):
            (folder / name).write_bytes(content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :])
            with pytest.raises(VerificationError, match=f"{name}: was changed after it was exported"):
                check_manifest(path)
        (folder / name).unlink()
        with pytest.raises(VerificationError, match=f"{name}: is listed in the manifest but missing"):
            check_manifest(path)
        (folder / name).write_bytes(content)
    assert check_manifest(path).name == "small-é"


@pytest.mark.parametrize("outside", ["../secret", "/etc/passwd", "a/../../b"])
def test_a_manifest_that_points_outside_its_folder_is_refused(outside: str, folder: Path) -> None:
    path = folder / "manifest.json"
    write_manifest(replace(manifest(folder), files=(FileEntry(outside, "0" * 64, 1),)), path)
    with pytest.raises(VerificationError, match="outside of the folder"):
        check_manifest(path)


def test_a_manifest_of_another_make_is_refused(folder: Path) -> None:
    path = folder / "manifest.json"
    object.__setattr__(other := manifest(folder), "metrics", {"accuracy_val": "high"})
    write_manifest(other, path)
    with pytest.raises(VerificationError, match=r"metrics\.accuracy_val"):
        check_manifest(path)


@pytest.mark.parametrize(
    ("part", "name", "word"),
    [(None, "precision", "fp33"), ("latency", "runtime", "litret"), ("latency", "statistic", "p77"), ("latency", "regime", "quite")],
)
def test_a_manifest_with_words_that_nothing_knows_is_refused(folder: Path, part: str | None, name: str, word: str) -> None:
    path = folder / "manifest.json"
    other = manifest(folder)
    object.__setattr__(other if part is None else getattr(other, part), name, word)
    write_manifest(other, path)
    with pytest.raises(VerificationError, match=f"manifest.json: .*unknown {name} '{word}'"):
        check_manifest(path)


def test_what_is_missing_or_not_a_number(folder: Path) -> None:
    with pytest.raises(VerificationError, match="no such file"):
        check_manifest(folder / "manifest.json")
    with pytest.raises(UsageError, match="cannot hold NaN or infinity"):
        write_manifest(replace(manifest(folder), metrics={"accuracy_val": float("nan")}), folder / "manifest.json")
    assert not (folder / "manifest.json").exists()
    with pytest.raises(ValueError, match="not in the subpath"):
        describe_files(folder / "labels", [folder / "model.onnx"])


def test_versions_of_what_is_installed() -> None:
    versions = tool_versions()
    assert versions["numpy"] == np.__version__
    assert {"python", "hwnas", "onnx"} <= versions.keys()
