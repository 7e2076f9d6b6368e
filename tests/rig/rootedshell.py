"""A shell on a device whose files are those below a folder, and whose tools say what they are told: real ``head``, ``grep`` and ``ls``."""

from __future__ import annotations

import contextlib

from hwnas.profiler.shell import LocalShell


class RootedShell:
    """A `hwnas.profiler.shell.Shell`. ``tools(arguments)`` gives what a tool prints, or None where there is no such tool."""

    def __init__(self, root, tools=lambda arguments: None):
        self.root, self.tools, self.commands = root, tools, []
        self._shell = LocalShell(root, name="rooted")

    def push(self, local, name, *, executable=False):
        return f"/folder/{name}"

    def run(self, arguments, *, timeout_s):
        self.commands.append(list(arguments))
        if arguments[0] not in ("head", "grep", "ls"):
            said = self.tools(arguments)
            return (127, f"sh: {arguments[0]}: not found\n") if said is None else (0, said)
        below = [f"{self.root}{word}" if word.startswith("/") else word for word in arguments]
        status, words = self._shell.run(below, timeout_s=timeout_s)
        return status, words.replace(str(self.root), "")

    def opened(self, device):
        """As `hwnas.profiler.shell.SHELLS` has it."""
        return contextlib.nullcontext(self)
