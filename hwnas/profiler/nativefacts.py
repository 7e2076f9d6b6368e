"""What a device is on which no agent runs: read through its shell, by the functions with which the agent reads its own device."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from hwnas_agent.board import board_facts, device_facts
from hwnas_agent.files import Unknown, line_of
from hwnas_agent.wire import printable

from hwnas.core.access import NativeOptions
from hwnas.core.device import MAX_CORES, Device
from hwnas.core.errors import ConfigError, DeviceLost
from hwnas.core.serial import sha256_file
from hwnas.profiler.check import DeviceReport, RuntimeReport, facts_in
from hwnas.profiler.nativetools import check_arguments
from hwnas.profiler.shell import KEPT_BYTES, SHELLS, Shell, last_words

READ_S = 30.0
TOOL_S = 10.0
AT_ONCE = 100
"""Files that one command reads: their lines have to fit into what is kept of its output."""


class ShellSource:
    """A `hwnas_agent.files.Source`: the files and tools of the device behind a shell. Many small files are read by one command."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell

    def text(self, path: str) -> str:
        """See `hwnas_agent.files.Source`."""
        return self._said(["head", "-c", str(KEPT_BYTES), "/" + path])

    def lines(self, paths: Sequence[str]) -> dict[str, str]:
        """See `hwnas_agent.files.Source`."""
        found: dict[str, str] = {}
        for at in range(0, len(paths), AT_ONCE):
            some = {"/" + path: path for path in paths[at : at + AT_ONCE]}
            _, words = self._shell.run(["grep", "-H", "-m", "1", "^", *some], timeout_s=READ_S)
            for said in words.splitlines():
                path, colon, line = said.partition(":")
                if colon and path in some and line.strip():
                    found[some[path]] = line.strip()
        return found

    def names(self, folder: str) -> list[str]:
        """See `hwnas_agent.files.Source`."""
        return sorted(self._said(["ls", "/" + folder]).split())

    def tool(self, arguments: Sequence[str]) -> str:
        """See `hwnas_agent.files.Source`."""
        try:
            status, words = self._shell.run(arguments, timeout_s=TOOL_S)
        except DeviceLost as problem:
            raise Unknown(str(problem)) from None
        if status != 0:
            raise Unknown(f"{arguments[0]} is not there" if status == 127 else f"{arguments[0]} ended with {status}")
        return words

    def _said(self, arguments: Sequence[str]) -> str:
        status, words = self._shell.run(arguments, timeout_s=READ_S)
        if status != 0:
            raise Unknown(last_words(words))
        return words


def native_report(device: Device) -> DeviceReport:
    """What a device with ``[native]`` is, once it is there, runs commands, and its program has arrived there."""
    options = native_options(device)
    with SHELLS.get(device.transport)(device) as shell:
        shell.push(Path(options.path), options.tool, executable=True)
        return report_through(shell, options, board=True)


def native_options(device: Device) -> NativeOptions:
    """``[native]`` of a device; `ConfigError` where there is none, or it wants what cannot be."""
    if device.native is None:
        raise ConfigError(f"{device.id}: has no [native] in its descriptor")
    check_arguments(device.native.tool, device.native.args)
    return device.native


def report_through(shell: Shell, options: NativeOptions, *, board: bool = False) -> DeviceReport:
    """What the device behind ``shell`` is, its runtime being the program of ``options``; with ``board`` also what board it is.

    The program tells no version, so that it is known by its file.
    """
    source = ShellSource(shell)
    status, words = shell.run(["uname", "-srm"], timeout_s=READ_S)
    kernel, release, arch = words.split() if status == 0 and len(words.split()) == 3 else ("", "", "")
    cores = online_cores(shell)
    told: Mapping[str, Mapping[str, object]] = {**device_facts(cores, source), **(board_facts(cores, source) if board else {})}
    facts, unknown = facts_in(told)
    version = f"{options.tool} {sha256_file(Path(options.path))[:12]}"
    return DeviceReport(
        agent="",
        python="",
        system=printable(f"{kernel.lower()} {release}", 64).strip(),
        arch=printable(arch, 64),
        libc=None,
        cores=cores,
        runtimes={options.runtime: RuntimeReport(version, None, None, None)},
        facts=facts,
        unknown=unknown,
    )


def online_cores(shell: Shell) -> tuple[int, ...]:
    """The cores of a device, in order; none where it does not tell: ``0-3,6``."""
    try:
        text = line_of(ShellSource(shell), "sys/devices/system/cpu/online")
    except Unknown:
        return ()
    spans = [re.fullmatch("([0-9]{1,4})(?:-([0-9]{1,4}))?", part) for part in text.split(",")]
    ends = [(int(span[1]), int(span[2] or span[1])) for span in spans if span is not None]
    if len(ends) != len(spans) or any(last >= MAX_CORES for _, last in ends):
        return ()
    return tuple(sorted({core for first, last in ends for core in range(first, last + 1)}))
