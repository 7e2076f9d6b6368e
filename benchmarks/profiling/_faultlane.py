"""One board of the fault campaign: a profile, a fault at a random moment of it, and resuming until it is finished."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.profiling._faultaccount import Account, Moment, delivered, last_line, records, timings
from benchmarks.profiling._faulthost import LAUNCHING
from hwnas.profiler.pushed import OWNER

ROOT = Path(__file__).parents[2]
SILENCE_S = 3.0
DEADLINE_S = 75.0
"""No attempt may take longer: the longest wait of a transport, of a lock, and of the measuring itself, together."""
HOST_KILLED = "host killed"
CLEAN_S = 15.0
MAX_ATTEMPTS = 8
STILL_S = (0.3, 7.0)
"""How long what stands still does so: some are back before they are given up, some are not."""

Faults = dict[str, tuple[Callable[[], object], Callable[[], object]]]
"""Kinds of faults: what is done (false where there was nothing to do it to), and what undoes it."""


@dataclass(slots=True)
class _Told:
    """What is known of one fault so far."""

    hit: bool = False
    hung: bool = False
    attempts: int = 0
    again: int = 0
    errors: list[str] = field(default_factory=list)
    plans: list[Any] = field(default_factory=list)


class Lane:
    """A board, the line to it, and its faults. ``models`` is the folder of the models; everything else lies in ``root``."""

    transport = ""

    def __init__(self, root: Path, models: Path) -> None:
        self.root = root
        self.models = models
        self.board: Any = None
        self.relay: Any = None
        self.expected: dict[str, Any] = {}
        self.plan: Any = None
        self.usual_s = 0.0
        self._orphans: list[Path] = []

    def running(self) -> AbstractContextManager[Lane]:
        """The board runs inside."""
        raise NotImplementedError

    def spec(self) -> dict[str, Any]:
        """How the host reaches the board."""
        raise NotImplementedError

    def faults(self) -> Faults:
        """What may happen to this board."""
        return {
            "agent killed": (lambda: self._agents(signal.SIGKILL), nothing),
            "agent stopped": (lambda: self._agents(signal.SIGSTOP), lambda: self._agents(signal.SIGCONT)),
            "line still": (self.relay.cut, self.relay.mend),
            "line broken": (self.relay.snap, nothing),
            "garbage on the line": (lambda: self.relay.noise(os.urandom(300)), nothing),
            "garbage from the agent": (lambda: self._agents(signal.SIGUSR2), nothing),
            "20 MB of stderr": (lambda: self._agents(signal.SIGUSR1), nothing),
        }

    def _agents(self, number: signal.Signals) -> bool:
        """Send a signal to the agents; whether there was one for it."""
        found = False
        for pid in self.board.agents():
            # a program that is not that far yet would be killed by the signals that mean something to the agent
            with contextlib.suppress(OSError):
                if number not in (signal.SIGUSR1, signal.SIGUSR2) or _handles(pid, number):
                    os.kill(pid, number)
                    found = True
        return found

    def undisturbed(self) -> None:
        """What a profile gives without any fault, and how long it takes."""
        folder = self._folder("undisturbed")
        process = self._begin(folder)
        begin = time.monotonic()
        if process.wait(timeout=DEADLINE_S) != 0:
            raise RuntimeError(f"{self.transport}: the undisturbed profile fails: {(folder / 'errors').read_text()}")
        self.usual_s = time.monotonic() - begin
        self.expected = timings(folder)
        self.plan = self._asked()[1]

    def fault(self, kind: str, seed: int) -> Account:
        """One profile with one fault in it."""
        rng = random.Random(seed)
        folder = self._folder(f"fault{seed}")
        # half of the faults come at any time, half while results come in, which is short
        results = rng.randrange(1, len(self.expected) - 4) if rng.random() < 0.5 else 0
        moment = Moment(rng.uniform(0.0, 0.95 * self.usual_s), results)
        begin = time.monotonic()
        told = _Told()
        for number in range(MAX_ATTEMPTS):
            if self._attempt(folder, told, (lambda process: self._disturb(kind, process, rng, moment, folder)) if number == 0 else None):
                break
        else:
            told.hung = True
        return self._account(kind, folder, told, moment, seconds=time.monotonic() - begin)

    def _attempt(self, folder: Path, told: _Told, disturb: Callable[[subprocess.Popen[str]], bool] | None) -> bool:
        """One start of the host; True if there is no more to be done."""
        known = set(timings(folder))
        process = self._begin(folder)
        if disturb is not None:
            told.hit = disturb(process)
        try:
            code = process.wait(timeout=DEADLINE_S)
        except subprocess.TimeoutExpired:
            told.hung = True
            process.kill()
            code = process.wait()
        if process.stdout is not None:
            process.stdout.close()
        told.attempts += 1
        asked, plan = self._asked()
        told.again += len(known & asked)
        told.plans += [plan] if plan is not None else []
        if code != 0:
            told.errors.append(last_line(folder / "errors") if code > 0 else "killed")
        return code == 0 or told.hung

    def _disturb(self, kind: str, process: subprocess.Popen[str], rng: random.Random, moment: Moment, folder: Path) -> bool:
        """Wait for the moment, do it, undo it after a while; False if the profile was over, or no agent there, all the while."""
        do, undo = self.faults()[kind] if kind != HOST_KILLED else (process.kill, nothing)
        begin = time.monotonic()
        while process.poll() is None and not moment.has_come(time.monotonic() - begin, folder):
            time.sleep(0.01)
        hit = False
        while process.poll() is None and not hit:
            hit = do() is not False
            time.sleep(0.0 if hit else 0.02)
        if undo is not nothing:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=rng.uniform(*STILL_S))
            if hit:
                undo()
        return hit

    def _account(self, kind: str, folder: Path, told: _Told, moment: Moment, *, seconds: float) -> Account:
        stored = sum(record["kind"] == "timing" for record in records(folder))
        found = timings(folder)
        different = sum(found.get(key) != value for key, value in self.expected.items()) + len(found.keys() - self.expected.keys())
        account = Account(
            transport=self.transport,
            kind=kind,
            moment=moment,
            hit=told.hit,
            attempts=told.attempts,
            seconds=seconds,
            lost=len(set(delivered(folder)) - found.keys()) + len(self.expected.keys() - found.keys()),
            twice=stored - len(found) + told.again,
            left=self._left(),
            different=different + sum(plan != self.plan for plan in told.plans),
            hung=told.hung,
            errors=tuple(told.errors),
        )
        if not account.wrong:
            shutil.rmtree(folder)
        return account

    def _left(self) -> int:
        """Agents and folders of theirs that are still there after a while; none is carried over to the next fault.

        A folder that no agent came to own before its host was gone is the next agent's to remove, when it is old: it is made old here. One
        that the board wrote to after that, since a push was still on its way, is young again, and says nothing.
        """
        left = 0
        for folder in self._orphans:
            with contextlib.suppress(FileNotFoundError):
                left += folder.stat().st_mtime == 0
                shutil.rmtree(folder)
        self._orphans = []
        deadline = time.monotonic() + CLEAN_S
        while self.board.agents() or any((folder / OWNER).exists() for folder in self._folders()):
            if time.monotonic() > deadline:
                left += len(self.board.agents()) + len(self._folders())
                self._agents(signal.SIGKILL)
                for folder in self._folders():
                    shutil.rmtree(folder, ignore_errors=True)
                break
            time.sleep(0.05)
        for folder in self._folders():
            os.utime(folder, (0, 0))
            self._orphans.append(folder)
        return left

    def _folders(self) -> list[Path]:
        return [next(self.board.home.rglob(name)) for name in self.board.work_folders]

    def _begin(self, folder: Path) -> subprocess.Popen[str]:
        """A host that has turned to the device."""
        (self.board.root / "asked.jsonl").unlink(missing_ok=True)
        spec = folder / "spec.json"
        spec.write_text(json.dumps({**self.spec(), "folder": str(folder), "models": str(self.models), "silence_s": SILENCE_S}))
        with (folder / "errors").open("a") as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.profiling._faulthost", str(spec)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                cwd=ROOT,
                env={**os.environ, "HOME": str(self.root)},  # nothing of the user's own ~/.ssh
            )
        if process.stdout is None or process.stdout.readline().strip() != LAUNCHING:
            process.wait(timeout=DEADLINE_S)
        return process

    def _asked(self) -> tuple[set[str], Any]:
        """Ids that the agent was asked for since the host began, and under which plan; None where it was asked for nothing."""
        path = self.board.root / "asked.jsonl"
        messages = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        begins = [{key: message[key] for key in ("runtime", "threads", "plan")} for message in messages if message["type"] == "begin"]
        return {message["id"] for message in messages if message["type"] == "job"}, begins[0] if begins else None

    def _folder(self, name: str) -> Path:
        folder = self.root / name
        folder.mkdir()
        return folder


def nothing() -> None:
    """What undoes a fault that needs no undoing."""


def _handles(pid: int, number: signal.Signals) -> bool:
    """Whether the process has a handler for the signal."""
    status = Path(f"/proc/{pid}/status").read_text()
    caught = next(line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught, 16) >> (number - 1) & 1)
