"""``hwnas runs plot`` on a finished workspace."""

import subprocess
import sys

from tests.cli.test_commands import REPOSITORY, environment, hw, hw_json, snapshot

LITERT = ("search", "--device", "toy", "--runtime", "litert", "--budget", "60%", "--budget", "90%", "--trials", "200")


def test_searches_are_drawn(capsys, copy, tmp_path):
    runs = []
    for strategy, seed in (("random", 1), ("random", 2), ("evolution", 1)):
        runs.append(hw_json(capsys, *LITERT, "--strategy", strategy, "--seed", seed, "-w", copy)["run"])
    code, out, _ = hw(capsys, "runs", "plot", *runs, "--out", tmp_path / "figures", "-w", copy)
    assert (code, len(out.split())) == (0, 6)
    names = {f"{name}.{suffix}" for name in ("front", "progress", "choices") for suffix in ("png", "svg")}
    assert {path.name for path in (tmp_path / "figures").iterdir()} == names
    assert "random, 2 seeds" in (tmp_path / "figures" / "progress.svg").read_text()


def test_searches_of_different_targets_share_no_axis(capsys, copy, tmp_path):
    first = hw_json(capsys, *LITERT, "-w", copy)["run"]
    other = hw_json(capsys, *LITERT, "--runtime", "onnxruntime", "-w", copy)["run"]
    before = snapshot(copy)
    code, out, err = hw(capsys, "runs", "plot", first, other, "--out", tmp_path / "none", "-w", copy)
    assert (code, out) == (2, "")
    assert "are of different targets" in err
    assert not (tmp_path / "none").exists()
    assert snapshot(copy) == before


def test_without_matplotlib_a_line_says_what_to_install(capsys, copy, tmp_path):
    run = hw_json(capsys, *LITERT, "-w", copy)["run"]
    code = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "import tests.rig.pretend\n"
        "from hwnas.cli.main import call\n"
        "sys.exit(call(sys.argv[1:]))"
    )
    words = ["runs", "plot", run, "--out", str(tmp_path / "none"), "-w", str(copy)]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, cwd=REPOSITORY, env=environment())
    assert done.returncode == 2
    assert "pip install 'hwnas[plot]'" in " ".join(done.stderr.split())
    assert not (tmp_path / "none").exists()
