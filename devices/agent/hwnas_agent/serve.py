"""The agent's conversation with its host: one thread that listens and answers heartbeats, the main thread that measures.

The listener ends the process at once when the host closes the connection or falls silent, whatever the main thread is doing. A call into
a runtime that never gives the interpreter back would stop the listener too: an alarm that the listener keeps pushing ahead ends the
process then.
"""

from __future__ import annotations

import os
import queue
import select
import signal
import threading
import time
from typing import Callable

from hwnas_agent import wire
from hwnas_agent.corelock import WAIT_S, CoresBusy, cores_locked
from hwnas_agent.facts import hello
from hwnas_agent.measure import Session
from hwnas_agent.process import pin
from hwnas_agent.runtime import ModelUnusable, RuntimeUnusable
from hwnas_agent.runtimes import open_runtime
from hwnas_agent.subject import Job, Settings
from hwnas_agent.workfolder import WorkFolder

EXIT_REFUSED = 3


class HostGone(Exception):
    """Nobody reads what the agent writes."""


class Agent:
    """Speaks `hwnas_agent.wire` over two descriptors. ``end(code)`` is called when the host is gone; by default it ends the process.

    ``work`` is where a host that does not share this file system pushes its files.
    """

    def __init__(
        self,
        stdin: int,
        stdout: int,
        silence_s: float = wire.SILENCE_S,
        end: Callable[[int], object] = os._exit,
        alarm: bool = True,
        *,
        work: WorkFolder | None = None,
        lock_wait_s: float = WAIT_S,
    ) -> None:
        self._stdin = stdin
        self._stdout = stdout
        self._silence_s = silence_s
        self._end = end
        self._work = work
        self._lock_wait_s = lock_wait_s
        self._alarm = alarm and hasattr(signal, "setitimer")
        self._lock = threading.Lock()
        self._encoder = wire.Encoder(wire.AGENT_MAGIC, wire.FROM_AGENT)
        self._inbox: queue.Queue[wire.Message | None] = queue.Queue()
        self._begin: wire.Message | None = None
        self._jobs: list[Job] = []
        self._measuring = self._alone = False

    def serve(self) -> int:
        """Answer the host until it leaves; the exit code."""
        try:
            self._write(self._encoder.opening())
            threading.Thread(target=self._listen, name="listen", daemon=True).start()
            for message in iter(self._inbox.get, None):
                self._answer(message)
        except HostGone:
            return 0
        except (wire.WireError, CoresBusy, RuntimeUnusable, ModelUnusable, ValueError) as problem:
            self.emit({"type": "refused", "reason": wire.printable(str(problem), 600)})
            return EXIT_REFUSED
        return 0

    def emit(self, message: wire.Message) -> None:
        """Send one message; safe from both threads."""
        with self._lock:
            self._write(self._encoder.encode(message))

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._stdout, view) :]
        except OSError:
            raise HostGone from None

    def _answer(self, message: wire.Message) -> None:
        kind = message["type"]
        if kind == "hello":
            self.emit(hello(message["runtimes"]))
        elif kind == "begin":
            self._begin, self._jobs = message, []
        elif kind == "file":
            if self._work is None:
                raise wire.WireError("this agent has no folder for files")
            self._work.accept(message["name"], message["sha256"])
        elif kind == "job":
            self._jobs.append(Job(message["id"], message["path"], message.get("only_busy", False)))
        elif kind == "start":
            self._measure(message["jobs"])
        elif kind == "broken":
            raise wire.WireError(message["reason"])

    def _measure(self, jobs: int) -> None:
        begin = self._begin
        if begin is None:
            raise wire.WireError("start came before begin")
        if jobs != len(self._jobs) or len({job.id for job in self._jobs}) != jobs:
            raise wire.WireError(f"start announces {jobs} jobs; {len(self._jobs)} came, or an id twice")
        plan = dict(begin["plan"])
        cores = pin(begin["threads"], plan.pop("affinity"))
        self._measuring = True
        if self._alone:
            raise HostGone
        with cores_locked(cores, self._lock_wait_s):
            self._session(begin, plan, cores)
        self._measuring = False

    def _session(self, begin: wire.Message, plan: wire.Message, cores: list[int]) -> None:
        runtime = open_runtime(begin["runtime"])
        settings = Settings(threads=begin["threads"], quiet_level_us=begin["quiet_level_us"], **plan)
        session = Session(runtime, settings, self.emit, clock=runtime.clock or time.perf_counter_ns)
        self.emit(
            {
                "type": "ready",
                "runtime_version": runtime.version[:64],
                "provider": runtime.provider,
                "cores": cores,
                "run_queue_seen": session.run_queue_seen,
                "rails": session.rails,
            }
        )
        self.emit(session.measure(self._jobs, Job("probe", begin["probe"]), Job("reference", begin["reference"])))

    def _listen(self) -> None:
        decoder = wire.Decoder(wire.HOST_MAGIC, wire.TO_AGENT)
        try:
            while self._wait():
                data = os.read(self._stdin, 65536)
                if not data:
                    break
                for message in decoder.feed(data):
                    if message["type"] == "ping":
                        self.emit({"type": "alive"})
                    else:
                        self._inbox.put(message)
        except wire.WireError as problem:
            # the main thread says so and ends; nothing that comes after this is heeded
            self._inbox.put({"type": "broken", "reason": str(problem)})
            self._see_off()
            return
        except (OSError, HostGone):
            pass
        self._inbox.put(None)
        self._end(0)

    def _see_off(self) -> None:
        """Until the host is gone; a session that is under way then, of which nobody will hear, ends with it."""
        try:
            while self._wait() and os.read(self._stdin, 65536):
                pass
        except OSError:
            pass
        self._alone = True  # before looking whether a session is under way; the main thread does both in the other order
        if self._measuring:
            self._end(EXIT_REFUSED)

    def _wait(self) -> bool:
        """Until the host says something; False when it is silent for too long."""
        if self._alarm:
            signal.setitimer(signal.ITIMER_REAL, 2 * self._silence_s)
        return bool(select.select([self._stdin], [], [], self._silence_s)[0])
