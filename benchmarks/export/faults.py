"""Is every fault between a trained network and a shipped file caught, with its exit code and a line that says what is wrong?

A small workspace is run once, on a pretended device; then one fault at a time is put into the pipeline, or into a copy of a folder that it
wrote, and a command is asked as a user would. What a hash finds already is also done by someone who writes the manifest anew.
"""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from unittest import mock

import numpy as np
import onnx
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import tests.rig.pretend  # noqa: F401  (adds the pretended device's transport)
from benchmarks.harness import Outcome, Target, main
from hwnas.cli.main import call
from hwnas.core.errors import HwnasError
from hwnas.core.serial import canonical_json, read_json
from hwnas.data import Dataset
from hwnas.export.manifest import Manifest, check_manifest, describe_files, write_manifest
from tests.rig.small_run import write_workspace

FLIPS, QUICK_FLIPS = 200, 20
TARGETS = {"caught": Target(">=", 1.0), "flips_accepted": Target("<=", 0)}
VERIFICATION, BUDGET = 5, 4
MODEL, STEPS = "model.onnx", "preprocessing.json"


@dataclass(frozen=True)
class Bench:
    """The workspace, a copy of one folder that it wrote, and a key that signed it; patches in ``stack`` last for one command."""

    root: Path
    folder: Path
    known: Manifest
    key: Path
    stack: ExitStack

    @property
    def manifest(self) -> Path:
        """The copy's manifest."""
        return self.folder / "manifest.json"

    def verify(self, *words: str) -> list[str]:
        """``hwnas verify`` of the copy, in the workspace."""
        return ["verify", str(self.folder), "-w", str(self.root), "-q", *words]

    def bytes_alone(self, *words: str) -> list[str]:
        """``hwnas verify --manifest`` of the copy."""
        return ["verify", "--manifest", str(self.manifest), *words]

    def export(self, form: str) -> list[str]:
        """``hwnas export`` of a subnet that was not exported before."""
        return ["export", "largest", "--format", form, "--out", str(self.folder / "again"), "-w", str(self.root), "-q"]

    def vouch(self, **changes: object) -> None:
        """Write the manifest anew with ``changes``, for the files as they are now."""
        paths = [self.folder / entry.path for entry in self.known.files]
        write_manifest(replace(self.known, files=describe_files(self.folder, paths), **changes), self.manifest)  # type: ignore[arg-type]

    def model(self) -> onnx.ModelProto:
        """The copy's model, parsed."""
        return onnx.load(self.folder / MODEL)

    def replace_model(self, model: onnx.ModelProto) -> None:
        """Write the copy's model."""
        (self.folder / MODEL).write_bytes(model.SerializeToString())


def not_recalibrated(bench: Bench) -> list[str]:
    """The supernet's subnet as it is cut out, its batch norms of no subnet in particular."""
    bench.stack.enter_context(mock.patch("hwnas.supernet.accuracy.recalibrate", mock.Mock()))
    return bench.export("onnx:fp16")


def flipped_weight(bench: Bench) -> list[str]:
    """One bit of one weight."""
    model = bench.model()
    weight = next(tensor for tensor in model.graph.initializer if len(tensor.dims) == 4)
    weight.raw_data = weight.raw_data[:3] + bytes([weight.raw_data[3] ^ 0x40]) + weight.raw_data[4:]
    bench.replace_model(model)
    return bench.verify("--no-timing")


def flipped_weight_vouched_for(bench: Bench) -> list[str]:
    """The same, by someone who has no key."""
    flipped_weight(bench)
    bench.vouch()
    return bench.bytes_alone("--key", str(bench.key))


def _other_steps(bench: Bench) -> str:
    steps = read_json(bench.folder / STEPS)
    text = canonical_json({**steps, "mean": [3.0] * len(steps["mean"]), "std": [0.05] * len(steps["std"])})
    (bench.folder / STEPS).write_text(text + "\n")
    return text


