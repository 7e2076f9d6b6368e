"""Descriptors that ``hwnas devices add`` writes: whatever a device says, they are read back as they were meant."""

from dataclasses import replace
from pathlib import Path
from typing import get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.core.access import ADB_AGENTS, IS_PATH, TABLES, WHAT
from hwnas.core.errors import ConfigError, UnknownNameError
from hwnas.pipeline.descriptor import FACTS, OPTIONS, Asked, device_in, option_in, render, usable_runtimes
from hwnas.profiler.check import DeviceReport, RuntimeReport
from tests.pipeline.test_checking import REPORT

PATH = Path("/somewhere/devices/x.toml")
TOOL = "benchmark_model"
texts = st.text(max_size=40)
printables = texts.filter(str.isprintable)
runtimes = st.builds(RuntimeReport, st.none() | texts, st.none() | texts, st.none() | st.integers(0, 99), st.none() | st.integers(0, 99))
reports = st.builds(
    DeviceReport,
    agent=texts,
    python=texts,
    system=texts,
    arch=texts,
    libc=st.none(),
    cores=st.just((0, 1)),
    runtimes=st.dictionaries(st.sampled_from(["onnxruntime", "litert", "onnxruntime-web"]) | texts, runtimes, max_size=4),
    facts=st.dictionaries(
        st.sampled_from(sorted(FACTS)), st.none() | printables | st.floats(0, 1e15) | st.integers(0, 2**53), max_size=len(FACTS)
    ),
    unknown=st.just({}),
)


@settings(max_examples=60)
@given(printables, st.integers(1, 64), reports)
def test_what_is_written_is_read_back(address, threads, report):
    asked = Asked("x", "local", address, threads)
    device = device_in(render(asked, report), PATH)
    assert (device.id, device.transport, device.address, device.threads) == ("x", "local", address, threads)
    assert device.runtimes == usable_runtimes(report)
    assert device.facts == {name: value for name, value in report.facts.items() if value is not None}
    assert device_in(render(asked), PATH).runtimes == ()


@settings(max_examples=40)
@given(st.dictionaries(st.sampled_from(["key", "jump", "python", "folder"]), printables.filter(bool), max_size=4), st.booleans())
def test_options_of_ssh_are_read_back(options, agent):
    given = {name: value for name, value in options.items() if not value.startswith("~")} | {"agent": agent}
    device = device_in(render(Asked("x", "ssh", "pi@board", options={"ssh": given}), REPORT), PATH)
    for name, value in given.items():
        found = getattr(device.ssh, name)
        assert found == (str(PATH.parent / value) if name == "key" else value)


values = {
    str: printables.filter(lambda text: text and not text.startswith("~")),
    bool: st.booleans(),
    int: st.integers(1, 65535),
    tuple[str, ...]: st.lists(printables.filter(bool), max_size=3).map(tuple),
}
SOUND = {"server": st.just("127.0.0.1:5038"), "agent": st.sampled_from(ADB_AGENTS), "folder": st.just("/data/x"), "tool": st.just(TOOL)}


@settings(max_examples=30)
@given(st.data(), st.sampled_from(sorted(TABLES)))
def test_every_option_of_every_table_is_written_and_read_back(data, table):
    kinds = get_type_hints(TABLES[table])
    sound = SOUND if table != "ssh" else {}
    given = {name: data.draw(sound.get(name, values[kinds[name]]), name) for name in OPTIONS[table]}
    transport = "local" if table == "native" else table
    device = device_in(render(Asked("x", transport, options={table: given})), PATH)
    for name, field in OPTIONS[table].items():
        found = getattr(getattr(device, table), name)
        assert found == (str(PATH.parent / given[name]) if field.metadata[IS_PATH] else given[name])


@pytest.mark.parametrize(("table", "name"), [(table, name) for table in OPTIONS for name in OPTIONS[table]])
def test_every_option_says_what_it_is_and_is_typed_as_it_is(table, name):
    kind = get_type_hints(TABLES[table])[name]
    typed = {str: ("a=b", "a=b"), bool: ("true", True), int: ("99", 99), tuple[str, ...]: ("--x=1", ("--x=1",))}[kind]
    assert option_in(f"{table}.{name}={typed[0]}") == (table, name, typed[1])
    assert OPTIONS[table][name].metadata[WHAT]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("key=k", "is not of the form TABLE.NAME=VALUE"),
        ("ssh.key", "is not of the form"),
        ("usb.key=k", "tables are ssh, adb, native"),
        ("ssh.kye=k", r"unknown option of \[ssh\] 'kye'; did you mean 'key'"),
        ("ssh.agent=yes", "ssh.agent is true or false, not 'yes'"),
        ("adb.port=high", "adb.port is a number, not 'high'"),
        ("adb.port=-1", "is a number"),
    ],
)
def test_options_that_are_mistyped_are_told(text, words):
    with pytest.raises((ConfigError, UnknownNameError), match=words):
        option_in(text)


def test_each_line_says_what_it_is():
    text = render(Asked("x", "local"), replace(REPORT, facts={**REPORT.facts, "model": "Raspberry Pi 4"}))
    for line in text.splitlines():
        assert not line or line.startswith(("#", "[")) or "  # " in line
    assert "# onnxruntime 1.20.0, reads ONNX up to IR 10 and opset 21" in text
    assert 'model = "Raspberry Pi 4"  # the board' in text
    assert "without asking" in render(Asked("x", "local"))


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "-x", "a b", "x" * 65, "é", "a\n", "con\0", ".hidden"])
def test_names_that_are_no_file_names_are_refused(name):
    with pytest.raises(ConfigError, match="is no name for a device"):
        Asked(name, "local")


def test_what_does_not_fit_is_refused():
    with pytest.raises(UnknownNameError, match="did you mean 'local'"):
        Asked("x", "locl")
    with pytest.raises(ConfigError, match="transport 'local' takes no jump and no key"):
        Asked("x", "local", options={"local": {"key": "k", "jump": "j"}})
    with pytest.raises(ConfigError, match=r"\[ssh\] is for devices whose transport is 'ssh', not 'local'"):
        Asked("x", "local", options={"ssh": {"key": "k"}})
    with pytest.raises(ConfigError, match="'nativ' takes no tool"):
        Asked("x", "local", options={"nativ": {"tool": "k"}})
    with pytest.raises(ConfigError, match="args has control characters"):
        Asked("x", "local", options={"native": {"args": ("fine", "a\nb")}})
    for address in ("a\nb", "\udcff"):
        with pytest.raises(ConfigError, match="address has control characters"):
            Asked("x", "ssh", address)
