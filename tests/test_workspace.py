import os
import tomllib
from pathlib import Path

import pytest

from hwnas.core.errors import ConfigError, UnknownNameError, UsageError
from hwnas.workspace import Workspace

REPOSITORY = Path(__file__).parents[1]
CONFIG = 'seed = 3\n[data]\nsource = "fashion-mnist"\n[space]\npreset = "tiny-32"\n'
DEVICE = 'transport = "local"\nruntimes = ["onnxruntime"]\n'
RECIPE = 'device = "pi"\nruntime = "onnxruntime"\nbudgets = ["40%", "2.5ms"]\n'


@pytest.fixture
def root(tmp_path):
    for name, text in {"hwnas.toml": CONFIG, "devices/pi.toml": DEVICE, "export/recipes/one.toml": RECIPE}.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_a_workspace_is_read_whole(root):
    workspace = Workspace.open(root)
    assert workspace.config.seed == 3
    assert workspace.config.search.strategy == "evolution"
    assert workspace.device("pi").runtimes == ("onnxruntime",)
    recipe = workspace.recipes["one"]
    assert [limit.resolve_ms(10.0) for limit in recipe.latency_limits] == [4.0, 2.5]
    assert recipe.statistic == "p50"


def test_the_reference_workspace_is_valid():
    workspace = Workspace.open(REPOSITORY)
    assert {recipe.runtime for recipe in workspace.recipes.values()} == {"onnxruntime", "litert"}
    assert all(len(recipe.budgets) >= 3 for recipe in workspace.recipes.values())


CONFIG_FAULTS = [
    ("sede = 1", "unknown key 'sede'; did you mean 'seed'?"),
    ("[train]\nepoch = 3", "unknown key 'train.epoch'; did you mean 'epochs'?"),
    ("seed = 1.5", "seed: must be"),
    ('seed = "1"', "seed: must be"),
    ("seed = -1", "seed must be from 0 to 4294967295, not -1"),
    ("[train]\nepochs = 0", "train.epochs must be at least 1"),
    ("[train]\nlr = nan", "train.lr"),
    ("[profile]\nnetworks = 1", "networks must be at least 5, not 1"),
    ("[search]\ntrials = true", "search.trials: must be"),
    ('[search]\nstrategy = ["evolution"]', "search.strategy: must be"),
    ("[data.limits]\ntrain = 0", "limit 'train' must be at least 1"),
    ("[space]\nresolutions = [32", "not readable as TOML"),
    ("seed = 1\nseed = 2", "not readable as TOML"),
]


def with_config(extra):
    base = {"data": 'source = "fashion-mnist"', "space": 'preset = "tiny-32"'}
    head = "" if extra.startswith("[") else extra + "\n"
    tail = extra if extra.startswith("[") else ""
    if tail.startswith("[space]"):
        del base["space"]
    return head + "".join(f"[{name}]\n{body}\n" for name, body in base.items()) + tail + "\n"


@pytest.mark.parametrize(("extra", "message"), CONFIG_FAULTS)
def test_a_wrong_configuration_is_one_line_that_names_file_key_and_remedy(root, extra, message):
    (root / "hwnas.toml").write_text(with_config(extra))
    before = sorted(os.walk(root))
    with pytest.raises(ConfigError) as caught:
        Workspace.open(root)
    text = str(caught.value)
    assert text.startswith(str(root / "hwnas.toml"))
    assert message in text
    assert "\n" not in text
    assert caught.value.exit_code == 2
    assert sorted(os.walk(root)) == before


@pytest.mark.parametrize("missing", ["data", "space"])
def test_a_missing_section_is_named(root, missing):
    parts = tomllib.loads(CONFIG)
    del parts[missing]
    other = next(name for name in ("data", "space") if name != missing)
    key, value = next(iter(parts[other].items()))
    (root / "hwnas.toml").write_text(f'[{other}]\n{key} = "{value}"\n')
    with pytest.raises(ConfigError, match=f"key '{missing}' is missing"):
        Workspace.open(root)