def wrong_normalisation_beside(bench: Bench) -> list[str]:
    """Another normalisation in the file beside the model than in the model."""
    _other_steps(bench)
    bench.vouch()
    return bench.verify("--no-timing")


def wrong_normalisation_everywhere(bench: Bench) -> list[str]:
    """The same wrong one in both."""
    text = _other_steps(bench)
    for path in bench.folder.glob("*.onnx"):
        model = onnx.load(path)
        next(entry for entry in model.metadata_props if entry.key == "hwnas.preprocessing").value = text
        path.write_bytes(model.SerializeToString())
    bench.vouch()
    return bench.verify("--no-timing")


def black_images(bench: Bench) -> list[str]:
    """A training part of black images, from which int8 takes its ranges."""
    images = Dataset.images
    black = lambda data, part, size: images(data, part, size) * np.uint8(part != "train")  # noqa: E731
    bench.stack.enter_context(mock.patch.object(Dataset, "images", black))
    return bench.export("onnx:int8")


def budget_too_small(bench: Bench) -> list[str]:
    """A budget of 90 % of what the file takes."""
    figures = bench.known.latency
    if figures is None or figures.measured_ms is None:
        raise HwnasError("the run without a fault timed nothing")
    bench.vouch(latency=replace(figures, budget_ms=0.9 * figures.measured_ms))
    return bench.verify()


def manifest_by_hand(bench: Bench) -> list[str]:
    """A better accuracy, typed in."""
    fields = read_json(bench.manifest)
    fields["metrics"]["accuracy_test"] = 0.99
    bench.manifest.write_text(json.dumps(fields, indent=2, sort_keys=True, ensure_ascii=False) + "\n")
    return bench.bytes_alone()


def manifest_by_tool(bench: Bench) -> list[str]:
    """The same, with a hash that holds."""
    bench.vouch(metrics={**bench.known.metrics, "accuracy_test": 0.99})
    return bench.verify("--no-timing")


def outside_data(bench: Bench) -> list[str]:
    """Weights in a file that the model names, far outside of the folder."""
    model = bench.model()
    weight = model.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = onnx.TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="../../etc/passwd")
    bench.replace_model(model)
    bench.vouch()
    return bench.bytes_alone()


def custom_operator(bench: Bench) -> list[str]:
    """An operator that would load a library."""
    model = bench.model()
    model.graph.node[0].domain = "evil.com"
    bench.replace_model(model)
    bench.vouch()
    return bench.bytes_alone()


def listed_outside(bench: Bench) -> list[str]:
    """A manifest that lists a file outside of its folder."""
    entry = replace(bench.known.files[0], path="../../etc/passwd")
    write_manifest(replace(bench.known, files=(entry,)), bench.manifest)
    return bench.bytes_alone()


CASES: list[tuple[str, Callable[[Bench], list[str]], int, str]] = [
    ("batch norm not recalibrated", not_recalibrated, VERIFICATION, "recalibrat"),
    ("one weight flipped after export", flipped_weight, VERIFICATION, "model.onnx: was changed after it was exported"),
    ("one weight flipped, manifest written anew", flipped_weight_vouched_for, VERIFICATION, "its signature is not of these bytes"),
    ("wrong normalisation beside the model", wrong_normalisation_beside, VERIFICATION, "something else under 'hwnas.preprocessing'"),
    ("wrong normalisation everywhere", wrong_normalisation_everywhere, VERIFICATION, "% on the test part, not"),
    ("calibration images all black", black_images, VERIFICATION, "calibration images are all one colour"),
    ("budget 10 % too small", budget_too_small, BUDGET, "over the budget"),
    ("manifest edited by hand", manifest_by_hand, VERIFICATION, "manifest.json: was changed after it was written"),
    ("manifest written anew with a better accuracy", manifest_by_tool, VERIFICATION, "% on the test part, not 99.00"),
    ("ONNX with external data in ../../etc", outside_data, VERIFICATION, "outside of the file, in '../../etc/passwd'"),
    ("ONNX with a custom operator", custom_operator, VERIFICATION, "uses the custom operator 'evil.com."),
    ("manifest that lists ../../etc", listed_outside, VERIFICATION, "outside of the folder"),
]


