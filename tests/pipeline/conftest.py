import numpy as np
import pytest

from tests.rig.pretend import BUSY


@pytest.fixture
def noisy(pretend, monkeypatch):
    """A device that is quiet for the first ``noisy.quiet`` of its jobs and busy from then on; ``noisy.told``: the jobs of each session.

    With ``noisy.files`` it is quiet in sessions without exported files; ``noisy.good`` is False where its busy times mean nothing.
    """

    class Noisy(pretend.PretendChannel):
        quiet, good, files, told = 0, True, False, []

        def send(self, message):
            if message["type"] == "job":
                self.only_busy = {**getattr(self, "only_busy", {}), message["id"]: message.get("only_busy", False)}
            if message["type"] != "start" or (self.files and not any(key.startswith("file:") for key in self.jobs)):
                return super().send(message)
            Noisy.told.append(dict(self.only_busy))
            super().send(message)
            ready, *results, done = self.messages
            wanted = [r for r in results if not self.only_busy[r["id"]]]
            sampled = [self.busy(n, r) for n, r in enumerate(results)]
            short = len(wanted) - self.quiet
            self.messages.clear()
            ending = {**done, "results": self.quiet, "short": short, "quiet_share": 0.0}
            self.messages.extend([ready, *wanted[: self.quiet], *sampled, ending])
            return None

        @staticmethod
        def slope(key):
            """Log time when busy over that when quiet; the same for all keys where the states are comparable."""
            return 1.0

        def busy(self, number, result):
            at_s = [float(i) + number / 1000 for i in range(60)]
            state = [BUSY if i % 20 < 10 else BUSY * 1.1 for i in range(60)]
            slope = self.slope(result["id"])
            times = [t**slope * s for t, s in zip(result["quiet_ms"][:60], state, strict=True)]
            if not self.good:
                times = (np.array(times) * np.random.default_rng(number).choice([1.0, 2.0], 60)).tolist()
            shared = {k: result[k] for k in ("id", "rejected", "load_ms", "first_ms", "runs_per_sample", "execution")}
            return {"type": "busy", "busy_ms": times, "at_s": at_s, **shared}

    monkeypatch.setattr(pretend.PretendLauncher, "launch", lambda self: Noisy())
    return Noisy
