"""The example page: its preprocessing is that of the files, and in a real browser it answers as the product does."""

from __future__ import annotations

import functools
import importlib.util
import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from hwnas.cli.main import call
from hwnas.core.result import Artifact
from hwnas.core.serial import sha256_file
from hwnas.export.exporter import exporter_for
from hwnas.profiler.webruntime import web_files
from tests.rig.chromium import browsers, missing

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "browser"
STEPS: dict[str, Any] = {"scale": 255.0, "size": 16, "layout": "NCHW", "colour": "RGB", "mean": [0.4, 0.5, 0.6], "std": [0.2, 0.3, 0.25]}
GREY = {"colour": "L", "mean": [0.3], "std": [0.35]}


def load(path: Path, steps: dict[str, Any]) -> NDArray[np.float32]:
    """The input for an image by the script that ships beside models."""
    spec = importlib.util.spec_from_file_location("picture", ROOT / "hwnas" / "assets" / "standalone" / "picture.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: NDArray[np.float32] = module.load(path, steps)
    return found


@pytest.mark.skipif(shutil.which("node") is None, reason="no node here (tests/rig/setup.sh installs it)")
@pytest.mark.parametrize("steps", [STEPS, STEPS | {"size": 40}, STEPS | {"layout": "NHWC"}, STEPS | GREY, STEPS | GREY | {"size": 1}])
def test_preprocessing_is_that_of_the_files(steps: dict[str, Any], tmp_path: Path) -> None:
    rng = np.random.default_rng(steps["size"])
    height, width = 37, 52
    pixels = np.asarray(Image.fromarray(rng.integers(0, 256, (9, 13, 3), dtype=np.uint8)).resize((width, height)))
    Image.fromarray(pixels).save(tmp_path / "image.png")
    wanted = load(tmp_path / "image.png", steps)
    shutil.copy(EXAMPLE / "image.js", tmp_path / "image.mjs")
    rgba = np.concatenate([pixels, np.full((height, width, 1), 255, np.uint8)], axis=2).ravel().tolist()
    program = """
        const { image, steps } = JSON.parse(require("fs").readFileSync(0));
        import(process.argv[1]).then(({ input }) => {
          const { data, dims } = input(image, steps);
          console.log(JSON.stringify({ data: [...data], dims }));
        });
    """
    asked = json.dumps({"image": {"data": rgba, "width": width, "height": height}, "steps": steps})
    command = ["node", "-e", program, str(tmp_path / "image.mjs")]
    done = subprocess.run(command, input=asked, capture_output=True, text=True, check=True, timeout=120)
    found = json.loads(done.stdout)
    assert found["dims"] == list(wanted.shape)
    off = np.abs(np.array(found["data"]).reshape(wanted.shape) - wanted)
    assert off.max() <= 1.01 / 255 / min(steps["std"]), "a value is rounded otherwise by one at most"
    assert np.mean(off > 1e-4) < 0.02, "and hardly any is"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *words: object) -> None:
        pass


@pytest.fixture
def site(copy: Path, pretend: object) -> Iterator[tuple[str, Path]]:
    """The example with a model of `hwnas ci`, served; its address and its folder."""
    assert call(["ci", "-w", str(copy), "-q"]) == 0
    folder = shutil.copytree(EXAMPLE, copy / "site")
    shutil.copytree(copy / "dist" / "toy-onnxruntime" / "50pct", folder / "model")
    (folder / "ort").mkdir()
    for name, path in web_files().items():
        shutil.copy(path, folder / "ort" / name)
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{httpd.server_port}/", folder
    httpd.shutdown()
    thread.join()
    httpd.server_close()


@pytest.mark.slow
@pytest.mark.skipif(bool(missing()), reason=missing())
def test_a_picked_image_is_classified_as_by_the_product(site: tuple[str, Path], tmp_path: Path) -> None:
    address, folder = site
    steps = json.loads((folder / "model" / "preprocessing.json").read_text())
    labels = (folder / "model" / "labels.txt").read_text().splitlines()
    model = folder / "model" / "model.onnx"
    pixels = np.asarray(Image.fromarray(np.random.default_rng(3).integers(0, 256, (6, 8), dtype=np.uint8)).resize((60, 45)))
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    (tmp_path / "text.png").write_text("no image")
    x = load(tmp_path / "photo.png", steps)
    logits = exporter_for("onnxruntime").run(Artifact(str(model), sha256_file(model), "onnxruntime", "fp32", ""), x)[0][0]
    shares = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    with browsers() as launch:
        tab = launch().new_page()
        tab.goto(address)
        tab.wait_for_selector("#file:enabled", timeout=120_000)
        tab.set_input_files("#file", str(tmp_path / "photo.png"))
        tab.wait_for_selector("#answers tr", timeout=60_000)
        rows = [tab.locator("#answers tr").nth(n).locator("td").all_inner_texts() for n in range(5)]
        tab.set_input_files("#file", str(tmp_path / "text.png"))
        tab.wait_for_function("document.getElementById('state').textContent.includes('is no image')", timeout=60_000)
        (folder / "model" / "labels.txt").unlink()
        tab.reload()
        tab.wait_for_function("document.getElementById('state').textContent.includes('cannot be loaded')", timeout=60_000)
        assert "labels.txt: the server answers 404" in tab.inner_text("#state")
    assert rows[0][0] == labels[int(np.argmax(shares))]
    found = {label: float(share.removesuffix(" %")) / 100 for label, share in rows}
    for label, share in found.items():
        assert share == pytest.approx(shares[labels.index(label)], abs=0.01)
    assert list(found.values()) == sorted(found.values(), reverse=True)
