"""``hwnas predictor``: fitting to a table's networks and evaluating on those held out."""

from dataclasses import replace
from pathlib import Path

import pytest

from hwnas.latency.tablefile import write_table
from hwnas.latency.trusted import TrustedLatency
from tests.cli.test_commands import hw, hw_json
from tests.cli.test_tables import TOML
from tests.latency.tables import make_table, tiny_space

DEVICE = 'transport = "local"\nruntimes = ["onnxruntime"]\n'


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A workspace with accepted tables of three devices."""
    folder = tmp_path_factory.mktemp("predictors")
    (folder / "hwnas.toml").write_text(TOML + "resolutions = [20]\n")
    for name in ("devices", "export"):
        (folder / name).mkdir()
    for seed, device in enumerate(("board", "phone", "tablet", "laptop", "bare", "partial")):
        (folder / "devices" / f"{device}.toml").write_text(DEVICE)
        table = make_table(tiny_space(), device=device, networks=40, seed=seed)
        if device == "bare":
            table = replace(table, networks={})
        if device == "partial":
            table = replace(table, entries=dict(sorted(table.entries.items())[1:]))
        write_table(table, folder / "latency_tables")
    return folder


@pytest.mark.parametrize("kind", ["additive", "calibrated", "transfer"])
def test_what_is_fitted_is_stored_with_intervals(root, capsys, kind):
    found = hw_json(capsys, "predictor", "fit", "board", "--runtime", "onnxruntime", "--kind", kind, "-w", root)
    assert (found["kind"], found["networks"], found["confidence"]) == (kind, 40, 0.95)
    assert found["additivity"].startswith("the table adds up")
    stored = TrustedLatency.load(Path(found["file"]), tiny_space(), device="board", runtime="onnxruntime", statistic="p50")
    codes = tiny_space().architecture([0] * len(tiny_space().choices)).codes
    assert stored.upper(codes)[0] > stored.predict(codes).mean[0] > 0
    assert stored.intervals is not None
    assert stored.intervals.borrowed == (kind == "transfer")


def test_an_evaluation_says_how_good_it_is(root, capsys):
    found = hw_json(capsys, "predictor", "eval", "board", "--runtime", "onnxruntime", "-w", root)
    assert found["networks"] == 40
    assert found["within_5"] > 0.9
    assert found["spearman"] > 0.9
    assert 0.8 <= found["coverage_90"] <= 1
    assert found["minutes_sampled"] > 0
    shown = hw(capsys, "predictor", "eval", "board", "--runtime", "onnxruntime", "-w", root)[1]
    assert "MAPE" in shown
    assert "coverage of 90 % intervals" in shown


def test_a_plot_is_drawn_twice(root, capsys, tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib (extra 'plot') is not installed")
    arguments = ("predictor", "eval", "board", "--runtime", "onnxruntime", "-w", root, "--plot")
    found = hw_json(capsys, *arguments, tmp_path / "new" / "plot.png")
    png, svg = (Path(file).read_bytes() for file in found["plots"])
    assert png.startswith(b"\x89PNG")
    assert b"<svg" in svg
    again = hw_json(capsys, *arguments, tmp_path / "again.svg")
    assert [Path(file).read_bytes() for file in again["plots"]] == [png, svg]


def test_blocks_that_are_lacking_are_learned_from_whole_networks_and_named(root, capsys):
    found = hw_json(capsys, "predictor", "fit", "partial", "--runtime", "onnxruntime", "-w", root)
    assert (found["kind"], found["networks"]) == ("calibrated", 40)
    assert "blocks are not in the table, first" in found["additivity"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("fit", "partial", "--runtime", "onnxruntime", "--kind", "additive"), "blocks are not in the table, first"),
        (("fit", "bare", "--runtime", "onnxruntime"), "the table has no whole network of space 'tiny-32'"),
        (("fit", "board", "--runtime", "onnxruntime", "--kind", "calibratd"), "did you mean 'calibrated'?"),
        (("eval", "board", "--runtime", "litert"), "no table litert-fp32-t1-b1-quiet of device 'board'; did you mean 'onnxruntime-fp32"),
        (("eval", "board", "--runtime", "onnxruntime", "--plot", "plot.jpg"), "a plot is written as .png and .svg"),
        (("fit", "nobody", "--runtime", "onnxruntime"), "nobody"),
    ],
)
def test_mistakes_are_one_line(root, capsys, arguments, words):
    code, _, problem = hw(capsys, "predictor", *arguments, "-w", root)
    assert code == 2
    assert words in problem
    assert problem.count("\n") == 1