def measure(quick: bool) -> Outcome:
    """Every fault, each in a fresh copy."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        root, whole = _shipped(folder)
        public = _signed(whole)
        rows: list[tuple[object, ...]] = []
        for fault, make, wanted, words in CASES:
            with ExitStack() as stack:
                bench = Bench(root, _copy(whole, folder / "copy"), check_manifest(whole / "manifest.json"), public, stack)
                code, said = _said(make(bench))
            rows.append((fault, wanted, code, "yes" if code == wanted and words in said else "NO", said[:160]))
        caught = [row[3] == "yes" for row in rows]
        flips = QUICK_FLIPS if quick else FLIPS
        accepted = _accepted(_copy(whole, folder / "copy"), flips)
    rows.append((f"{flips} random byte flips of the model", VERIFICATION, "-", "yes" if not accepted else f"NO: {accepted}", ""))
    figures = {"caught": float(np.mean(caught)), "faults": float(len(caught)), "flips": float(flips), "flips_accepted": float(accepted)}
    return Outcome(("fault", "must exit with", "did", "caught", "message"), rows, figures, TARGETS)


def _shipped(folder: Path) -> tuple[Path, Path]:
    """A workspace that was run without a fault, and a folder that it wrote for onnxruntime."""
    root = write_workspace(folder / "ws")
    config = root / "hwnas.toml"
    # enough that a network which is asked wrongly does worse
    config.write_text(config.read_text().replace("train = 240", "train = 480").replace("epochs = 2", "epochs = 4"))
    code, said = _said(["run", "-w", str(root), "-q"])
    if code != 0:
        raise HwnasError(f"the run without a fault ended with exit code {code}: {said}")
    (result,) = root.glob("runs/*/result.json")
    rows = json.loads(result.read_text())["targets"]
    artifact = next(row["artifact"] for row in rows if row["runtime"] == "onnxruntime")
    return root, Path(shutil.copytree((root / artifact).parent, folder / "whole"))


def _signed(whole: Path) -> Path:
    """Sign the folder; returns the path of the public key."""
    key = Ed25519PrivateKey.generate()
    private, public = whole.with_name("key.pem"), whole.with_name("key.pub")
    pem = serialization.Encoding.PEM
    private.touch(mode=0o600)
    private.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo))
    for words in (["sign", str(whole), "--key", str(private)], ["verify", "--manifest", str(whole), "--key", str(public)]):
        code, said = _said(words)
        if code != 0:
            raise HwnasError(f"hwnas {words[0]} of a whole folder ended with exit code {code}: {said}")
    return public


def _accepted(folder: Path, flips: int) -> int:
    """How many of ``flips`` files with one byte that is another are taken, or refused by another way than the right one."""
    rng = np.random.default_rng(0)
    path = folder / MODEL
    data = path.read_bytes()
    accepted = 0
    for position in rng.integers(0, len(data), flips):
        other = bytes([data[position] ^ int(rng.integers(1, 256))])
        path.write_bytes(data[:position] + other + data[position + 1 :])
        code, said = _said(["verify", "--manifest", str(folder)])
        accepted += code != VERIFICATION or "was changed after it was exported" not in said
    return accepted


def _copy(whole: Path, to: Path) -> Path:
    shutil.rmtree(to, ignore_errors=True)
    return Path(shutil.copytree(whole, to))


def _said(words: list[str]) -> tuple[int, str]:
    """Exit code and what stands on stderr, in one line."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as err:
        code = call(words)
    return code, " ".join(err.getvalue().split())


if __name__ == "__main__":
    sys.exit(main("export.faults", measure))
