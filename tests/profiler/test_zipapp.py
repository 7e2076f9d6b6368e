import os
import subprocess
import sys
import zipfile

import pytest

from hwnas.profiler.check import read_hello
from hwnas.profiler.stream import StreamChannel
from hwnas.profiler.zipapp import agent_zipapp, write_zipapp


def test_the_same_source_gives_the_same_bytes(tmp_path):
    assert agent_zipapp() == agent_zipapp()
    with zipfile.ZipFile(write_zipapp(tmp_path / "agent.pyz")) as archive:
        names = archive.namelist()
    assert names == sorted(names)
    assert "__main__.py" in names
    assert "hwnas_agent/wire.py" in names
    assert not any("__pycache__" in name for name in names)


@pytest.mark.parametrize("isolated", [["-I"], []])
def test_the_one_file_is_the_whole_agent(tmp_path, isolated):
    path = write_zipapp(tmp_path / "agent.pyz")
    process = subprocess.Popen([sys.executable, *isolated, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=tmp_path)
    read_fd, write_fd = os.dup(process.stdout.fileno()), os.dup(process.stdin.fileno())
    process.stdout.close()
    process.stdin.close()
    with StreamChannel(read_fd, write_fd, name="zip", on_close=process.wait) as channel:
        assert read_hello(channel, runtimes=("none",)).agent
    assert process.returncode == 0


def test_it_is_executable(tmp_path):
    done = subprocess.run([write_zipapp(tmp_path / "agent.pyz"), "--version"], capture_output=True, text=True)
    assert done.returncode == 0
