"""``python -m hwnas_agent``: serve one host over standard input and output."""

from __future__ import annotations

import argparse
import os
import signal
import sys

from hwnas_agent import __version__, wire
from hwnas_agent.corelock import WAIT_S
from hwnas_agent.process import die_with_parent, take_stdout
from hwnas_agent.serve import Agent
from hwnas_agent.workfolder import WorkFolder


def main(argv: list[str] | None = None) -> int:
    """Serve until the host leaves; the exit code."""
    parser = argparse.ArgumentParser(prog="hwnas_agent", description="Times models on this device for a hwnas host, over stdin and stdout.")
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument("--silence-s", type=float, default=wire.SILENCE_S, help="end after so many seconds without a word from the host")
    parser.add_argument("--lock-wait-s", type=float, default=WAIT_S, help="wait so many seconds for cores that another session measures on")
    parser.add_argument("--work", metavar="FOLDER", help="folder for the host's files, made by the host; removed at the end")
    options = parser.parse_args(argv)
    if hasattr(signal, "SIGALRM"):
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
    work = WorkFolder(options.work) if options.work else None

    def clear() -> None:
        if work is not None:
            work.remove()

    def end(code: int) -> None:
        clear()
        os._exit(code)

    if work is None:
        die_with_parent()
    else:
        # time to remove the folder; whoever does not come to that is ended by the listener or by its alarm
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: end(0))
        die_with_parent(signal.SIGTERM)
    try:
        if work is not None:
            work.sweep()
        return Agent(0, take_stdout(), options.silence_s, end, work=work, lock_wait_s=options.lock_wait_s).serve()
    finally:
        clear()


if __name__ == "__main__":
    sys.exit(main())
