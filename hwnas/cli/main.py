"""The entry point: parses, runs, and turns errors into one line and a documented exit code (`hwnas.core.errors`)."""

from __future__ import annotations

import sys

import typer
import typer.exceptions
from rich.markup import escape

from hwnas import __version__
from hwnas.cli import (
    accuracy,
    agent,
    ci,
    devices,
    doctor,
    explain,
    files,
    init,
    predict,
    predictor,
    profiles,
    report,
    runs,
    spaces,
    tables,
    work,
)
from hwnas.cli.console import err
from hwnas.core.errors import HwnasError, UsageError

EPILOG = (
    "Exit codes: 0 ok, 2 usage or configuration, 3 device unavailable or too noisy, 4 budget missed, "
    "5 verification failed, 6 infeasible budget, 7 regression or a table that no longer holds, 130 interrupted."
)

INTERRUPTED = 130

app = typer.Typer(
    name="hwnas",
    help="Profile your devices, search a once-trained supernet per latency budget, export files that were verified on the device.",
    epilog=EPILOG,
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)
app.add_typer(spaces.app, name="spaces")
app.add_typer(devices.app, name="devices")
app.add_typer(tables.app, name="table")
app.add_typer(predictor.app, name="predictor")
app.add_typer(accuracy.app, name="accuracy")
app.add_typer(agent.app, name="agent")
app.add_typer(runs.app, name="runs")
app.command()(init.init)
app.command()(doctor.doctor)
app.command()(work.run)
app.command()(ci.ci)
app.command()(profiles.profile)
app.command()(work.train)
app.command()(work.search)
app.command()(explain.explain)
app.command()(report.report)
app.command()(predict.predict)
app.command()(files.export)
app.command()(files.verify)
app.command()(files.sign)


def _version(value: bool) -> None:
    if value:
        typer.echo(f"hwnas {__version__}")
        raise typer.Exit


@app.callback()
def _root(version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Show the version and exit.")) -> None:
    pass


def main() -> None:
    """Run the command line and exit with its code."""
    sys.exit(call(sys.argv[1:]))


def call(arguments: list[str]) -> int:
    """Run one command; returns the exit code and never raises for a user's mistake."""
    try:
        code = app(arguments, standalone_mode=False)
    except HwnasError as problem:
        return _failed(str(problem), problem.exit_code)
    except OSError as problem:
        where = "" if problem.filename is None else f"{problem.filename}: "
        return _failed(f"{where}{problem.strerror or problem}", UsageError.exit_code)
    except (typer.Abort, KeyboardInterrupt):
        return _interrupted()
    except typer.exceptions.TyperException as problem:
        return _failed(problem.format_message(), UsageError.exit_code)
    if code == INTERRUPTED:  # typer makes an exit code of Ctrl-C
        return _interrupted()
    return code if isinstance(code, int) else 0


def _failed(message: str, code: int) -> int:
    """One line, also where a file's name has several; none where the help was shown instead."""
    if message:
        err.print(f"[red]error:[/] {escape(' '.join(message.splitlines()))}", soft_wrap=True)
    return code


def _interrupted() -> int:
    err.print("interrupted; what was finished is kept, run the same command again to go on")
    return INTERRUPTED
