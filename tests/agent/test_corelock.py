"""The lock on cores: between processes, between users, and gone with its owner."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import hwnas_agent
import pytest
from hwnas_agent.corelock import CoresBusy, cores_locked

PACKAGE = str(Path(hwnas_agent.__file__).parent.parent)


@pytest.fixture
def holder(tmp_path):
    """Another process that holds cores 1 and 2."""
    code = (
        "import sys, time; from hwnas_agent.corelock import cores_locked\n"
        f"with cores_locked([2, 1], 0.0, {str(tmp_path)!r}):\n print('held', flush=True); time.sleep(600)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": PACKAGE})
    assert process.stdout.readline() == b"held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_cores_that_another_process_holds_are_refused_by_its_number(holder, tmp_path):
    with (
        pytest.raises(CoresBusy, match=rf"core2 of this device is being measured on by another session \(process {holder.pid}\)"),
        cores_locked([2, 3], 0.0, str(tmp_path)),
    ):
        pytest.fail("both hold core 2")


def test_other_cores_are_free(holder, tmp_path):
    with cores_locked([0, 3], 0.0, str(tmp_path)):
        pass


def test_what_could_not_be_locked_whole_is_not_kept_in_part(holder, tmp_path):
    with pytest.raises(CoresBusy), cores_locked([0, 1], 0.0, str(tmp_path)):
        pass
    with cores_locked([0], 0.0, str(tmp_path)):
        pass


def test_a_killed_holder_holds_nothing(holder, tmp_path):
    os.kill(holder.pid, signal.SIGKILL)
    with cores_locked([1, 2], 20.0, str(tmp_path)):
        pass


def test_a_lock_ends_with_its_context_and_its_file_stays(tmp_path):
    for _ in range(2):
        with cores_locked([5], 0.0, str(tmp_path)):
            (file,) = tmp_path.iterdir()
    assert file.name.endswith("-core5.lock")
    assert file.stat().st_mode & 0o777 == 0o644


def test_a_file_of_another_user_is_locked_all_the_same(tmp_path):
    with cores_locked([5], 0.0, str(tmp_path)):
        (file,) = tmp_path.iterdir()
    file.chmod(0o444)
    with cores_locked([5], 0.0, str(tmp_path)), pytest.raises(CoresBusy), cores_locked([5], 0.0, str(tmp_path)):
        pass


def test_a_device_that_pins_nothing_is_locked_whole(tmp_path):
    with cores_locked([], 0.0, str(tmp_path)), pytest.raises(CoresBusy, match="cores of this device"), cores_locked([], 0.0, str(tmp_path)):
        pass


def test_a_link_in_the_place_of_a_lock_is_not_followed(tmp_path):
    with cores_locked([5], 0.0, str(tmp_path)):
        (file,) = tmp_path.iterdir()
    file.unlink()
    file.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CoresBusy, match="cannot be opened to lock core5"), cores_locked([5], 0.0, str(tmp_path)):
        pass
    assert not (tmp_path / "elsewhere").exists()
