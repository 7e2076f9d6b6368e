"""The way to a device through an adb server: which state it is in, and its services, each over a connection of its own.

The server runs on the host's side (``adb start-server``) and speaks to the devices on USB or the network. It answers ``OKAY`` or ``FAIL``
with a reason in English, which becomes a typed error here. A server that has not noticed that a device is gone lets requests wait for
ever, so every wait has an end.
"""

from __future__ import annotations

import re
import socket
import time
from dataclasses import dataclass
from typing import Any

from hwnas_agent.wire import printable

from hwnas.core.errors import AuthFailed, DeviceError, DeviceLost, Unreachable
from hwnas.profiler.adblib import adb_errors, adbutils

PATIENCE_S = 10.0
"""Patience with an answer of the server or of a device, and with a device that is coming back."""
STEP_S = 0.25
SHELL_V2 = "shell_v2"
_NETWORK = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^\s:/\[\]]+):[0-9]{1,5}")
_UNAUTHORIZED = ("unauthorized", "authorizing", "failed to authenticate")
_GONE = ("offline", "not found", "no devices", "closed", "recovery", "disconnected", "connecting")


@dataclass(frozen=True, slots=True)
class AdbLink:
    """A device by its serial number (empty: the only one there is) behind the adb server at ``host:port``; ``name`` begins every error."""

    name: str
    serial: str
    host: str
    port: int
    patience_s: float = PATIENCE_S

    @property
    def label(self) -> str:
        """What messages call the device."""
        return f"{self.name} ({self.serial})" if self.serial else self.name

    def open(self, service: str) -> socket.socket:
        """A connection to a service of the device, which has accepted it; `DeviceLost` where the device is gone."""
        connection = self._connect()
        try:
            connection.send_command(f"host:transport:{self.serial}" if self.serial else "host:transport-any")
            connection.check_okay()
            connection.send_command(service)
            connection.check_okay()
        except adb_errors() as problem:
            connection.close()
            raise self._trouble(problem, service.partition(":")[0]) from None
        opened: socket.socket = connection.conn
        return opened

    def features(self) -> frozenset[str]:
        """What the device's daemon can do."""
        return frozenset(self._about("features").split(","))

    def state(self) -> str:
        """``device`` where it can be used; otherwise the server's word for why not."""
        try:
            return printable(self._about("get-state"))
        except (DeviceLost, DeviceError) as problem:
            if isinstance(problem, Unreachable):
                raise
            return str(problem).removeprefix(f"{self.label}: ")

    @property
    def alive(self) -> bool:
        """Whether the server believes that the device is there."""
        try:
            return self.state() == "device"
        except DeviceError:
            return False

    def ready(self) -> None:
        """Wait until the device can be used. A device on the network is connected to, one that hangs is given a new connection.

        Raises `AuthFailed` where the device does not trust this machine, and `Unreachable` otherwise, with what to do.
        """
        deadline = time.monotonic() + self.patience_s
        while (state := self.state()) != "device":
            if any(word in state for word in _UNAUTHORIZED):
                raise AuthFailed(f"{self.label}: it does not trust this machine yet: unlock it and allow debugging from this computer")
            if any(words in state for words in ("more than one device", "no permissions")) or not self._awaken(state):
                raise Unreachable(f"{self.label}: {state}; {self._advice(state)}")
            if time.monotonic() >= deadline:
                raise Unreachable(f"{self.label}: {state} for {self.patience_s:g} s; {self._advice(state)}")
            time.sleep(STEP_S)

    def kick(self) -> None:
        """Have the server drop its connection to the device and make a new one: it may hold one on which nothing comes any more."""
        try:
            self._about("reconnect")
        except DeviceError:
            return

    def _awaken(self, state: str) -> bool:
        """Do what may bring the device back; False if there is nothing to be done."""
        on_network = _NETWORK.fullmatch(self.serial) is not None
        if "not found" in state or "no devices" in state:
            if not on_network:
                return False
            try:
                answer = self._ask(f"host:connect:{self.serial}")
            except DeviceLost:
                return True
            if any(word in answer for word in _UNAUTHORIZED):
                raise AuthFailed(f"{self.label}: {printable(answer)}; unlock it and allow debugging from this computer")
        elif "offline" in state and on_network:
            self.kick()
        return True

    def _advice(self, state: str) -> str:
        if "more than one" in state:
            return "give the serial number that 'adb devices' shows as its address"
        if "no permissions" in state:
            return "let this user use its USB device (udev rules), then plug it in again"
        if "offline" in state:
            return "plug it in again, or run 'adb reconnect offline'"
        if _NETWORK.fullmatch(self.serial):
            return "is it switched on, in this network, and its adbd listening there?"
        return "is it plugged in, with USB debugging switched on? 'adb devices' shows what is there"

    def _about(self, what: str) -> str:
        return self._ask(f"host-serial:{self.serial}:{what}" if self.serial else f"host:{what}")

    def _ask(self, request: str) -> str:
        connection = self._connect()
        try:
            connection.send_command(request)
            connection.check_okay()
            return str(connection.read_string_block())
        except adb_errors() as problem:
            raise self._trouble(problem, "asking the adb server") from None
        finally:
            connection.close()

    def _connect(self) -> Any:
        """A connection to the server. Asked for first by ourselves: the library would start a server, on another port perhaps."""
        try:
            socket.create_connection((self.host, self.port), timeout=self.patience_s).close()
            return adbutils().AdbClient(self.host, self.port).make_connection(timeout=self.patience_s)
        except adb_errors():
            raise Unreachable(
                f"{self.label}: no adb server answers at {self.host}:{self.port}; run 'adb start-server', or name it as server in [adb]"
            ) from None

    def _trouble(self, problem: Exception, doing: str) -> DeviceError:
        if isinstance(problem, (TimeoutError, adbutils().AdbTimeout)) or "timeout" in str(problem):
            return DeviceLost(f"{self.label}: {doing}: no answer within {self.patience_s:g} s")
        words = printable(str(problem).splitlines()[0] if str(problem) else type(problem).__name__).strip()
        if not isinstance(problem, adbutils().AdbError) or any(word in words for word in _GONE):
            return DeviceLost(f"{self.label}: {words}")
        return DeviceError(f"{self.label}: {words}")
