"""``hwnas doctor``: what it finds, what it calls wrong, and that it changes nothing."""

import json
import os

import pytest

from hwnas.cli.main import call
from hwnas.core.errors import DeviceError
from hwnas.pipeline import doctor
from hwnas.pipeline.checking import Checked
from hwnas.pipeline.installed import Package, allows, packages
from hwnas.profiler.check import DeviceReport, RuntimeReport
from tests.rig.small_run import write_workspace


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    """What the agent would say of this machine, so that none has to start; and what is installed."""
    runtimes = {"onnxruntime": RuntimeReport("1.31.1", None, 10, 21), "litert": RuntimeReport(None, "not installed", None, None)}
    report = DeviceReport("1", "3.11.7", "Linux", "x86_64", None, (0, 1), runtimes, {"governor": "powersave"}, {})
    monkeypatch.setattr(doctor, "report_of", lambda device: report)
    has = {"numpy": "2.4.6", "torch": "2.13.0+cpu", "onnxruntime": "1.31.1", "ai-edge-litert": "2.3.0"}
    wants = {"numpy": (">=2.0", ""), "torch": (">=2.13", "train"), "onnxruntime": (">=1.26", "onnx"), "ai-edge-litert": (">=2.3", "tflite")}
    wants["paramiko"] = (">=5.1", "ssh")

    def install(**versions):
        found = has | {name.replace("_", "-"): version for name, version in versions.items()}
        monkeypatch.setattr(doctor, "packages", lambda: tuple(Package(n, w, e, found.get(n)) for n, (w, e) in wants.items()))

    install()
    return install


def found(root, **options):
    return {(each.topic, each.name): each for each in doctor.examine(root, **options)}


def states(findings):
    return {name: each.state for (topic, name), each in findings.items() if topic == "packages"}


def test_without_a_workspace_nothing_is_needed(tmp_path):
    looked = found(tmp_path)
    assert looked["workspace", "hwnas.toml"].state == "absent"
    assert states(looked) == {"hwnas": "ok", "core": "ok", "[train]": "ok", "[onnx]": "ok", "[tflite]": "ok", "[ssh]": "absent"}
    assert doctor.exit_code(tuple(looked.values())) == 0
    assert "powersave" in looked["machine", "measuring"].text
    assert list(tmp_path.iterdir()) == []


def test_what_the_workspace_needs_is_wrong_where_it_is_missing(tmp_path, pretend, machine):
    root = write_workspace(tmp_path / "ws")
    (root / "devices" / "pi4.toml").write_text('transport = "ssh"\naddress = "pi@pi4"\n')
    machine(torch=None, onnxruntime="1.20.0")
    looked = found(root)
    assert states(looked) == {"hwnas": "ok", "core": "ok", "[train]": "wrong", "[onnx]": "wrong", "[tflite]": "ok", "[ssh]": "wrong"}
    assert looked["packages", "[ssh]"].text == "paramiko missing, and device 'pi4' needs it"
    assert looked["packages", "[onnx]"].text == "onnxruntime 1.20.0 is installed, >=1.26 is wanted"
    assert looked["packages", "[train]"].fix == "pip install 'hwnas[train]'"
    assert doctor.exit_code(tuple(looked.values())) == 2


def test_a_runtime_that_a_local_device_names_and_that_does_not_load_is_wrong(tmp_path, pretend):
    root = write_workspace(tmp_path / "ws")
    assert found(root)["runtimes", "litert"].state == "absent"
    (root / "devices" / "own.toml").write_text('transport = "local"\nruntimes = ["litert"]\n')
    looked = found(root)
    assert looked["runtimes", "litert"].state == "wrong"
    assert doctor.exit_code(tuple(looked.values())) == 3


@pytest.mark.parametrize(
    ("name", "text", "where"),
    [
        ("hwnas.toml", "seed = 'x'", "hwnas.toml"),
        ("devices/bad.toml", 'transport = "shh"\n', "devices/bad.toml"),
        ("export/recipes/bad.toml", 'device = "toi"\nruntime = "litert"\nbudgets = ["4ms"]\n', "export/recipes"),
        ("latency_tables/toy/x.json", "{", "x.json"),
    ],
)
def test_every_file_that_cannot_be_read_is_named(tmp_path, pretend, name, text, where):
    root = write_workspace(tmp_path / "ws")
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text)
    looked = found(root)
    wrong = [each.name for each in looked.values() if each.state == "wrong"]
    assert wrong == [where]
    assert doctor.exit_code(tuple(looked.values())) == 2


