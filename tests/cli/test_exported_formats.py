"""`hwnas export`, `run`, `verify` and `sign` in other formats and precisions than the usual ones, and outside of any workspace."""

import json
import os
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from hwnas.cli.main import call
from hwnas.core.serial import parse, read_json
from hwnas.export.manifest import Manifest, check_manifest, describe_files, write_manifest
from tests.export.test_signature import write_key

NAMED = ("onnx:fp16", "tflite:fp16", "tflite:int8_dynamic", "pt2")
FILES = ["model.fp16.onnx", "model.fp16.tflite", "model.int8_dynamic.tflite", "model.pt2"]
RECIPE = """
device = "toy"
runtime = "litert"
budgets = ["90%"]
formats = ["onnx:fp16", "tflite:fp16"]
"""


def hw(capsys, *words):
    code = call([str(word) for word in words])
    said = capsys.readouterr()
    return code, said.out, " ".join(said.err.split())


def hw_json(capsys, *words):
    code, out, err = hw(capsys, *words, "--json")
    assert code == 0, err
    return json.loads(out)


@pytest.fixture
def exported(capsys, copy, tmp_path):
    """A folder with the smallest subnet as ONNX."""
    words = ["smallest", "--format", "onnx:fp16", "--out", tmp_path / "dist" / "out", "-w", copy, "-q"]
    assert hw(capsys, "export", *words)[0] == 0
    return tmp_path / "dist" / "out"


def test_formats_are_exported_by_name(capsys, copy, tmp_path):
    words = [word for name in NAMED for word in ("--format", name)]
    written = hw_json(capsys, "export", "smallest", *words, "--out", tmp_path / "out", "-w", copy, "-q")
    assert [entry["path"] for entry in written["files"]] == FILES
    manifest = check_manifest(tmp_path / "out" / "manifest.json")
    assert [model.path for model in manifest.models] == FILES
    assert [model.precision for model in manifest.models] == ["fp16", "fp16", "int8_dynamic", "fp32"]
    for model in manifest.models:
        assert model.parity.within_limit
        assert (model.parity.limit is None) == (model.precision == "int8_dynamic")
        assert model.nodes > 20
        assert model.transposes == 0
    assert [model.parity.top1_limit for model in manifest.models] == [0.99, 0.99, 0.9, 0.0], "one of 100 images may always be another"
    assert hw_json(capsys, "verify", tmp_path / "out", "-w", copy, "-q")["verdict"] == "not measured"


def test_a_dynamic_batch_is_exported_where_asked(capsys, copy, tmp_path):
    import onnxruntime

    words = ["--runtime", "onnxruntime", "--no-int8", "--dynamic-batch"]
    hw_json(capsys, "export", "smallest", *words, "--out", tmp_path / "out", "-w", copy, "-q")
    session = onnxruntime.InferenceSession(tmp_path / "out" / "model.onnx", providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape[0] == session.get_outputs()[0].shape[0] == "batch"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--format", "onx"], "unknown format 'onx'; did you mean 'onnx'?"),
        (["--format", "pt2:int8"], "format 'pt2' is not written in int8; it is in fp32, fp16, bf16"),
        (["--format", "onnx", "--runtime", "litert"], "give either --format or --runtime"),
    ],
)
def test_formats_that_there_are_none_of(capsys, copy, tmp_path, words, message):
    code, _, err = hw(capsys, "export", "smallest", *words, "--out", tmp_path / "out", "-w", copy, "-q")
    assert code == 2
    assert message in err
    assert not (tmp_path / "out").exists()


def test_a_recipe_names_other_formats(capsys, copy):
    (copy / "export" / "recipes" / "toy-onnxruntime.toml").unlink()
    (copy / "export" / "recipes" / "toy-litert.toml").write_text(RECIPE)
    (row,) = hw_json(capsys, "run", "-w", copy, "-q")["targets"]
    folder = (copy / row["artifact"]).parent
    assert {path.name for path in folder.iterdir()} == {
        "model.tflite",
        "model.fp16.onnx",
        "model.fp16.tflite",
        "labels.txt",
        "preprocessing.json",
        "preprocessing.onnx.json",
        "manifest.json",
    }
    manifest = check_manifest(folder / "manifest.json")
    assert [model.path for model in manifest.models] == ["model.tflite", "model.fp16.onnx", "model.fp16.tflite"]
    assert hw_json(capsys, "verify", folder, "-w", copy, "-q")["verdict"] == "ok"


