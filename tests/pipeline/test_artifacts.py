"""What decides whether a file may be shipped, and when it is built anew."""

import json
import re

import pytest

from hwnas.cli.main import call
from hwnas.core.errors import ConfigError, UnknownNameError, VerificationError
from hwnas.export.manifest import check_manifest
from hwnas.export.sensitivity import layers_of
from hwnas.pipeline.artifacts import CODE
from hwnas.pipeline.fidelity import require_int8
from hwnas.pipeline.filespec import FileSpec
from hwnas.recipe import Int8Limits
from hwnas.store.sources import source_digest

RECIPE = 'device = "toy"\nruntime = "litert"\nprecision = "int8"\nbudgets = ["90%"]\n'
OVER = ["[int8]\nmax_float_layers = 0\n", "[int8]\nmax_float_layers = 0\nmax_accuracy_drop = 0.5\nmin_top1_agreement = 1.0\n"]
WITHIN = "[int8]\nmax_accuracy_drop = 0.5\nmin_top1_agreement = 0.3\n"
SAID = r"subnet \w+ in int8: accuracy drops by -?[\d.]+ points \(at most [\d.]+ allowed\), top-1 agrees on [\d.]+ % of images \(at least"


@pytest.mark.slow
def test_an_8_bit_main_file_is_held_to_the_limits_of_its_recipe(copy, capsys, monkeypatch):
    from hwnas.export.to_tflite import TfliteExporter

    run = TfliteExporter.run

    def worse(self, artifact, images):
        """A fifth of the images is answered with the least likely class."""
        (logits,) = run(self, artifact, images)
        logits[::5] *= -1
        return (logits,)

    recipes = copy / "export" / "recipes"
    (recipes / "toy-onnxruntime.toml").unlink()
    monkeypatch.setattr(TfliteExporter, "run", worse)
    for limits in OVER:
        (recipes / "toy-litert.toml").write_text(RECIPE + limits)
        assert call(["run", "-w", str(copy), "--json", "-q"]) == 5
        said = capsys.readouterr()
        assert said.out == ""
        (line,) = said.err.strip().split("\n")
        assert re.search(SAID, line)
    (recipes / "toy-litert.toml").write_text(RECIPE + WITHIN)
    assert call(["run", "-w", str(copy), "--json", "-q"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["targets"]
    manifest = check_manifest((copy / row["artifact"]).with_name("manifest.json"))
    assert (row["precision"], manifest.precision) == ("int8", "int8")
    assert 0.3 <= manifest.parity.top1_agreement < 0.9


def test_files_of_other_tools_are_built_anew_and_the_manifest_says_by_which(copy, capsys, monkeypatch):
    def stages():
        return {path.name for path in (copy / "runs" / "stages").glob("artifact-*")}

    (copy / "export" / "recipes" / "toy-onnxruntime.toml").unlink()
    before = stages()
    assert call(["run", "-w", str(copy), "--json", "-q"]) == 0
    assert stages() == before
    monkeypatch.setattr("hwnas.pipeline.artifacts.tool_versions", lambda: {"python": "3.99", "torch": "9"})
    assert call(["run", "-w", str(copy), "--json", "-q"]) == 0
    assert len(stages()) > len(before)
    for row in json.loads(capsys.readouterr().out.strip().split("\n")[-1])["targets"]:
        assert check_manifest((copy / row["artifact"]).with_name("manifest.json")).tools == {"python": "3.99", "torch": "9"}


def test_recalibration_decides_what_is_in_a_file():
    """So its source is part of the key: naming it as well adds nothing."""
    assert source_digest(*CODE) == source_digest(*CODE, "hwnas.supernet.calibrate")


def test_limits_are_those_of_the_recipe_or_the_defaults():
    assert FileSpec("litert").limits is None
    assert FileSpec("litert", "int8").limits == Int8Limits()
    assert FileSpec("litert", int8=Int8Limits(8)).limits == FileSpec("litert", "int8", Int8Limits(8)).limits == Int8Limits(8)


@pytest.mark.parametrize(("wrong", "words"), [({"ranges": "mean"}, "unknown ranges 'mean'"), ({"max_float_layers": -1}, "at least 0")])
def test_limits_that_cannot_be_are_named(wrong, words):
    with pytest.raises((ConfigError, UnknownNameError, ValueError), match=words):
        Int8Limits(**wrong)


def test_both_limits_count():
    limits = Int8Limits(max_accuracy_drop=0.02, min_top1_agreement=0.9)
    require_int8(limits, drop=0.02, agreement=0.9, what="a file")
    require_int8(limits, drop=-0.1, agreement=1.0, what="a file")
    with pytest.raises(VerificationError, match=r"a file in int8: accuracy drops by 3\.0 points \(at most 2\.0 allowed\)"):
        require_int8(limits, drop=0.03, agreement=1.0, what="a file")
    with pytest.raises(VerificationError, match=r"agrees on 89\.0 % of images \(at least 90\.0 needed\)"):
        require_int8(limits, drop=0.0, agreement=0.89, what="a file")


def test_a_file_with_float_layers_is_timed_and_shipped_as_what_it_is(copy, pretend, capsys, monkeypatch):
    """Where 8 bits alone are not enough; pretended here, since nobody can say which network that happens to."""
    monkeypatch.setattr("hwnas.pipeline.artifacts.is_enough", lambda *known: known[-1].precision == "mixed")
    monkeypatch.setattr("hwnas.export.sensitivity.sensitivities", lambda _exporter, graph, *_: dict.fromkeys(layers_of(graph), 1.0))
    (copy / "export" / "recipes" / "toy-litert.toml").unlink()
    recipe = copy / "export" / "recipes" / "toy-onnxruntime.toml"
    recipe.write_text(recipe.read_text().replace('["50%", "90%"]', '["90%"]').replace("= 0.3", "= 0.3\nmax_float_layers = 1"))
    assert call(["run", "-w", str(copy), "--json", "-q"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["targets"]
    beside = row["int8"]
    assert (beside["precision"], beside["ships"], len(beside["kept_float"])) == ("mixed", True, 1)
    assert beside["measured_ms"] > 0
    manifest = check_manifest((copy / row["artifact"]).with_name("manifest.json"))
    assert manifest.int8 is not None
    assert (manifest.int8.precision, manifest.int8.kept_float) == ("mixed", tuple(beside["kept_float"]))
    journal = (copy / "runs" / row["artifact"].split("/")[1] / "journal.jsonl").read_text()
    assert '"precision":"mixed"' in journal, "timed under its own conditions"
