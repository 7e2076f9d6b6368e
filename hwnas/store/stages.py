"""Finished work by content: a stage's folder is named by a hash of everything that decides its result.

A stage is finished when ``done.json`` is there; it lists the SHA-256 of every file, so that a changed or lost file makes it unfinished
again. Until then the folder holds what the stage needs to go on after a kill: journals and checkpoints.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwnas.core.errors import UsageError
from hwnas.core.serial import canonical_json, content_id, sha256_file, write_atomic
from hwnas.store.sources import source_digest

DONE = "done.json"


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of a run with fixed inputs."""

    name: str
    key: str
    folder: Path

    @property
    def done(self) -> bool:
        """Whether the stage is finished and every file is as it was then."""
        try:
            listed = json.loads((self.folder / DONE).read_text())["files"].items()
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return False
        return all((self.folder / name).is_file() and sha256_file(self.folder / name) == digest for name, digest in listed)

    def finish(self, *files: str) -> None:
        """Mark the stage as finished, with the files that are its result (paths within its folder)."""
        digests = {name: sha256_file(self.folder / name) for name in files}
        write_atomic(self.folder / DONE, canonical_json({"stage": self.name, "key": self.key, "files": digests}) + "\n")

    def reopen(self) -> None:
        """Make the stage unfinished again, with all that it holds."""
        (self.folder / DONE).unlink(missing_ok=True)


class Store:
    """The ``runs/`` folder of a workspace."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def stage(self, name: str, inputs: Any, *, code: tuple[str, ...], glue: str | tuple[str, ...]) -> Stage:
        """The stage ``name`` for these inputs (anything that `canonical_json` takes).

        ``code``: modules whose source, with all that they import, decides the result; ``glue``: the module, or modules,
        that join them, by themselves.
        """
        key = content_id([name, inputs, source_digest(*code, alone=(glue,) if isinstance(glue, str) else glue)])
        folder = self.root / "stages" / f"{name}-{key}"
        folder.mkdir(parents=True, exist_ok=True)
        return Stage(name, key, folder)

    @property
    def images(self) -> Path:
        """Where decoded images are kept."""
        return self.root / "images"

    @property
    def tables(self) -> Path:
        """The latest measured tables, laid out like the accepted ones."""
        return self.root / "tables"

    @property
    def predictors(self) -> Path:
        """The latest predictors, by space."""
        return self.root / "predictors"

    @property
    def models(self) -> Path:
        """Where block models are kept, by content."""
        return self.root / "models"

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep a second process out of the same folder; the lock dies with its owner, however that ends.

        The lock is on the folder that holds ``root``, so that a run which refuses its input has written nothing.
        """
        folder = self.root.absolute().parent
        handle = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError:
            owner = _lock_owner(handle)
            by = "" if owner is None else f" (process {owner})"
            raise UsageError(f"{folder}: another hwnas{by} works here; wait for it") from None
        finally:
            os.close(handle)


def _lock_owner(handle: int) -> int | None:
    """The process that holds the lock on an open folder, from Linux' list of locks."""
    inode = os.fstat(handle).st_ino
    try:
        lines = Path("/proc/locks").read_text().splitlines()
    except OSError:
        return None
    owners = [int(line.split()[4]) for line in lines if line.split()[1] == "FLOCK" and line.split()[5].endswith(f":{inode}")]
    return owners[0] if owners else None
