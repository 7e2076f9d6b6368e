"""``hwnas devices trust``: pin the host key of a device that is reached over ssh."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from hwnas.cli.console import err, show_json
from hwnas.cli.options import Folder, Json, open_workspace
from hwnas.core.access import SshOptions
from hwnas.core.device import Device
from hwnas.core.errors import ConfigError, HostKeyMismatch
from hwnas.profiler.hostkeys import HostKey, pin_key, pinned_keys
from hwnas.profiler.sshlink import offered_key, pinned_in
from hwnas.profiler.sshroute import Hop, route


def trust(
    name: Annotated[str, typer.Argument(metavar="DEVICE", help="A device of the workspace whose transport is ssh.")],
    fingerprint: Annotated[
        str | None, typer.Option(help="Trust a key with this fingerprint (SHA256:…) and no other; asks nothing.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing. A changed key is not trusted this way.")] = False,
    folder: Folder = Path(),
    json: Json = False,
) -> None:
    """Connect to a device, show its host key, ask, and pin it in devices/known_hosts; jump hosts on the way come first."""
    device = open_workspace(folder).device(name)
    if device.transport != "ssh":
        raise ConfigError(f"device '{name}' is reached by '{device.transport}', which has no host keys; only 'ssh' has")
    hops = route(device)
    trusted = []
    for number, hop in enumerate(hops, 1):
        # a given fingerprint is the device's: jump hosts must be known, or be asked about
        mine = fingerprint if number == len(hops) else None
        key = _trusted(device, hops[:number], fingerprint=mine, yes=yes)
        trusted.append({"name": hop.name, "address": f"{hop.user}@{hop.host}:{hop.port}", "type": key.type, "fingerprint": key.fingerprint})
    if json:
        show_json({"device": name, "trusted": trusted})


def _trusted(device: Device, hops: tuple[Hop, ...], *, fingerprint: str | None, yes: bool) -> HostKey:
    """The key of the last of ``hops``, pinned."""
    known_hosts = Path((device.ssh or SshOptions()).known_hosts)
    hop = hops[-1]
    key = offered_key(hops, pinned_in(known_hosts), known_hosts=known_hosts)
    pinned = pinned_keys(known_hosts, hop.name)
    if fingerprint is not None and key.fingerprint != fingerprint:
        raise HostKeyMismatch(f"{hop.label}: the host key is {key}, not {fingerprint}; nothing was pinned")
    if key in pinned:
        err.print(f"{hop.label}: {key} is trusted already", markup=False, soft_wrap=True)
        return key
    if fingerprint is None and not _asked(hop, key, pinned, yes=yes):
        raise HostKeyMismatch(f"{hop.label}: {key} was not trusted; nothing was pinned")
    pin_key(known_hosts, hop.name, key)
    err.print(f"{hop.label}: {key} is pinned in {known_hosts}", markup=False, soft_wrap=True)
    return key


def _asked(hop: Hop, key: HostKey, pinned: tuple[HostKey, ...], *, yes: bool) -> bool:
    if pinned:
        before = " or ".join(map(str, pinned))
        if yes:
            raise HostKeyMismatch(f"{hop.label}: the host key is {key}, but {before} is pinned; if that is right, give --fingerprint")
        err.print(f"{hop.label}: the host key has CHANGED\n  pinned {before}\n  now    {key}", markup=False, soft_wrap=True)
    else:
        err.print(f"{hop.label}\n  {key}", markup=False, soft_wrap=True)
    if yes:
        return True
    if not sys.stdin.isatty():
        raise ConfigError("there is no terminal to ask on; give --fingerprint with what the device itself shows, or --yes")
    err.print("On the device, 'ssh-keygen -lf /etc/ssh/ssh_host_*_key.pub' shows what to compare it with.", markup=False, soft_wrap=True)
    return typer.confirm("Trust it?", err=True)
