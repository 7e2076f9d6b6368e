"""``hwnas report --serve``: the report in a browser of this machine, until Ctrl-C."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from hwnas.cli.console import err, out
from hwnas.pipeline.reported.following import following
from hwnas.report.page.engine import javascript
from hwnas.report.page.server import ReportServer
from hwnas.workspace import Workspace


def serve_until_stopped(workspace: Workspace, names: Sequence[str], port: int) -> None:
    """Show the link and serve; Ctrl-C ends it by one line."""
    report = following(workspace, names)
    javascript()
    server = ReportServer(report, port=port)
    try:
        out.print(server.link, soft_wrap=True, markup=False)
        err.print("open this link in a browser of this machine; it follows what goes on here; Ctrl-C ends it", soft_wrap=True)
        threading.Event().wait()
    except KeyboardInterrupt:
        err.print("stopped; the report is served no more")
    finally:
        server.close()
