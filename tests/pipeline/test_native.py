"""A device on which a benchmark program measures, from its descriptor to verified files."""

import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from hwnas.cli.main import call
from hwnas.core.errors import ConfigError, DeviceError, Interrupted, UsageError
from hwnas.latency.tablefile import read_table
from hwnas.profiler import native
from hwnas.profiler.shell import SHELLS
from hwnas.profiler.together import Together
from hwnas.workspace import Workspace
from tests.rig import nativehost
from tests.rig.benchtool import write_program
from tests.rig.rootedshell import RootedShell

REPOSITORY = Path(__file__).parents[2]

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


@pytest.fixture
def phone(workspace, tmp_path, monkeypatch):
    """A device over adb without an agent: ``phone(files, tools)`` has these files, and tools that say this."""
    describe(workspace, device=DEVICE.replace("local", "adb"))

    def found(files, tools):
        for name, text in files.items():
            path = tmp_path / "phone" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        shell = RootedShell(tmp_path / "phone", lambda arguments: tools.get(" ".join(arguments)))
        monkeypatch.setattr(SHELLS, "_items", {**SHELLS._items, "adb": shell.opened})

    return found


PHONE = {"sys/devices/system/cpu/online": "0-3", "sys/class/thermal/thermal_zone0/type": "cpu-0-0", "proc/cpuinfo": "Hardware: Tensor G3"}
PHONE |= {f"sys/devices/system/cpu/cpu{core}/cpufreq/scaling_governor": "schedutil" for core in range(4)}
TOLD = {"uname -srm": "Linux 5.15 aarch64", "getprop ro.product.model": "Pixel 8", "getprop ro.build.version.release": "15"}


def test_check_tells_clock_and_heat_of_a_device_without_an_agent_and_what_to_fix(workspace, phone, capsys):
    phone({**PHONE, "sys/class/thermal/thermal_zone0/temp": "81500"}, {**TOLD, "dumpsys thermalservice": "Thermal Status: 3"})
    assert call(["devices", "check", "-w", str(workspace), "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["summary"] == "linux 5.15, aarch64, 4 cores, no agent: benchmark_model measures litert there, in the typical regime alone"
    assert [line.split(";")[0] for line in row["fixes"]] == [
        "the clock governor is '0-3: schedutil'",
        "it is 82 degrees hot",
        "its thermal status is 'severe'",
    ]
    assert row["report"]["facts"]["idle_share"] is None
    assert "proc/stat" in row["report"]["unknown"]["idle_share"]
    assert call(["devices", "check", "-w", str(workspace)]) == 0
    table = " ".join(capsys.readouterr().out.split())
    assert "no agent" in table
    assert "82 °C" in table
    assert "0-3: schedutil" in table
    assert "unknown" in table


def test_a_device_without_an_agent_is_asked_what_it_is_when_it_is_added(workspace, phone, capsys):
    phone(PHONE, TOLD)
    path = workspace / "devices" / "phone.toml"
    path.unlink()
    native = ["--set", "native.tool=benchmark_model", "--set", f"native.path={workspace / 'devices' / 'benchmark_model'}"]
    assert call(["devices", "add", "phone", "--transport", "adb", *native, "-w", str(workspace)]) == 0
    capsys.readouterr()
    device = Workspace.open(workspace).device("phone")
    assert device.runtimes == ("litert",)
    assert device.native.tool == "benchmark_model"
    assert device.facts == {"model": "Pixel 8", "cpu": "Tensor G3", "os": "Android 15"}
    assert path.read_text().startswith("# linux 5.15, aarch64, 4 cores; written by 'hwnas devices add'")
    (workspace / "devices" / "benchmark_model").unlink()
    assert call(["devices", "add", "other", "--transport", "local", *native, "-w", str(workspace)]) != 0
    assert "no such file" in capsys.readouterr().err
    assert not (workspace / "devices" / "other.toml").exists()


def test_another_device_or_program_in_mid_profile_starts_over(workspace, tmp_path, monkeypatch):
    calls = tmp_path / "calls"
    host(tmp_path, workspace, calls, {12: "exit 7"})
    with pytest.raises(DeviceError, match="ends with 7"):
        nativehost.attempt(tmp_path)
    before = len(noted(tmp_path, "burst"))
    seen = native.report_through
    monkeypatch.setattr(native, "report_through", lambda *given: replace(seen(*given), system="linux 99"))
    nativehost.attempt(tmp_path)
    after = noted(tmp_path, "burst")[before:]
    assert Counter(after) == dict.fromkeys(("m0", "m1", "m2"), 1 + nativehost.REPEATS), "nothing of the device before counts"


def host(tmp_path, workspace, calls, trouble):
    """What `nativehost` measures: three models, on a device whose program does ``trouble`` in the call of that number."""
    (workspace / "devices" / "toy.toml").unlink()
    for recipe in workspace.glob("export/recipes/*.toml"):
        recipe.unlink()
    case = "".join(f"{number}) {what} ;; " for number, what in trouble.items())
    log = f'echo "$model" >>{calls}\ncase $(wc -l <{calls}) in {case}*) ;; esac\n'
    write_program(workspace / "devices" / "benchmark_model", TOOL.replace("us=", log + "us=", 1))
    (workspace / "devices" / "phone.toml").write_text(DEVICE)
    for number in range(3):
        (tmp_path / f"m{number}.tflite").write_bytes(bytes(2000 * (number + 1)))


def noted(tmp_path, kind):
    lines = (tmp_path / nativehost.JOURNAL).read_text().splitlines()
    return [record["key"] for record in map(json.loads, lines) if record["kind"] == kind]


def made(calls):
    """How often the program was called with a model that is measured, and not with the reference."""
    return sum("reference" not in line for line in calls.read_text().splitlines())


def test_a_host_that_is_killed_loses_and_repeats_no_burst(workspace, tmp_path):
    calls = tmp_path / "calls"
    host(tmp_path, workspace, calls, {9: "kill -9 $PPID; exit 0", 17: "kill -9 $PPID; exit 0"})
    paths = os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "devices" / "agent")])
    codes, bursts = [], []
    for _ in range(3):
        command = [sys.executable, "-m", "tests.rig.nativehost", str(tmp_path)]
        env = {**os.environ, "PYTHONPATH": paths, "TMPDIR": str(tmp_path)}
        codes.append(subprocess.run(command, cwd=REPOSITORY, env=env, timeout=300).returncode)
        bursts.append(noted(tmp_path, "burst"))
    assert codes == [-9, -9, 0]
    assert bursts[2][: len(bursts[1])] == bursts[1]
    assert bursts[1][: len(bursts[0])] == bursts[0]
    assert Counter(bursts[2]) == dict.fromkeys(("m0", "m1", "m2"), 1 + nativehost.REPEATS)
    lost = sum("reference" not in calls.read_text().splitlines()[number - 1] for number in (9, 17))
    assert made(calls) == len(bursts[2]) + lost, "only what had not been printed was done again"
    assert sorted(noted(tmp_path, "timing")) == ["m0", "m1", "m2"]


