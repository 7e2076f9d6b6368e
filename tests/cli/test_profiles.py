"""``hwnas profile`` as a user types it: several devices, failures beside results, refreshing, measuring again."""

import json
import re
import shutil

import pytest

from hwnas.cli.main import call
from hwnas.core.errors import AuthFailed, DeviceLost
from tests.rig.small_run import write_workspace

DEVICE = 'transport = "pretend"\nruntimes = ["onnxruntime"]\n'


@pytest.fixture(scope="module")
def profiled(tmp_path_factory, pretend):
    """A workspace with two devices of which ``a`` is profiled."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pretend, "SAMPLES", 12)
        root = write_workspace(tmp_path_factory.mktemp("cli") / "ws", runtimes=())
        (root / "devices" / "toy.toml").unlink()
        config = root / "hwnas.toml"
        config.write_text(re.sub(r"resolutions = \[(\d+), \d+\]", r"resolutions = [\1]", config.read_text()))
        for name in "ab":
            (root / "devices" / f"{name}.toml").write_text(DEVICE)
        assert call(["profile", "a", "-w", str(root), "-q"]) == 0
    return root


@pytest.fixture
def root(profiled, tmp_path, pretend, monkeypatch):
    monkeypatch.setattr(pretend, "SAMPLES", 12)
    return shutil.copytree(profiled, tmp_path / "ws")


@pytest.fixture
def act(pretend, monkeypatch):
    """``act[name] = channel class or error`` of a device."""
    kinds = {}

    def launch(self):
        kind = kinds.get(self.device.id, pretend.PretendChannel)
        if isinstance(kind, Exception):
            raise kind
        return kind()

    monkeypatch.setattr(pretend.PretendLauncher, "launch", launch)
    return kinds


@pytest.fixture
def hw(capsys, root):
    """Exit code, stdout (parsed, where it is JSON), and the lines on stderr."""

    def run(*arguments):
        code = call([*arguments, "-w", str(root)])
        out, err = capsys.readouterr()
        return code, json.loads(out) if "--json" in arguments and out else out, err.splitlines()

    return run


def test_all_devices_are_profiled_and_each_has_its_row(hw):
    code, rows, _ = hw("profile", "--all", "--json", "-q")
    assert code == 0
    assert [(r["device"], r["target"], r["status"], r["error"]) for r in rows] == [
        ("a", "a/onnxruntime fp32", "reused", None),
        ("b", "b/onnxruntime fp32", "measured", None),
    ]


def test_each_failure_is_a_line_and_the_highest_exit_code_counts(hw, act, root):
    (root / "devices" / "c.toml").write_text(DEVICE)
    (root / "devices" / "d.toml").write_text(DEVICE.replace("onnxruntime", "litert"))
    act |= {"b": AuthFailed("b: the key is not let in"), "c": DeviceLost("the cable\nis out")}
    code, out, err = hw("profile", "--all", "--runtime", "onnxruntime", "-q")
    assert (code, out) == (2, "")
    assert len(err) == 1
    assert "device 'd' has no runtime 'onnxruntime'" in err[0]
    code, out, err = hw("profile", "a", "b", "c", "d", "-q")
    assert code == 3
    errors = [line for line in err if line.startswith("error: ")]
    assert errors == ["error: b/onnxruntime fp32: b: the key is not let in", "error: c/onnxruntime fp32: the cable is out"]
    assert "a/onnxruntime fp32" in out
    assert "'hwnas table accept a' or 'hwnas table accept d' promotes" in out
    code, rows, _ = hw("profile", "a", "b", "--json", "-q")
    assert code == 3
    assert [(r["status"], r["exit_code"]) for r in rows] == [("reused", 0), ("failed", 3)]
    assert rows[1]["error"] == "b: the key is not let in"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "name the devices to profile, or give --all"),
        (("a", "--all"), "(not both)"),
        (("a", "c"), "unknown device 'c'"),
        (("a", "--again", "--refresh"), "give one of them"),
        (("b", "--refresh", "-q"), "b/onnxruntime fp32: no table to compare with; run 'hwnas profile b'"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_exits_2(hw, arguments, message):
    code, out, err = hw("profile", *arguments)
    assert (code, out) == (2, "")
    assert len(err) == 1
    assert message in err[0]


def test_a_refresh_says_that_the_table_holds(hw):
    code, (row,), _ = hw("profile", "a", "--refresh", "--refresh-blocks", "5", "--json", "-q")
    assert code == 0
    assert (row["status"], row["verdict"], row["changes"]) == ("compared", "holds", [])
    assert row["scale"] == 1.0
    kinds = [model["key"].startswith("net:") for model in row["models"]]
    assert (kinds.count(False), kinds.count(True)) == (5, 3)
    code, out, _ = hw("profile", "a", "--refresh", "-q")
    assert code == 0
    assert "a/onnxruntime fp32: the table holds: 0.0% faster in common" in out
    assert out.count("1.000 ") >= 15


def test_an_update_is_noted_until_a_refresh_finds_that_the_table_holds(hw, act, pretend):
    act["a"] = pretend.updated("2", factor=lambda _: 1.01)
    advice = (
        "note: a/onnxruntime fp32: the device has changed since its table was measured (onnxruntime 0, now 2); "
        "'hwnas profile a --refresh' says whether the table still holds"
    )
    assert hw("profile", "a", "-q")[2] == [advice]
    code, (row,), _ = hw("profile", "a", "--refresh", "--json", "-q")
    assert (code, row["verdict"], row["changes"]) == (0, "holds", ["onnxruntime 0, now 2"])
    assert row["scale"] == pytest.approx(1.01)
    assert hw("profile", "a", "-q")[2] == []
    act["a"] = pretend.updated("3", factor=lambda _: 1.01)
    assert hw("profile", "a", "-q")[2] == [advice.replace("now 2", "now 3")]


def test_a_refresh_tells_one_factor_from_a_new_table_and_changes_nothing(hw, act, pretend, root):
    before = {p: p.read_bytes() for p in (root / "runs" / "tables").rglob("*.*")}
    act["a"] = pretend.updated("2", factor=lambda _: 1.5)
    code, out, err = hw("profile", "a", "--refresh", "-q")
    assert code == 7
    assert "times 1.500 the table would hold; it was not changed, 'hwnas profile a --again' measures a new one" in " ".join(err)
    assert "1.500" in out
    act["a"] = pretend.updated("2", factor=lambda key: 1.5 if len(key) % 2 else 1.0)
    code, (row,), err = hw("profile", "a", "--refresh", "--json", "-q")
    assert (code, row["verdict"], row["status"]) == (7, "again", "compared")
    assert "the table no longer holds (onnxruntime 0, now 2)" in " ".join(err)
    assert {p: p.read_bytes() for p in before} == before


def test_a_device_that_cannot_be_asked_is_reused_with_a_note(hw, act):
    act["a"] = DeviceLost("the cable is out")
    code, (row,), err = hw("profile", "a", "--json", "-q")
    assert (code, row["status"]) == (0, "reused")
    assert err == ["note: a/onnxruntime fp32: whether the device has changed since cannot be said: the cable is out"]


def test_again_measures_all_of_it_again(hw, act, pretend):
    _, (old,), _ = hw("profile", "a", "--json", "-q")
    act["a"] = pretend.updated("2", factor=lambda _: 2.0)
    code, (new,), err = hw("profile", "a", "--again", "--json", "-q")
    assert (code, new["status"], err) == (0, "measured", [])
    assert new["largest_ms"] == pytest.approx(2 * old["largest_ms"])
    assert hw("profile", "a", "-q")[2] == []


def test_progress_names_the_device(hw, monkeypatch):
    monkeypatch.setattr("hwnas.cli.console.LOG_S", 0.0)
    code, _, err = hw("profile", "a", "b")
    assert code == 0
    text = "\n".join(err)
    assert re.search(r"^profile b/onnxruntime fp32: \d+ blocks and 6 networks to measure: about \d+ s", text, re.MULTILINE)
    assert re.search(r"^profile b/onnxruntime fp32: 3 of \d+, \d+ s", text, re.MULTILINE)
    assert re.search(r"^profile b/onnxruntime fp32: \d+ s$", text, re.MULTILINE)
