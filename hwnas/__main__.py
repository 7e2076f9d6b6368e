"""``python -m hwnas``: the command line."""

from hwnas.cli.main import main

if __name__ == "__main__":
    main()