@pytest.mark.parametrize("formats", ['["tflite"]', '["onnx:fp16", "onnx:fp16"]', '["tflite:fp99"]'])
def test_a_recipe_with_formats_that_cannot_be_is_refused(capsys, copy, formats):
    (copy / "export" / "recipes" / "toy-litert.toml").write_text(RECIPE.replace('["onnx:fp16", "tflite:fp16"]', formats))
    code, _, err = hw(capsys, "run", "-w", copy, "-q")
    assert code == 2
    assert "toy-litert.toml" in err


def test_a_manifest_is_checked_without_a_workspace(capsys, exported, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    checked = hw_json(capsys, "verify", "--manifest", exported / "manifest.json")
    assert (checked["bytes"], checked["signature"]) == ("as exported", "none")
    labels = exported / "labels.txt"
    labels.write_bytes(labels.read_bytes()[:-1] + b"\r")
    code, _, err = hw(capsys, "verify", "--manifest", exported / "manifest.json")
    assert code == 5
    assert "labels.txt: was changed after it was exported" in err
    for words in ([], [exported, "--manifest", exported]):
        code, _, err = hw(capsys, "verify", *words)
        assert code == 2
        assert "give either the folder" in err


def test_what_is_signed_is_held_to_the_pinned_key(capsys, exported, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    key = write_key(tmp_path / "key.pem", ed25519.Ed25519PrivateKey.generate())
    manifest, public = exported / "manifest.json", key.with_suffix(".pub")
    code, _, err = hw(capsys, "verify", "--manifest", manifest, "--key", public)
    assert code == 5
    assert "is not signed" in err
    signed = hw_json(capsys, "sign", tmp_path / "dist", "--key", key)
    assert signed["signatures"] == [str(manifest) + ".sig"]
    assert hw_json(capsys, "verify", "--manifest", manifest, "--key", public)["signature"] == signed["key"]
    assert hw_json(capsys, "verify", "--manifest", manifest)["signature"] == "not checked"
    (exported / "labels.txt").write_text("others\n")
    vouch_again(exported)
    assert hw(capsys, "verify", "--manifest", manifest)[0] == 0, "by itself the forged folder is whole"
    code, out, err = hw(capsys, "verify", "--manifest", manifest, "--key", public)
    assert code == 5
    assert "its signature is not of these bytes" in err
    secret = key.read_text().splitlines()[1]
    assert secret not in out + err + json.dumps(signed)


def vouch_again(folder):
    """Write the manifest as if the folder had been exported as it is now."""
    path = folder / "manifest.json"
    fields = read_json(path)
    del fields["sha256"]
    files = describe_files(folder, [p for p in folder.iterdir() if "manifest" not in p.name])
    write_manifest(replace(parse(Manifest, fields, where=str(path)), files=files), path)


def test_signing_needs_a_whole_folder_and_a_key(capsys, exported, tmp_path):
    key = write_key(tmp_path / "key.pem", ed25519.Ed25519PrivateKey.generate())
    (tmp_path / "empty").mkdir()
    code, _, err = hw(capsys, "sign", tmp_path / "empty", "--key", key)
    assert code == 2
    assert "no manifest.json below this folder" in err
    os.truncate(exported / "model.fp16.onnx", 100)
    code, _, err = hw(capsys, "sign", exported, "--key", key)
    assert code == 5
    assert not (exported / "manifest.json.sig").exists()


def test_metadata_that_say_something_else_than_the_files_beside_them(capsys, copy, exported):
    steps = exported / "preprocessing.onnx.json"
    told = read_json(steps)
    steps.write_text(json.dumps({**told, "mean": [0.0] * len(told["mean"])}))
    vouch_again(exported)
    code, _, err = hw(capsys, "verify", exported, "-w", copy, "-q")
    assert code == 5
    assert "says something else under 'hwnas.preprocessing' than preprocessing.onnx.json" in err
