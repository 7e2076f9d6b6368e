"""The boards of the fault campaign: behind a real sshd, and behind a real adbd."""

from __future__ import annotations

import contextlib
import signal
import socket
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from benchmarks.profiling._faultlane import SILENCE_S, Faults, Lane
from tests.rig import adbd, replay, sshd
from tests.rig.relay import Relay

PATIENCE_S = 4.0


class SshLane(Lane):
    """A board behind a real sshd."""

    transport = "ssh"

    @contextlib.contextmanager
    def running(self) -> Iterator[Lane]:
        """See `Lane`."""
        with sshd.running(self.root / "board") as self.board:
            self.relay = Relay(lambda: socket.create_connection(("127.0.0.1", self.board.port), timeout=5))
            try:
                yield self
            finally:
                self.relay.close()

    def spec(self) -> dict[str, Any]:
        """See `Lane`."""
        device = self.board.device(python=replay.interpreter(self.board.root, silence_s=SILENCE_S))
        return {"address": f"127.0.0.1:{self.relay.port}", "ssh": asdict(device.ssh)}

    def faults(self) -> Faults:
        """See `Lane`."""
        return {
            **super().faults(),
            "sshd killed": (lambda: self.board.signal(signal.SIGKILL), self._restart),
            "sshd stopped": (lambda: self.board.signal(signal.SIGSTOP), lambda: self.board.signal(signal.SIGCONT)),
            "power cut": (self.board.stop, self.board.start),
        }

    def _restart(self) -> None:
        self.board.process.wait()
        self.board.start()


class AdbLane(Lane):
    """A board behind a real adbd."""

    transport = "adb"

    @contextlib.contextmanager
    def running(self) -> Iterator[Lane]:
        """See `Lane`."""
        with adbd.running(self.root / "board") as self.board:
            self.relay = self.board.relay
            yield self

    def spec(self) -> dict[str, Any]:
        """See `Lane`."""
        device = self.board.device(python=replay.interpreter(self.board.root, silence_s=SILENCE_S))
        return {"address": device.address, "adb": asdict(device.adb), "patience_s": PATIENCE_S}

    def faults(self) -> Faults:
        """See `Lane`."""
        return {
            **super().faults(),
            "adbd killed": (self.board.kill, self.board.start_adbd),
            "adbd stopped": (lambda: self.board.kill(signal.SIGSTOP), lambda: self.board.kill(signal.SIGCONT)),
            "power cut": (self.board.power_off, self.board.start_adbd),
            "adb server killed": (self.board.stop_server, self.board.start_server),
        }