def test_data_that_is_gone_is_wrong(tmp_path, pretend):
    root = write_workspace(tmp_path / "ws")
    config = root / "hwnas.toml"
    config.write_text(config.read_text().replace('"fashion-mnist"', '"../photos"'))
    assert found(root)["workspace", "data"].state == "wrong"


def test_devices_are_asked_only_when_that_is_wanted(tmp_path, pretend, monkeypatch):
    root = write_workspace(tmp_path / "ws")
    asked: list[str] = []

    def check(devices, **_):
        asked.extend(device.id for device in devices)
        return [Checked(device.id, False, False, "no answer", ("switch it on",)) for device in devices]

    monkeypatch.setattr(doctor, "check_devices", check)
    assert doctor.exit_code(doctor.examine(root)) == 0
    assert asked == []
    looked = found(root, ask_devices=True)
    assert asked == ["toy"]
    assert looked["devices", "toy"].fix == "switch it on"
    assert doctor.exit_code(tuple(looked.values())) == 3


def test_an_agent_that_does_not_start_is_told(tmp_path, monkeypatch):
    def dead(device):
        raise DeviceError("the agent ended")

    monkeypatch.setattr(doctor, "report_of", dead)
    looked = found(tmp_path)
    assert looked["runtimes", "agent"].state == "wrong"
    assert looked["machine", "disk"].state in ("ok", "note")


def test_load_and_little_room_are_notes(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "getloadavg", lambda: (1.9, 0, 0))
    monkeypatch.setattr(doctor, "FREE_BYTES", 1 << 60)
    looked = found(tmp_path)
    assert looked["machine", "cores"].state == "note"
    assert looked["machine", "disk"].state == "note"
    assert doctor.exit_code(tuple(looked.values())) == 0


def test_the_command_prints_and_ends_with_the_code(tmp_path, pretend, machine, capsys):
    root = write_workspace(tmp_path / "ws")
    assert call(["doctor", "-w", str(root), "-q"]) == 0
    assert "nothing to fix" in capsys.readouterr().out
    machine(torch=None)
    assert call(["doctor", "-w", str(root), "--json"]) == 2
    told = json.loads(capsys.readouterr().out)
    assert (told["ok"], told["exit_code"]) == (False, 2)
    assert {"topic", "name", "state", "text", "fix", "exit_code"} == told["findings"][0].keys()


@pytest.mark.parametrize(
    ("wanted", "have", "fits"),
    [
        (">=2.13,<2.15", "2.13.0+cpu", True),
        (">=2.13,<2.15", "2.15.0", False),
        ("<2.15,>=2.13", "2.9", False),
        ("", "0", True),
        ("==1.2", "1.2.0", True),
        ("!=1.2", "1.2", False),
        (">1", "1.0.0", False),
        ("<=1", "1.0", True),
        ("~=1.4", "0.1", True),
    ],
)
def test_versions_are_compared_by_their_numbers(wanted, have, fits):
    assert allows(wanted, have) is fits


def test_requirements_are_read_from_the_metadata(monkeypatch):
    from importlib import metadata

    lines = [
        "numpy>=2.0",
        'torch<2.15,>=2.13; extra == "train"',
        'hwnas[train]; extra == "all"',
        'ruff>=0.9; extra == "dev"',
        'xyzzy (>=1) ; extra == "odd"',
    ]
    monkeypatch.setattr(metadata, "requires", lambda name: lines)
    assert [(each.name, each.wanted, each.extra) for each in packages()] == [
        ("numpy", ">=2.0", ""),
        ("torch", "<2.15,>=2.13", "train"),
        ("xyzzy", ">=1", "odd"),
    ]
    assert packages()[0].fits
    assert packages()[2].found is None

    def gone(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", gone)
    assert packages() == ()
