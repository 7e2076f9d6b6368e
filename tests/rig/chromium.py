"""Debian's chromium, driven by Playwright, as the browser of a device; and why it cannot be where it is not."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from hwnas.core.errors import DeviceError
from hwnas.profiler.webruntime import web_files

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


SOFTWARE_GPU = ("--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--enable-unsafe-swiftshader")


def served() -> tuple[str, ...]:
    """The files of the page's runtime that are here."""
    try:
        return tuple(web_files())
    except DeviceError:
        return ()


def no_browser() -> str:
    """Why no browser can be driven here; empty where one can."""
    if shutil.which("chromium") is None:
        return "no chromium here (tests/rig/setup.sh installs it)"
    if importlib.util.find_spec("playwright") is None:
        return "playwright is not installed (make setup)"
    return ""


def missing() -> str:
    """What an end-to-end test with the page's own runtime lacks here; empty where nothing is missing."""
    if no_browser():
        return no_browser()
    try:
        web_files()
    except DeviceError as problem:
        return str(problem)
    return ""


@contextmanager
def browsers() -> Iterator[Callable[..., Any]]:
    """``launch(software_gpu=False)`` gives a running chromium, perhaps with WebGPU in software; all of them end with the context."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright, ExitStack() as running:

        def launch(*, software_gpu: bool = False) -> Any:
            flags = [*(flag for flag in FLAGS if flag != "--disable-gpu"), *SOFTWARE_GPU] if software_gpu else list(FLAGS)
            chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
            running.callback(chromium.close)
            return chromium

        yield launch
