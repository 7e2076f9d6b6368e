"""A device on which a benchmark program measures, from its descriptor to verified files."""

import json
from pathlib import Path

import pytest

from hwnas.cli.main import call
from hwnas.core.errors import ConfigError
from hwnas.latency.tablefile import read_table
from hwnas.workspace import Workspace
from tests.rig.benchtool import write_program

# Takes what the size of the file says, as benchmark_model would tell it.
TOOL = """\
#!/bin/sh
for word in "$@"; do case "$word" in --graph=*) model="${word#--graph=}" ;; --num_runs=*) runs="${word#--num_runs=}" ;; esac; done
us=$((20 + $(stat -c %s "$model") / 20))
echo "count=3 curr=$us(all same)"
echo "count=$runs curr=$us(all same)"
echo "Inference timings in us: Init: 900, First inference: $us, Warmup (avg): $us, Inference (avg): $us"
"""
DEVICE = 'transport = "local"\n[native]\ntool = "benchmark_model"\npath = "benchmark_model"\n'
RECIPE = 'device = "phone"\nruntime = "{runtime}"\nbudgets = ["70%"]\nregime = "{regime}"\nstatistic = "{statistic}"\n'


def describe(root: Path, *, device=DEVICE, runtime="litert", regime="typical", statistic="p50"):
    for old in (*root.glob("export/recipes/*.toml"), *root.glob("devices/*.toml")):
        old.unlink()
    write_program(root / "devices" / "benchmark_model", TOOL)
    (root / "devices" / "phone.toml").write_text(device)
    (root / "export" / "recipes" / "phone.toml").write_text(RECIPE.format(runtime=runtime, regime=regime, statistic=statistic))
    return Workspace.open(root)


def test_the_program_is_beside_the_descriptor_and_names_the_runtime(workspace):
    device = describe(workspace).device("phone")
    assert device.native.path == str((workspace / "devices" / "benchmark_model").resolve())
    assert device.runtimes == ("litert",)
    assert (device.regimes, device.statistics) == (("typical",), ("p50",))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"regime": "quiet"}, "regime 'quiet' is not measured on 'phone', where benchmark_model measures; write regime = \"typical\""),
        ({"statistic": "p99"}, "statistic 'p99' is not measured on 'phone'"),
        ({"runtime": "onnxruntime"}, "device 'phone' has no runtime 'onnxruntime'"),
        ({"device": DEVICE.replace('"benchmark_model"\npath', '"trtexec"\npath')}, "tool is 'trtexec'; there are benchmark_model"),
        ({"device": DEVICE.replace("[native]", 'runtimes = ["onnxruntime"]\n[native]')}, "benchmark_model measures 'litert' and no other"),
        ({"device": DEVICE.replace("[native]", "cores = [1, 1]\n[native]")}, "must be distinct numbers"),
        ({"device": DEVICE + 'args = ["a\\u0000"]\n'}, "without control characters"),
        ({"device": DEVICE + "flags = []\n"}, "unknown key"),
    ],
)
def test_what_cannot_be_is_told_in_a_line(workspace, changes, words):
    opened = describe(workspace, **changes)
    with pytest.raises(ConfigError) as problem:
        assert opened.recipes is None
    assert words in str(problem.value)
    assert "\n" not in str(problem.value)


def test_check_looks_for_the_program_on_this_machine_and_for_a_shell_there(workspace, capsys):
    describe(workspace)
    assert call(["devices", "check", "-w", str(workspace), "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["reachable"]
    assert "benchmark_model measures litert there" in row["summary"]
    (workspace / "devices" / "benchmark_model").unlink()
    assert call(["devices", "check", "-w", str(workspace), "--json"]) == 3
    (row,) = json.loads(capsys.readouterr().out)
    assert "no such file" in row["summary"]


@pytest.mark.slow
def test_a_run_measures_searches_and_verifies_in_the_typical_regime(workspace, capsys):
    describe(workspace)
    assert call(["run", "-w", str(workspace), "--json", "-q"]) == 0
    document = json.loads(capsys.readouterr().out)
    (row,) = document["targets"]
    assert (row["regime"], row["verdict"]) == ("typical", "ok")
    assert row["measured_ms"] == row["measured_typical_ms"] <= row["budget_ms"]
    tables = list((workspace / "runs" / "tables").rglob("*.json"))
    assert [path.stem for path in tables] == ["litert-fp32-t1-b1-typical"]
    table = read_table(tables[0])
    assert table.facts["tool"] == "benchmark_model"
    assert table.facts.get("quiet_share") is None
    assert call(["profile", "phone", "-w", str(workspace), "--json", "-q"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["quiet_share"] is None
    assert call(["verify", str((workspace / row["artifact"]).parent), "-w", str(workspace), "--json", "-q"]) == 0
    assert json.loads(capsys.readouterr().out)["verdict"] == "ok"
