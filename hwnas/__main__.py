"""``hwnas`` and ``python -m hwnas``: the command line."""

import sys


def main() -> None:
    """Run the command line; an interruption while it is still being imported ends it as any other does."""
    try:
        from hwnas.cli.main import main as run
    except KeyboardInterrupt:
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
