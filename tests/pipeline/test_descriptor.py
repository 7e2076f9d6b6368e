"""Descriptors that ``hwnas devices add`` writes: whatever a device says, they are read back as they were meant."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.core.errors import ConfigError, UnknownNameError
from hwnas.pipeline.descriptor import FACTS, Asked, device_in, render, usable_runtimes
from hwnas.profiler.check import DeviceReport, RuntimeReport
from tests.pipeline.test_checking import REPORT

PATH = Path("/somewhere/devices/x.toml")
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
    device = device_in(render(Asked("x", "ssh", "pi@board", options=given), REPORT), PATH)
    for name, value in given.items():
        found = getattr(device.ssh, name)
        assert found == (str(PATH.parent / value) if name == "key" else value)


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
        Asked("x", "local", options={"key": "k", "jump": "j"})
    for address in ("a\nb", "\udcff"):
        with pytest.raises(ConfigError, match="address has control characters"):
            Asked("x", "ssh", address)
