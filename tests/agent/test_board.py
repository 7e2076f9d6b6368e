"""Facts of boards, read from folders and tools that look like theirs."""

import os

import pytest
from hwnas_agent import files
from hwnas_agent.board import board_facts, device_facts
from hwnas_agent.facts import hello
from hwnas_agent.files import Here, Unknown, run_tool
from hwnas_agent.wire import FROM_AGENT, check

FILES = {
    "proc/device-tree/model": "Raspberry Pi 4 Model B Rev 1.4\0",
    "etc/os-release": 'NAME="Debian"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n',
    "proc/meminfo": "MemTotal:        3884344 kB\nMemFree: 1 kB\n",
    "sys/devices/soc0/machine": "SM8550\n",
    "sys/class/thermal/thermal_zone0/temp": "48500\n",
    "sys/class/thermal/thermal_zone1/temp": "61200\n",
    "sys/class/thermal/thermal_zone2/temp": "-274000\n",
    "sys/class/thermal/thermal_zone3/temp": "hot\n",
    **{f"sys/class/thermal/thermal_zone{n}/type": "cpu-thermal\n" for n in range(4)},
    "sys/class/thermal/thermal_zone4/temp": "99000\n",
    "sys/class/thermal/thermal_zone4/type": "battery\n",
    **{f"sys/devices/system/cpu/cpu{c}/cpufreq/cpuinfo_max_freq": f"{1800000 if c < 4 else 2400000}\n" for c in range(6)},
    **{f"sys/devices/system/cpu/cpu{c}/cpufreq/scaling_governor": f"{'ondemand' if c in (0, 1, 5) else 'performance'}\n" for c in range(6)},
    "proc/stat": "cpu 1 1 1 1 1 1 1 1 0 0\ncpu5 10 0 10 70 10 0 0 0 0 0\n",
}
SAID = {
    "vcgencmd": "throttled=0x50005\n",
    "nvpmodel": "NV Fan Mode:quiet\nNV Power Mode: MAXN\n0\n",
    "dumpsys": "IsStatusOverride: false\nThermal Status: 2\nCached temperatures:\n",
}


@pytest.fixture
def root(tmp_path):
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def nothing(arguments):
    raise Unknown(arguments[0] + " is not there")


def facts_of(root, tool=nothing, cores=range(6)):
    device = Here(str(root), tool)
    return {**device_facts(list(cores), device), **board_facts(list(cores), device)}


def test_files_of_the_kernel_tell_the_board(root):
    facts = facts_of(root)
    assert {name: fact["value"] for name, fact in facts.items() if fact["value"] is not None} == {
        "model": "Raspberry Pi 4 Model B Rev 1.4",
        "soc": "SM8550",
        "os": "Debian GNU/Linux 12 (bookworm)",
        "memory_bytes": 3884344 * 1024,
        "clusters": "0-3: 1800 MHz, 4-5: 2400 MHz",
        "governors": "0-1,5: ondemand, 2-4: performance",
        "core_set": "0,1,2,3,4,5",
        "governor": "ondemand",
        "temperature_c": 61.2,
    }
    assert facts["idle_share"]["reason"] == "/proc/stat does not go on"
    assert facts["throttled"] == {"value": None, "reason": "vcgencmd is not there"}


def test_tools_tell_the_rest(root):
    facts = facts_of(root, tool=lambda arguments: SAID.get(arguments[0], ""))
    assert facts["throttled"]["value"] == "now: under-voltage, throttled"
    assert facts["power_mode"]["value"] == "MAXN"
    assert facts["thermal_status"]["value"] == "moderate"
    assert facts_of(root, tool=lambda _: "throttled=0x0\n")["throttled"]["value"] == "no"
    assert facts_of(root, tool=lambda _: "throttled=0x80000\n")["throttled"]["value"] == "since it started: soft temperature limit"


def test_what_a_tool_says_otherwise_is_unknown(root):
    for words in ("", "throttled=no", "\x1b[2Jx", "Thermal Status: 99\nNV Power Mode:\n"):
        facts = facts_of(root, tool=lambda _, words=words: words)
        for name in ("throttled", "power_mode", "thermal_status"):
            assert facts[name]["value"] is None
            assert facts[name]["reason"].isprintable()


def test_where_there_is_nothing_everything_is_unknown(tmp_path):
    for cores in ([], [0, 7]):
        for fact in board_facts(cores, Here(str(tmp_path), nothing)).values():
            assert fact["value"] is None
            assert fact["reason"]


def test_a_phone_says_what_it_is_through_its_properties(tmp_path):
    properties = {"ro.product.model": "Pixel 8\n", "ro.soc.model": "Tensor G3\n", "ro.build.version.release": "15\n"}
    facts = facts_of(tmp_path, tool=lambda arguments: properties.get(arguments[-1], ""))
    assert (facts["model"]["value"], facts["soc"]["value"], facts["os"]["value"]) == ("Pixel 8", "Tensor G3", "Android 15")


def test_torn_files_are_unknown(root):
    (root / "proc/meminfo").write_text("MemTotal: lots\n")
    (root / "etc/os-release").write_bytes(b"\xff\xfe")
    (root / "sys/devices/system/cpu/cpu3/cpufreq/cpuinfo_max_freq").write_text("fast\n")
    (root / "proc/device-tree/model").write_text("\0")
    facts = facts_of(root)
    assert [facts[name]["value"] for name in ("memory_bytes", "os", "clusters", "model")] == [None] * 4


@pytest.mark.parametrize(
    ("script", "reason"),
    [("exec sleep 60", "did not end within"), ("exit 3", "ended with 3"), ("no-such-interpreter", "")],
)
def test_a_tool_that_hangs_or_fails_is_unknown(tmp_path, monkeypatch, script, reason):
    path = tmp_path / "vcgencmd"
    path.write_text(f"#!/bin/sh\n{script}\n" if reason else "#!/no/such/shell\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(files, "TOOL_S", 0.2)
    with pytest.raises(Unknown, match=reason or "does not start"):
        run_tool(["vcgencmd", "get_throttled"])
    with pytest.raises(Unknown, match="is not there"):
        run_tool(["no-such-tool-of-a-board"])


def test_a_real_tool_is_read(tmp_path, monkeypatch):
    path = tmp_path / "vcgencmd"
    path.write_text('#!/bin/sh\n[ "$1" = get_throttled ] && echo throttled=0x2\n')
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert board_facts([0])["throttled"] == {"value": "now: frequency capped", "reason": None}


def test_a_host_that_names_no_runtime_is_told_of_the_board():
    told = check(hello([]), FROM_AGENT)["facts"]
    assert {"model", "memory_bytes", "idle_share"} <= told.keys()
    assert told["memory_bytes"]["value"] > 0
    assert "model" not in hello(["onnxruntime"])["facts"]
