"""Is anything lost, done twice, left behind or stuck when devices fail? At least 200 random faults over real ssh and adb connections.

Each fault hits a profile of a real agent, which replays recorded durations, at a random moment: agents, daemons and hosts are killed or
stopped, the line stands still, breaks or carries garbage, the power is cut. The profile is then resumed until it is finished, and must be
the same as one that nothing happened to: same keys, samples and plan, nothing measured again that was delivered once, no process and no
folder left on the device, no wait beyond its deadline.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from benchmarks.harness import Outcome, Target, main
from benchmarks.profiling._faultaccount import Account
from benchmarks.profiling._faultboards import AdbLane, SshLane
from benchmarks.profiling._faultlane import HOST_KILLED, Lane
from tests.rig import adbd, replay, sshd

SEED = 11
FAULTS, QUICK_FAULTS = 210, 6
LANES, QUICK_LANES = 3, 1
"""Boards a transport that are disturbed at the same time."""
MODELS = 26
PACE_MS = 0.5
TARGETS = {
    "lost": Target("<=", 0),
    "twice": Target("<=", 0),
    "left_processes": Target("<=", 0),
    "hangs": Target("<=", 0),
    "different": Target("<=", 0),
    "faults": Target(">=", 200),
}


def measure(quick: bool) -> Outcome:
    """Disturb the boards that this machine can run; one that it cannot is told, and its faults are missing."""
    with tempfile.TemporaryDirectory(prefix="hwnas-faults-") as name, ExitStack() as running:
        root, begin = Path(name), time.monotonic()
        lanes = [
            running.enter_context(lane.running()) for lane in _lanes(root, write_models(root / "models"), QUICK_LANES if quick else LANES)
        ]
        accounts: list[Account] = []
        # a pool for each lane: what the kernel ends with its parent ends with the thread that started it
        pools = [running.enter_context(ThreadPoolExecutor(1)) for _ in lanes]
        share = (QUICK_FAULTS if quick else FAULTS) // max(len(lanes), 1)
        futures = [pool.submit(_campaign, lane, share, SEED + number) for number, (lane, pool) in enumerate(zip(lanes, pools, strict=True))]
        for future in futures:
            accounts += future.result()
        return _outcome(accounts, time.monotonic() - begin)


def _lanes(root: Path, models: Path, lanes_each: int) -> list[Lane]:
    lanes: list[Lane] = []
    for kind, missing in ((SshLane, sshd.missing()), (AdbLane, adbd.missing())):
        if missing:
            print(f"faults: without {kind.transport}: {missing}", file=sys.stderr)
        for number in range(0 if missing else lanes_each):
            folder = root / f"{kind.transport}{number}"
            folder.mkdir()
            lanes.append(kind(folder, models))
    return lanes


def write_models(folder: Path) -> Path:
    """Models of recorded durations: quick ones need many samples, so that results come one by one. Some take a while to push."""
    folder.mkdir()
    rng = random.Random(SEED)
    for number in range(MODELS):
        replay.model(folder / f"m{number:02}.rep", us=rng.uniform(50, 500), pace_ms=PACE_MS, size_bytes=rng.choice((0, 0, 20_000, 400_000)))
    replay.model(folder / "probe.rep", us=1000)
    replay.model(folder / "reference.rep", us=700, pace_ms=PACE_MS)
    return folder


def _campaign(lane: Lane, count: int, seed: int) -> list[Account]:
    lane.undisturbed()
    kinds = [*lane.faults(), HOST_KILLED]
    rng = random.Random(seed)
    order = (kinds * (count // len(kinds) + 1))[:count] if count >= len(kinds) else rng.sample(kinds, count)
    rng.shuffle(order)
    accounts = []
    for number in range(3 * count):
        account = lane.fault(order[0], 1000 * seed + number)
        accounts.append(account)
        if account.wrong:
            print(f"faults: WRONG: {account}", file=sys.stderr, flush=True)
        # one that came too late is made up for, at another moment
        order = order[1:] if account.hit else order[1:] + order[:1]
        if not order:
            break
    return accounts


def _outcome(accounts: list[Account], seconds: float) -> Outcome:
    groups: dict[tuple[str, str], list[Account]] = defaultdict(list)
    for account in accounts:
        groups[account.transport, account.kind].append(account)
    rows: list[tuple[object, ...]] = [
        (
            transport,
            kind,
            sum(a.hit for a in found),
            sum(a.attempts > 1 for a in found),
            max(a.attempts for a in found),
            round(max(a.seconds for a in found), 1),
            sum(a.wrong for a in found),
        )
        for (transport, kind), found in sorted(groups.items())
    ]
    figures = {
        "faults": sum(a.hit for a in accounts),
        "resumed": sum(a.attempts > 1 for a in accounts),
        "lost": sum(a.lost for a in accounts),
        "twice": sum(a.twice for a in accounts),
        "left_processes": sum(a.left for a in accounts),
        "hangs": sum(a.hung for a in accounts),
        "different": sum(a.different for a in accounts),
        "longest_s": max((a.seconds for a in accounts), default=0.0),
        "seconds": seconds,
    }
    return Outcome(("transport", "fault", "times", "resumed", "most attempts", "longest (s)", "wrong"), rows, figures, TARGETS)


if __name__ == "__main__":
    sys.exit(main("profiling.faults", measure))
