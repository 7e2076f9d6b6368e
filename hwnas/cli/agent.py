"""``hwnas agent``: the program that runs on devices, as a file or as a page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from hwnas.cli.console import out, show_json
from hwnas.cli.options import Folder, Json, open_workspace
from hwnas.core.errors import ConfigError
from hwnas.core.serial import sha256_file
from hwnas.profiler import webruntime
from hwnas.profiler.adbpage import AdbPageLauncher
from hwnas.profiler.browser import BrowserLauncher, close_servers
from hwnas.profiler.channel import LAUNCHERS
from hwnas.profiler.check import check
from hwnas.profiler.zipapp import write_zipapp

app = typer.Typer(help="The device agent: write it as one file, or serve it as a page.", no_args_is_help=True)


@app.command("zipapp")
def zipapp(
    to: Annotated[Path, typer.Argument(metavar="OUT", help="The file to write, as agent.pyz; one that is there is replaced.")],
    json: Json = False,
) -> None:
    """Write the device agent as one file that any Python 3.8 or newer runs; the same version of hwnas gives the same bytes."""
    write_zipapp(to)
    if json:
        show_json({"path": str(to), "size_bytes": to.stat().st_size, "sha256": sha256_file(to)})
        return
    out.print(f"wrote {to} ({to.stat().st_size / 1000:.0f} kB); the device needs Python 3.8 or newer and a runtime", soft_wrap=True)
    out.print(
        f"copy it there: 'python3 {to.name} --version' shows that it runs, 'python3 {to.name}' serves one host over stdin and stdout",
        soft_wrap=True,
    )


@app.command("fetch-web")
def fetch_web(
    webgpu: Annotated[bool, typer.Option("--webgpu", help="Also what WebGPU needs: 27 MB more.")] = False,
    json: Json = False,
) -> None:
    """Fetch onnxruntime-web, which the page agent measures with, from npm into the cache: 33 MB, of which 14 MB are kept."""
    files = webruntime.fetch_web(webgpu=webgpu)
    if json:
        show_json({"version": webruntime.VERSION, "files": {name: str(path) for name, path in files.items()}})
        return
    size = sum(path.stat().st_size for path in files.values()) / 1e6
    out.print(
        f"{webruntime.PACKAGE} {webruntime.VERSION}: {len(files)} files, {size:.0f} MB, in {webruntime.cache_folder()}", soft_wrap=True
    )


@app.command("serve")
def serve(
    device: Annotated[str, typer.Argument(help="A device with a page: transport 'browser', or adb with agent = 'browser'.")],
    folder: Folder = Path(),
    wait_s: Annotated[float, typer.Option(min=1, help="How long to wait for the page, in seconds.")] = 300.0,
    json: Json = False,
) -> None:
    """Show the link of a device's page, wait until it is opened there, and tell what the browser can do. Exit code 3 if no page comes."""
    known = open_workspace(folder).device(device)
    launcher = LAUNCHERS.get(known.transport)(known)
    if not isinstance(launcher, (BrowserLauncher, AdbPageLauncher)):
        raise ConfigError(f"{device}: transport '{known.transport}' has no page; 'hwnas devices check {device}' asks such a device")
    try:
        report = check(replace(launcher, wait_s=wait_s))
    finally:
        close_servers()
    if json:
        show_json(report)
        return
    usable = [f"{name} {found.version}" for name, found in report.runtimes.items() if found.version is not None]
    out.print(f"{device}: {report.system}, {len(report.cores)} cores, {', '.join(usable) or 'no runtime'}", soft_wrap=True)
    for name, value in report.facts.items():
        out.print(f"  {name}: {'unknown: ' + report.unknown[name] if value is None else value}", soft_wrap=True, markup=False)
