"""``hwnas doctor``: what is installed, missing or misconfigured, and what to do about it. It changes nothing."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hwnas import __version__
from hwnas.config import CONFIG
from hwnas.core.device import Device
from hwnas.core.errors import DeviceError, HwnasError, UsageError
from hwnas.core.serial import read_toml
from hwnas.data import BUILT_IN
from hwnas.export.exporter import RUNTIME_FORMATS
from hwnas.latency.tablefile import read_table
from hwnas.pipeline.advice import advice
from hwnas.pipeline.checking import check_devices, report_of
from hwnas.pipeline.installed import packages
from hwnas.workspace import Workspace, device_from

FREE_BYTES = 2_000_000_000
"""A supernet, its images and the files of a table's blocks take some hundred MB; ImageNet takes more."""
BUSY = 0.25
"""Runnable processes a core, over a minute, above which timings of this machine suffer."""
FORMAT_EXTRAS = {"onnx": "onnx", "tflite": "tflite", "pt2": "train"}
TRANSPORT_EXTRAS = {"ssh": "ssh", "adb": "adb"}

State = Literal["ok", "absent", "note", "wrong"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. ``absent`` is what nothing here needs, a ``note`` works but could be better, ``wrong`` has to be fixed.

    ``exit_code`` is what a wrong one ends the command with; ``fix`` is what to do.
    """

    topic: str
    name: str
    state: State
    text: str
    fix: str = ""
    exit_code: int = 0


def examine(folder: Path, *, ask_devices: bool = False, step: Callable[[str], None] = lambda _: None) -> tuple[Finding, ...]:
    """Look at this machine and at the workspace in ``folder``, if there is one; ``step`` is told what comes next.

    Devices are connected to only with ``ask_devices``.
    """
    workspace, found = _workspace(folder)
    needed = _needed(workspace)
    step("packages")
    found = [*_python(), *_packages(needed), *found]
    step("runtimes")
    found += _this_machine(workspace)
    found += [*_tools(workspace), *_disk(folder)]
    if ask_devices and workspace is not None:
        step("devices")
        found += _devices(workspace)
    return tuple(found)


def exit_code(found: tuple[Finding, ...]) -> int:
    """The highest of what is wrong; 0 where nothing is."""
    return max((each.exit_code for each in found if each.state == "wrong"), default=0)


def _wrong(topic: str, name: str, text: str, fix: str, *, code: int = UsageError.exit_code) -> Finding:
    return Finding(topic, name, "wrong", text, fix, code)


def _python() -> Iterator[Finding]:
    yield Finding("python", platform.python_implementation(), "ok", f"{platform.python_version()} at {sys.executable}")
    yield Finding("python", "system", "ok", f"{platform.system()} {platform.release()}, {platform.machine()}")


def _packages(needed: dict[str, str]) -> Iterator[Finding]:
    yield Finding("packages", "hwnas", "ok", __version__)
    there = packages()
    if not there:
        text = "runs from its source and is not installed: versions of packages are not known to fit"
        yield Finding("packages", "metadata", "note", text, "pip install -c constraints.txt -e '.[all]' there")
    for extra in dict.fromkeys(each.extra for each in there):
        own = [each for each in there if each.extra == extra]
        name, install = (f"[{extra}]", f"pip install 'hwnas[{extra}]'") if extra else ("core", "pip install --upgrade hwnas")
        strange = [each for each in own if each.found is not None and not each.fits]
        lacking = [each.name for each in own if each.found is None]
        if strange:
            text = "; ".join(f"{each.name} {each.found} is installed, {each.wanted} is wanted" for each in strange)
            yield _wrong("packages", name, text, install)
        elif not lacking:
            yield Finding("packages", name, "ok", ", ".join(f"{each.name} {each.found}" for each in own))
        elif extra in needed or not extra:
            yield _wrong("packages", name, f"{', '.join(lacking)} missing, and {needed.get(extra, 'hwnas')} needs it", install)
        else:
            yield Finding("packages", name, "absent", f"{', '.join(lacking)} not installed; nothing here needs it", install)


def _needed(workspace: Workspace | None) -> dict[str, str]:
    """Which extras the workspace needs, and what of it does."""
    needed: dict[str, str] = {}
    if workspace is None:
        return needed
    try:
        for device in workspace.devices.values():
            if device.transport in TRANSPORT_EXTRAS:
                needed.setdefault(TRANSPORT_EXTRAS[device.transport], f"device '{device.id}'")
        for name, recipe in workspace.recipes.items():
            needed.setdefault(FORMAT_EXTRAS[RUNTIME_FORMATS[recipe.runtime]], f"recipe '{name}'")
            needed.setdefault("train", "'hwnas run'")
    except HwnasError:
        pass  # told file by file
    return needed


def _workspace(folder: Path) -> tuple[Workspace | None, list[Finding]]:
    """The workspace, where its configuration can be read, and a finding for each of its files that cannot."""
    if not (folder / CONFIG).is_file():
        text = f"no {CONFIG} in {folder.resolve()}"
        return None, [Finding("workspace", CONFIG, "absent", text, "hwnas init FOLDER, or give --workspace")]
    try:
        workspace = Workspace.open(folder)
    except HwnasError as problem:
        return None, [_wrong("workspace", CONFIG, str(problem), f"correct {folder / CONFIG}")]
    found = [Finding("workspace", CONFIG, "ok", f"space {workspace.config.space.preset}, data {workspace.config.data.source}")]
    source = workspace.config.data.source
    if source not in BUILT_IN and not (folder / source).exists():
        found.append(_wrong("workspace", "data", f"{folder / source}: no such folder or file", f"correct source under [data] in {CONFIG}"))
    broken = False
    for path in sorted((folder / "devices").glob("*.toml")):
        try:
            device = device_from(read_toml(path), path)
            found.append(Finding("workspace", f"devices/{path.name}", "ok", f"{device.transport}, {', '.join(device.runtimes) or 'any'}"))
        except HwnasError as problem:
            broken = True
            found.append(_wrong("workspace", f"devices/{path.name}", str(problem), f"correct {path}"))
    if not broken:
        found += _recipes(workspace)
    return workspace, [*found, *_tables(workspace)]


def _recipes(workspace: Workspace) -> Iterator[Finding]:
    try:
        names = ", ".join(workspace.recipes)
    except HwnasError as problem:
        yield _wrong("workspace", "export/recipes", str(problem), "correct that file")
        return
    if names:
        yield Finding("workspace", "export/recipes", "ok", names)
    else:
        yield Finding("workspace", "export/recipes", "note", "no recipe: 'hwnas run' has nothing to do", "write export/recipes/NAME.toml")


def _tables(workspace: Workspace) -> Iterator[Finding]:
    files = [path for root in (workspace.accepted_tables, workspace.store.tables) for path in sorted(root.glob("*/*.json"))]
    torn = 0
    for path in files:
        try:
            read_table(path)
        except HwnasError as problem:
            torn += 1
            yield _wrong("workspace", path.name, str(problem), "restore it, or run 'hwnas profile' for its device")
    if files and not torn:
        yield Finding("workspace", "latency tables", "ok", f"{len(files)} readable")


def _this_machine(workspace: Workspace | None) -> Iterator[Finding]:
    """What the agent says of this machine, asked in a process of its own, as a device would be."""
    wanted = _local_runtimes(workspace)
    try:
        report = report_of(Device("this-machine", "local"))
    except DeviceError as problem:
        yield _wrong("runtimes", "agent", str(problem), "run 'hwnas devices check local' and do what it says", code=DeviceError.exit_code)
        return
    for name, runtime in report.runtimes.items():
        if runtime.version is not None:
            yield Finding("runtimes", name, "ok", runtime.version)
        elif name in wanted:
            fix = f"pip install 'hwnas[{FORMAT_EXTRAS[RUNTIME_FORMATS[name]]}]', or take it out of runtimes in devices/*.toml"
            yield _wrong("runtimes", name, str(runtime.reason), fix, code=DeviceError.exit_code)
        else:
            yield Finding("runtimes", name, "absent", str(runtime.reason))
    cores = report.cores or tuple(range(os.cpu_count() or 1))
    load = os.getloadavg()[0] / len(cores)
    text = f"{len(cores)} to use, {load:.2f} runnable processes on each over the last minute"
    if load > BUSY:
        yield Finding("machine", "cores", "note", text, "end what runs beside a measurement; it takes longer, and may end as too noisy")
    else:
        yield Finding("machine", "cores", "ok", text)
    for line in advice(report, ()):
        yield Finding("machine", "measuring", "note", line)


def _local_runtimes(workspace: Workspace | None) -> set[str]:
    try:
        devices = [] if workspace is None else [d for d in workspace.devices.values() if d.transport == "local" and d.native is None]
    except HwnasError:
        return set()
    return {runtime for device in devices for runtime in device.runtimes}


def _tools(workspace: Workspace | None) -> Iterator[Finding]:
    transports = set()
    if workspace is not None:
        try:
            transports = {device.transport for device in workspace.devices.values()}
        except HwnasError:
            transports = set()
    for name, transport, purpose in (
        ("adb", "adb", "starts the adb server"),
        ("ssh-keygen", "", "makes the key with which a board lets you in"),
        ("npm", "", "fetches onnxruntime-web ('hwnas agent fetch-web')"),
    ):
        path = shutil.which(name)
        if path:
            yield Finding("tools", name, "ok", path)
        elif transport and transport in transports:
            text = f"not in PATH; {purpose}, unless a server runs already"
            yield Finding("tools", name, "note", text, "install the Android platform tools")
        else:
            yield Finding("tools", name, "absent", f"not in PATH; {purpose}")


def _disk(folder: Path) -> Iterator[Finding]:
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(there).free
    text = f"{free / 1e9:.1f} GB free at {there}"
    if free < FREE_BYTES:
        yield Finding("machine", "disk", "note", text, "make room: weights, images and models of blocks are kept in runs/")
    else:
        yield Finding("machine", "disk", "ok", text)


def _devices(workspace: Workspace) -> Iterator[Finding]:
    try:
        devices = list(workspace.devices.values())
    except HwnasError:
        return
    for one in check_devices(devices, wait_s=10.0):
        fixes = "; ".join(one.fixes)
        if not one.usable:
            yield _wrong("devices", one.device, one.summary, fixes, code=DeviceError.exit_code)
        else:
            yield Finding("devices", one.device, "note" if fixes else "ok", one.summary, fixes)
