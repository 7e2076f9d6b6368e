"""A board over adb that is rebooted while it is measured: the command says so, and the next one goes on where it was."""

import contextlib
import sys

import pytest

from tests.pipeline.test_ssh_cut import goes_on, journal_of, profile, to_its_end, wait_for_results
from tests.rig.adbd import missing, running
from tests.rig.small_run import write_workspace

pytest.importorskip("adbutils")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(missing()), reason=missing())]

DEVICE = """transport = "adb"
address = "{serial}"
runtimes = ["onnxruntime"]
[adb]
server = "127.0.0.1:{port}"
python = "{python}"
folder = "{folder}"
"""


def test_a_profile_goes_on_after_the_board_was_rebooted(tmp_path):
    with running(tmp_path / "board") as board, contextlib.ExitStack() as stack:
        workspace = write_workspace(tmp_path / "ws", runtimes=())
        text = DEVICE.format(serial=board.serial, port=board.server_port, python=sys.executable, folder=f"{board.home}/hwnas")
        (workspace / "devices" / "toy.toml").write_text(text)
        process = profile(workspace)
        stack.callback(process.kill)
        wait_for_results(workspace, process)
        board.power_off()
        _, err = to_its_end(process)
        assert process.returncode == 3, err
        assert "the connection to the device broke off" in err
        assert "were measured and are kept" in err
        board.start_adbd()
        goes_on(workspace, journal_of(workspace))
        assert board.is_clean()