def test_bursts_of_an_interrupted_session_make_the_same_measurement(workspace, tmp_path):
    calls = tmp_path / "calls"
    host(tmp_path, workspace, calls, {12: "exit 7"})
    with pytest.raises(DeviceError, match="ends with 7"):
        nativehost.attempt(tmp_path)
    kept = noted(tmp_path, "burst")
    assert kept
    assert not noted(tmp_path, "timing")
    found = nativehost.attempt(tmp_path)
    assert noted(tmp_path, "burst")[: len(kept)] == kept
    for number, regimes in enumerate(found.values()):
        us = 20 + 2000 * (number + 1) // 20
        assert regimes["typical"].samples_ms == (us / 1e3,) * nativehost.REPEATS
        assert (regimes["typical"].load_ms, regimes["typical"].first_ms) == (0.9, us / 1e3)
    before = made(calls)
    assert nativehost.attempt(tmp_path) == found
    assert made(calls) == before, "what has a timing is not measured again"


def test_a_burst_that_was_edited_is_refused(workspace, tmp_path):
    host(tmp_path, workspace, tmp_path / "calls", {6: "exit 7"})
    with pytest.raises(DeviceError):
        nativehost.attempt(tmp_path)
    path = tmp_path / nativehost.JOURNAL
    path.write_text(path.read_text().replace('"typical_us":120', '"typical_us":-1'))
    with pytest.raises(UsageError, match=r"journal.jsonl: m0: a burst of"):
        nativehost.attempt(tmp_path)


def test_the_word_to_stop_is_heard_between_bursts(workspace, tmp_path, monkeypatch):
    calls = tmp_path / "calls"
    host(tmp_path, workspace, calls, {})
    monkeypatch.setattr(Together, "check", lambda self: (_ for _ in ()).throw(Interrupted("interrupted")) if made(calls) == 2 else None)
    with pytest.raises(Interrupted):
        nativehost.attempt(tmp_path)
    assert made(calls) == len(noted(tmp_path, "burst")) == 2


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
