"""The agent as one file that any Python 3.8 or newer runs: a zip archive of `hwnas_agent`, the same bytes for the same source."""

from __future__ import annotations

import io
import zipfile
from importlib import resources
from pathlib import Path

from hwnas.core.errors import ConfigError
from hwnas.core.serial import write_atomic

_SHEBANG = b"#!/usr/bin/env python3\n"
_MAIN = "import sys\n\nfrom hwnas_agent.__main__ import main\n\nsys.exit(main())\n"
_EPOCH = (1980, 1, 1, 0, 0, 0)


def agent_zipapp() -> bytes:
    """The archive. Uncompressed, sorted, undated: its content depends on the source alone."""
    sources = {f"hwnas_agent/{file.name}": file.read_text(encoding="utf-8") for file in _modules()}
    buffer = io.BytesIO(_SHEBANG)
    buffer.seek(0, io.SEEK_END)
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_STORED) as archive:
        for name, text in sorted({**sources, "__main__.py": _MAIN}.items()):
            info = zipfile.ZipInfo(name, date_time=_EPOCH)
            info.create_system = 3  # the attributes are Unix ones wherever this runs
            info.external_attr = 0o644 << 16
            archive.writestr(info, text)
    return buffer.getvalue()


def write_zipapp(path: Path) -> Path:
    """Write the archive to ``path``, executable; ``path``. Where that is not possible, as at a folder's, `ConfigError`."""
    try:
        write_atomic(path, agent_zipapp())
        path.chmod(0o755)
    except OSError as problem:
        raise ConfigError(f"{path}: the agent cannot be written there: {problem.strerror}; name a file in a folder of yours") from None
    return path


def _modules() -> list[resources.abc.Traversable]:
    return [file for file in resources.files("hwnas_agent").iterdir() if file.name.endswith(".py")]
