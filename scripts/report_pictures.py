#!/usr/bin/env python3
"""Pictures of a report for the documentation: ``python scripts/report_pictures.py report.html docs/images``; needs chromium.

``report-desktop.png``, ``report-phone.png`` and ``report-dark.png``: the top of the page as a person sees it first, in few colours.
"""

from __future__ import annotations

import argparse
import io
import shutil
import sys
from pathlib import Path
from typing import Literal

from PIL import Image
from playwright.sync_api import sync_playwright

VIEWS: dict[str, tuple[int, int, Literal["light", "dark"]]] = {
    "desktop": (1200, 960, "light"),
    "phone": (390, 1180, "light"),
    "dark": (1200, 960, "dark"),
}
COLOURS = 256


def main(arguments: list[str] | None = None) -> int:
    """Write the three pictures; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("report", type=Path)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args(arguments)
    program = shutil.which("chromium")
    if program is None:
        print("no chromium here: install it first (tests/rig/setup.sh browser)", file=sys.stderr)
        return 2
    options.folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=["--headless", "--no-sandbox", "--disable-gpu"])
        for name, (width, height, scheme) in VIEWS.items():
            context = chromium.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, offline=True)
            page = context.new_page()
            page.goto(options.report.resolve().as_uri())
            page.wait_for_function("document.documentElement.dataset.drawn === 'yes'", timeout=120_000)
            picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB").quantize(COLOURS)
            picture.save(options.folder / f"report-{name}.png", optimize=True)
            context.close()
        chromium.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
