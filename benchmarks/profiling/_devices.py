"""Devices of the benchmark `benchmarks.profiling.parallel`: real channels to agents that replay recorded durations.

A way to reach devices is one line in `KINDS`.
"""

from __future__ import annotations

import importlib.util
import queue
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from hwnas.core.device import Device
from hwnas.profiler import browser
from hwnas.profiler.browser import BrowserLauncher, close_servers
from hwnas.profiler.channel import LAUNCHERS
from hwnas.profiler.hostkeys import pin_key
from hwnas.profiler.webaddress import parse_address
from tests.rig import adbd, chromium, replay, sshd

PAGE_TRANSPORT = "replayed-page"
LINKS: queue.Queue[str] = queue.Queue()


@dataclass(frozen=True, slots=True)
class Spec:
    """A device to be: where its files may lie, the model files of its runtime, how slow it is, and when it stands still (None: never)."""

    name: str
    folder: Path
    models: Sequence[Path]
    slow: float
    silent_after_s: float | None = None

    def python(self) -> str:
        """The interpreter of its agent."""
        recorded = replay.recording(self.models, slow=self.slow)
        return replay.interpreter(self.folder, recorded, boot_id=self.name, silent_after_s=self.silent_after_s)


Agents = Callable[[], Iterable[int]]
"""Processes of the agents that run on a device by themselves: whoever leaves them has to end them."""


@contextmanager
def local(spec: Spec, devices: Path) -> Iterator[Agents]:
    """A process of this machine."""
    (devices / f"{spec.name}.toml").write_text(f'transport = "local"\naddress = "{spec.python()}"\nruntimes = ["onnxruntime"]\n')
    yield list


@contextmanager
def ssh(spec: Spec, devices: Path) -> Iterator[Agents]:
    """A board of its own, with an sshd of its own."""
    with sshd.running(spec.folder / "board") as board:
        pin_key(devices / "known_hosts", spec.name, board.host_key)
        head = f'transport = "ssh"\naddress = "{board.address}:{board.port}"\nruntimes = ["onnxruntime"]\n'
        (devices / f"{spec.name}.toml").write_text(f'{head}[ssh]\nkey = "{board.key}"\npython = "{spec.python()}"\n')
        yield board.agents


@contextmanager
def adb(spec: Spec, devices: Path) -> Iterator[Agents]:
    """A board of its own, with an adbd and an adb server of its own."""
    with adbd.running(spec.folder / "board") as board:
        device = board.device(python=spec.python())
        options = "".join(f'{name} = "{getattr(device.adb, name)}"\n' for name in ("server", "python", "folder"))
        head = f'transport = "adb"\naddress = "{device.address}"\nruntimes = ["onnxruntime"]\n'
        (devices / f"{spec.name}.toml").write_text(f"{head}[adb]\n{options}")
        yield board.agents


@contextmanager
def page(spec: Spec, devices: Path) -> Iterator[Agents]:
    """A page in chromium; all pages share one recording."""
    files = replay.web_runtime(spec.folder, replay.recording(spec.models, slow=spec.slow))
    if PAGE_TRANSPORT not in LAUNCHERS:
        LAUNCHERS.register(PAGE_TRANSPORT, _page_launcher)
    (devices / f"{spec.name}.toml").write_text(f'transport = "{PAGE_TRANSPORT}"\nruntimes = ["onnxruntime-web"]\n')
    with mock.patch.object(browser, "web_files", return_value=files):
        yield list
        close_servers()


def _page_launcher(device: Device) -> BrowserLauncher:
    address = parse_address("http://127.0.0.1:0", where=device.id)
    return BrowserLauncher(device.id, address, wait_s=120.0, show=lambda link, _: LINKS.put(link))


def _no_sshd() -> str:
    if importlib.util.find_spec("paramiko") is None:
        return "paramiko is not installed"
    return sshd.missing()


def _no_adbd() -> str:
    if importlib.util.find_spec("adbutils") is None:
        return "adbutils is not installed"
    return adbd.missing()


@dataclass(frozen=True, slots=True)
class Kind:
    """A way to reach devices: how many there are to be, what is missing for it here, and how one comes to be."""

    name: str
    count: int
    missing: Callable[[], str]
    make: Callable[[Spec, Path], AbstractContextManager[Agents]]
    runtime: str = "onnxruntime"


KINDS = (
    Kind("ssh", 2, _no_sshd, ssh),
    Kind("adb", 2, _no_adbd, adb),
    Kind("page", 2, chromium.no_browser, page, runtime="onnxruntime-web"),
    Kind("local", 2, str, local),
)
DEVICES = 8


def chosen() -> list[Kind]:
    """The kind of each of the eight devices; local ones stand in for what is missing here, and the reason is said."""
    kinds: list[Kind] = []
    for kind in KINDS:
        reason = kind.missing()
        if reason:
            print(f"no device of kind '{kind.name}': {reason}", file=sys.stderr)
        else:
            kinds += [kind] * kind.count
    fill = KINDS[-1]
    return (kinds + [fill] * DEVICES)[:DEVICES]


@contextmanager
def opened_pages() -> Iterator[Callable[[], Any]]:
    """A function that opens the links which were shown since it was last called, each in a context of its own."""
    if chromium.no_browser():
        yield lambda: None
        return
    with chromium.browsers() as launch:
        running = launch()

        def open_links() -> None:
            while not LINKS.empty():
                running.new_context().new_page().goto(LINKS.get())

        yield open_links
