"""What a device says about itself: ``hello`` of its agent as a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hwnas_agent.wire import printable

from hwnas.core.device import Fact
from hwnas.core.errors import DeviceError, ProtocolError
from hwnas.profiler.channel import Channel, Launcher, Message
from hwnas.profiler.heartbeat import Attention

HELLO_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class RuntimeReport:
    """A runtime on a device. ``version`` is None where it is not usable, and ``reason`` says why; limits are None where they do not
    apply.
    """

    version: str | None
    reason: str | None
    max_ir: int | None
    max_opset: int | None


@dataclass(frozen=True, slots=True)
class DeviceReport:
    """What the agent found. A fact that could not be read is None in ``facts`` and has its reason in ``unknown``.

    ``agent`` and ``python`` are empty where there is none, and ``system`` and ``arch`` where the device does not tell.
    """

    agent: str
    python: str
    system: str
    arch: str
    libc: str | None
    cores: tuple[int, ...]
    runtimes: Mapping[str, RuntimeReport]
    facts: Mapping[str, Fact]
    unknown: Mapping[str, str]


def read_hello(
    channel: Channel, *, runtimes: tuple[str, ...] = (), timeout_s: float = HELLO_TIMEOUT_S, silence_s: float | None = None
) -> DeviceReport:
    """Ask the agent what its device is; ``runtimes`` limits which ones it looks for (importing them takes about a second each)."""
    channel.send({"type": "hello", "runtimes": list(runtimes)})
    message = Attention(channel, timeout_s=timeout_s, silence_s=silence_s).next()
    if message["type"] == "refused":
        raise DeviceError(f"the agent refuses: {printable(message['reason'])}")
    if message["type"] != "hello":
        raise ProtocolError(f"the agent answers hello with '{message['type']}'")
    return _report(message)


def check(launcher: Launcher, *, timeout_s: float = HELLO_TIMEOUT_S) -> DeviceReport:
    """Start an agent, ask it, and end it."""
    with launcher.launch() as channel:
        return read_hello(channel, timeout_s=timeout_s)


def require_readable(found: RuntimeReport, needs: tuple[int, int], *, runtime: str) -> None:
    """Raise `DeviceError` where the device says that it does not read models of the ONNX IR and opset ``needs``."""
    reads = found.max_ir, found.max_opset
    if any(limit is not None and need > limit for need, limit in zip(needs, reads, strict=True)):
        raise DeviceError(
            f"the device's {runtime} {printable(str(found.version), 64)} reads ONNX IR {reads[0]} and opset {reads[1]} at most, and the"
            f" models of its table are of IR {needs[0]} and opset {needs[1]}: bring back the {runtime} with which the table was measured,"
            " or remove the table and measure it again"
        )


def _report(message: Message) -> DeviceReport:
    known, unknown = facts_in(message["facts"])
    return DeviceReport(
        agent=message["agent"],
        python=message["python"],
        system=message["system"],
        arch=message["arch"],
        libc=message["libc"],
        cores=tuple(message["cores"]),
        runtimes={name: RuntimeReport(**found) for name, found in message["runtimes"].items()},
        facts=known,
        unknown=unknown,
    )


def facts_in(told: Mapping[str, Mapping[str, Any]]) -> tuple[dict[str, Fact], dict[str, str]]:
    """What is known, by name, and why the rest of it is not."""
    known = {name: fact["value"] for name, fact in told.items()}
    return known, {name: fact["reason"] or "no reason given" for name, fact in told.items() if fact["value"] is None}
