"""``python -m hwnas_agent``: serve one host over standard input and output."""

from __future__ import annotations

import argparse
import signal
import sys

from hwnas_agent import __version__, wire
from hwnas_agent.process import die_with_parent, take_stdout
from hwnas_agent.serve import Agent


def main(argv: list[str] | None = None) -> int:
    """Serve until the host leaves; the exit code."""
    parser = argparse.ArgumentParser(prog="hwnas_agent", description="Times models on this device for a hwnas host, over stdin and stdout.")
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument("--silence-s", type=float, default=wire.SILENCE_S, help="end after so many seconds without a word from the host")
    options = parser.parse_args(argv)
    die_with_parent()
    if hasattr(signal, "SIGALRM"):
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
    return Agent(0, take_stdout(), options.silence_s).serve()


if __name__ == "__main__":
    sys.exit(main())