def test_a_folder_without_configuration_says_how_to_begin(tmp_path):
    with pytest.raises(ConfigError, match="run 'hwnas init'"):
        Workspace.open(tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"2.5ms"', '"2.5"', "budget '2.5': a number above 0 with a unit"),
        ('"2.5ms"', '"0ms"', "must be above 0"),
        ('"2.5ms"', '"-1ms"', "a number above 0 with a unit"),
        ('"2.5ms"', '"nanms"', "a number above 0 with a unit"),
        ('["40%", "2.5ms"]', "[]", "budgets is empty"),
        ('["40%", "2.5ms"]', "[2.5]", "budgets.0: must be"),
        ('runtime = "onnxruntime"', 'runtime = "onnxruntim"', "did you mean 'onnxruntime'?"),
        ("budgets", "budget", "unknown key 'budget'; did you mean 'budgets'?"),
        ('runtime = "onnxruntime"', 'runtime = "onnxruntime"\nstatistic = "p51"', "unknown statistic 'p51'; did you mean 'p50'?"),
        ('runtime = "onnxruntime"', 'runtime = "onnxruntime"\nregime = "silent"', "unknown regime 'silent'"),
        ('runtime = "onnxruntime"', 'runtime = "onnxruntime"\nprecision = "int4"', "unknown precision 'int4'; did you mean 'int8'?"),
        ('runtime = "onnxruntime"', 'runtime = "onnxruntime"\nthreads = 0', "threads must be at least 1"),
        ('"40%", "2.5ms"]', '"40%", "2.5ms"]\n[int8]\nmax_drop = 1', "unknown key 'int8.max_drop'; did you mean 'max_accuracy_drop'?"),
        ('"40%", "2.5ms"]', '"40%", "2.5ms"]\n[limits]\nparms = "2M"', "unknown key 'limits.parms'; did you mean 'params'?"),
        (
            '"40%", "2.5ms"]',
            '"40%", "2.5ms"]\n[limits]\nparams = "2MB"',
            "limit 'params=2MB': a number above 0 is needed, perhaps with k, M",
        ),
        ('"40%", "2.5ms"]', '"40%", "2.5ms"]\n[limits]\nsize = "0B"', "limit 'size=0B': must be a finite number above 0"),
        ('"40%", "2.5ms"]', '"40%", "2.5ms"]\n[limits]\nsize = 5', "limits.size: must be"),
        ('device = "pi"', 'device = "pj"', "unknown device 'pj'"),
    ],
)
def test_a_wrong_recipe_is_one_line(root, old, new, message):
    path = root / "export" / "recipes" / "one.toml"
    path.write_text(RECIPE.replace(old, new))
    with pytest.raises(UsageError) as caught:
        _ = Workspace.open(root).recipes
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_wrong_device_is_one_line(root):
    (root / "devices" / "pi.toml").write_text('transport = "local"\nruntime = ["onnxruntime"]\n')
    with pytest.raises(ConfigError, match=r"pi\.toml: unknown key 'runtime'; did you mean 'runtimes'\?"):
        _ = Workspace.open(root).devices
    (root / "devices" / "pi.toml").write_text('transport = "local"\nthreads = 0\n')
    with pytest.raises(ConfigError, match="threads must be at least 1"):
        _ = Workspace.open(root).devices


def test_an_unknown_device_gets_a_suggestion(root):
    with pytest.raises(UnknownNameError, match=r"did you mean 'pi'\?"):
        Workspace.open(root).device("pii")


def test_a_device_over_ssh_has_its_options_with_whole_paths(root, monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    text = 'transport = "ssh"\naddress = "me@board:2222"\n'
    (root / "devices" / "pi.toml").write_text(text)
    (root / "devices" / "nano.toml").write_text(
        text + '[ssh]\nkey = "~/.ssh/id_nano"\nagent = true\njump = "gate"\nknown_hosts = "nano.keys"\n'
    )
    devices = Workspace.open(root).devices
    assert devices["pi"].ssh.known_hosts == str(root / "devices" / "known_hosts")
    assert (devices["pi"].ssh.key, devices["pi"].ssh.agent, devices["pi"].ssh.python) == ("", False, "python3")
    assert devices["nano"].ssh.key == "/home/me/.ssh/id_nano"
    assert devices["nano"].ssh.known_hosts == str(root / "devices" / "nano.keys")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('transport = "ssh"\n[ssh]\npyhton = "x"\n', "unknown key 'ssh.pyhton'; did you mean 'python'?"),
        ('transport = "ssh"\n[ssh]\nagent = "yes"\n', "ssh.agent: must be"),
        ('transport = "ssh"\n[ssh]\npython = ""\n', "python is empty"),
        ('transport = "ssh"\n[ssh]\npython = "a\\nb"\n', "python has control characters"),
        ('transport = "ssh"\n[ssh]\nkey = "~nobody-of-this-name/key"\n', "home of an unknown user"),
        ('transport = "ssh"\n[adb]\n', "[adb] is for devices whose transport is 'adb', not 'ssh'"),
        ('transport = "adb"\n[ssh]\n', "[ssh] is for devices whose transport is 'ssh', not 'adb'"),
        ('transport = "adb"\n[adb]\nserial = "x"\n', "unknown key 'adb.serial'"),
        ('transport = "adb"\n[adb]\nagent = "java"\n', "agent is 'java'; there are python, browser"),
        ('transport = "adb"\n[adb]\nserver = "5037"\n', "server '5037' is not of the form 127.0.0.1:5037"),
        ('transport = "adb"\n[adb]\nfolder = "tmp"\n', "folder 'tmp' is not absolute"),
        ('transport = "adb"\n[adb]\nport = 0\n', "port 0 is not from 1 to 65535"),
        ('transport = "adb"\naddress = "01 23"\n', "address '01 23' is no serial number"),
        ('transport = "local"\n[ssh]\nagent = true\n', "[ssh] is for devices whose transport is 'ssh', not 'local'"),
    ],
)
def test_a_wrong_table_of_a_transport_is_one_line_that_names_file_and_key(root, text, message):
    (root / "devices" / "pi.toml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        _ = Workspace.open(root).devices
    assert str(caught.value).startswith(str(root / "devices" / "pi.toml"))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
