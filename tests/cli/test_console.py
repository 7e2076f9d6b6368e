"""Progress on a terminal: one display, whatever runs at the same time."""

import io
import threading

import pytest
from rich.console import Console

from hwnas.cli import console
from hwnas.cli.console import Terminal


@pytest.fixture
def screen(monkeypatch):
    """What a terminal would get."""
    out = io.StringIO()
    monkeypatch.setattr(console, "err", Console(file=out, force_terminal=True, width=120, highlight=False))
    return out


@pytest.fixture
def log(monkeypatch):
    """What a file would get."""
    out = io.StringIO()
    monkeypatch.setattr(console, "err", Console(file=out, force_terminal=False, width=120, highlight=False))
    return out


def test_stages_of_several_threads_share_a_display_that_ends_with_the_last(screen):
    terminal = Terminal()
    inside, failures = threading.Barrier(3), []

    def work(name):
        try:
            with terminal.stage(f"profile {name}", 10) as advance:
                inside.wait(20)
                advance(5, "half")
                inside.wait(20)
                terminal.note(f"{name} has something to say")
        except Exception as problem:  # noqa: BLE001 - shown by the assertion below
            failures.append(problem)

    threads = [threading.Thread(target=work, args=(name,)) for name in ("pi4", "[pixel]", "local")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not failures
    shown = screen.getvalue()
    for name in ("pi4", "[pixel]", "local"):
        assert f"profile {name}" in shown
        assert f"{name} has something to say" in shown
    assert shown.endswith("\x1b[?25h"), "the cursor is shown again"
    with terminal.stage("the next", 1):
        pass
    assert "the next" in screen.getvalue()


def test_what_cannot_say_how_far_it_is_shows_that_it_is_at_work(screen):
    with console.working("fit [it]"):
        pass
    assert "fit [it]" in screen.getvalue()
    assert screen.getvalue().endswith("\x1b[2K")
    before = screen.getvalue()
    with console.working("fit", quiet=True):
        pass
    assert screen.getvalue() == before


def test_a_log_is_not_told_of_work_that_ends_soon(log):
    with console.working("fit"):
        pass
    assert log.getvalue() == ""


def test_a_stage_that_fails_ends_its_display(screen):
    terminal = Terminal()
    with pytest.raises(OSError, match="x"), terminal.stage("profile pi4", 10):
        raise OSError("x")
    assert screen.getvalue().endswith("\x1b[?25h")


def test_a_log_gets_lines_with_names_now_and_then(log, monkeypatch):
    terminal = Terminal()
    with terminal.stage("profile pi4", 10) as slow, terminal.stage("profile pixel", 20) as quick:
        quick(3, "")
        monkeypatch.setattr(console, "LOG_S", 0.0)
        slow(2.4, "quiet 50% of the time")
        quick(7, "")
    lines = log.getvalue().splitlines()
    assert lines[:2] == ["profile pi4: 2 of 10, 0 s, quiet 50% of the time", "profile pixel: 7 of 20, 0 s"]
    assert [line.rsplit(":", 1)[0] for line in lines[2:]] == ["profile pixel", "profile pi4"]


def test_quiet_says_nothing_but_notes(log):
    terminal = Terminal(quiet=True)
    with terminal.stage("profile pi4", 10) as advance:
        advance(5, "")
        terminal.expect("long")
        terminal.reused("profile pixel")
        terminal.note("pi4 failed")
    assert log.getvalue() == "note: pi4 failed\n"
