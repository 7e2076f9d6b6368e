"""What a device without an agent says of itself through its shell is what an agent there would say."""

from dataclasses import replace
from pathlib import Path

import pytest
from hwnas_agent.board import board_facts, device_facts
from hwnas_agent.files import Here, Unknown
from hwnas_agent.wire import printable
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.core.access import NativeOptions
from hwnas.core.device import Device
from hwnas.core.errors import ConfigError, DeviceLost
from hwnas.core.serial import sha256_file
from hwnas.pipeline.identity import Identity
from hwnas.profiler.nativefacts import ShellSource, native_report, online_cores, report_through
from tests.agent.test_board import FILES, SAID
from tests.rig.benchtool import write_program
from tests.rig.rootedshell import RootedShell

CORES = range(6)


@pytest.fixture
def root(tmp_path):
    files = {**FILES, "sys/devices/system/cpu/online": "0-5\n", "proc/cpuinfo": "processor: 0\nHardware\t: Kirin 970\n"}
    for name, text in files.items():
        path = tmp_path / "root" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "root"


@pytest.fixture
def options(tmp_path):
    return NativeOptions("benchmark_model", str(write_program(tmp_path / "tool", "#!/bin/sh\n")))


def said(arguments):
    return "Linux 5.10.43-android aarch64\n" if arguments[0] == "uname" else SAID.get(arguments[0])


def facts_of(device):
    return {**device_facts(CORES, device), **board_facts(CORES, device)}


def values(facts):
    return {name: fact["value"] for name, fact in facts.items()}


def test_facts_are_those_that_an_agent_there_would_read(root):
    def tool(arguments):
        text = said(arguments)
        if text is None:
            raise Unknown(f"{arguments[0]} is not there")
        return text

    through = facts_of(ShellSource(RootedShell(root, said)))
    assert values(through) == values(facts_of(Here(str(root), tool)))
    assert (through["temperature_c"]["value"], through["throttled"]["value"]) == (61.2, "now: under-voltage, throttled")


def test_many_files_are_read_by_one_command(root):
    for number in range(5, 140):
        folder = root / f"sys/class/thermal/thermal_zone{number}"
        folder.mkdir()
        (folder / "type").write_text("cpu-1-7\n")
        (folder / "temp").write_text(f"{40000 + number}\n")
    shell = RootedShell(root)
    assert device_facts(CORES, ShellSource(shell))["temperature_c"]["value"] == 61.2
    assert sum(words[0] == "grep" for words in shell.commands) <= 4


def test_a_report_names_system_cores_and_the_program_by_its_content(root, options):
    report = report_through(RootedShell(root, said), options, board=True)
    assert (report.agent, report.python, report.system, report.arch) == ("", "", "linux 5.10.43-android", "aarch64")
    assert report.cores == tuple(CORES)
    assert report.runtimes["litert"].version == f"benchmark_model {sha256_file(Path(options.path))[:12]}"
    assert report.facts["governors"] == "0-1,5: ondemand, 2-4: performance"
    assert Identity.of(report, "litert").cpu == "Kirin 970"
    assert "model" not in report_through(RootedShell(root, said), options).facts


def test_where_nothing_is_told_everything_is_unknown_with_the_reason(tmp_path, options):
    report = report_through(RootedShell(tmp_path), options, board=True)
    assert (report.system, report.arch, report.cores) == ("", "", ())
    assert set(report.facts.values()) == {None}
    assert report.unknown.keys() == report.facts.keys()
    assert "No such file" in report.unknown["cpu"]
    assert report.unknown["throttled"] == "vcgencmd is not there"
    identity = Identity.of(report, "litert")
    assert (identity.system, identity.arch, identity.cpu) == (None, None, None)


def test_a_tool_that_hangs_is_unknown_and_a_lost_device_is_lost(root, options):
    def hangs(arguments):
        if arguments[0] == "nvpmodel":
            raise DeviceLost("nvpmodel did not end within 10 s")
        return said(arguments)

    report = report_through(RootedShell(root, hangs), options, board=True)
    assert report.unknown["power_mode"] == "nvpmodel did not end within 10 s"

    def lost(arguments):
        raise DeviceLost("the cable is out")

    with pytest.raises(DeviceLost):
        report_through(RootedShell(root, lost), options)


@pytest.mark.parametrize(
    ("text", "cores"),
    [
        ("0-3\n", (0, 1, 2, 3)),
        ("0\n", (0,)),
        ("0-1,4-5,7", (0, 1, 4, 5, 7)),
        ("", ()),
        ("0-99999", ()),
        ("0-9999", ()),
        ("all", ()),
        ("0-", ()),
        ("\u0663", ()),
    ],
)
def test_cores_are_those_that_are_online(root, text, cores):
    (root / "sys/devices/system/cpu/online").write_text(text)
    assert online_cores(RootedShell(root)) == cores


class Says:
    def __init__(self, words, status=0):
        self.words, self.status = words, status

    def run(self, arguments, *, timeout_s):
        return self.status, self.words


@settings(max_examples=40)
@given(st.text(max_size=300), st.sampled_from([0, 1, 127]))
def test_whatever_a_shell_says_is_a_fact_or_a_reason(words, status):
    shell = Says(words, status)
    for fact in device_facts(online_cores(shell)[:4], ShellSource(shell)).values():
        assert (fact["value"] is None) == bool(fact["reason"])
        assert all(text == printable(text) for text in fact.values() if isinstance(text, str))
        assert not isinstance(fact["value"], float) or 0 <= fact["value"] < 1e12


def test_this_machine_is_read_for_real(options):
    device = Device("phone", "local", native=options)
    report = native_report(device)
    assert report.system.startswith("linux ")
    assert report.cores
    assert report.facts["memory_bytes"] > 0
    assert report.facts["boot_id"]
    with pytest.raises(ConfigError, match=r"has no \[native\]"):
        native_report(replace(device, native=None))
    with pytest.raises(ConfigError, match="is set by hwnas"):
        native_report(replace(device, native=replace(options, args=("--graph=x",))))
