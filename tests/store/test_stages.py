import subprocess
import sys
from pathlib import Path

import pytest

from hwnas.core.errors import UsageError
from hwnas.store.sources import source_digest
from hwnas.store.stages import DONE, Store

GLUE = "hwnas.store.stages"


def stage_of(tmp_path, inputs=1):
    return Store(tmp_path).stage("train", inputs, code=("hwnas.space.moves",), glue=GLUE)


def test_the_same_inputs_give_the_same_folder_and_others_another(tmp_path):
    assert stage_of(tmp_path).folder == stage_of(tmp_path).folder
    assert stage_of(tmp_path).folder != stage_of(tmp_path, inputs=2).folder


def test_a_stage_is_done_when_it_was_finished_and_nothing_changed_since(tmp_path):
    stage = stage_of(tmp_path)
    assert not stage.done
    (stage.folder / "out.txt").write_text("result")
    assert not stage.done
    stage.finish("out.txt")
    assert stage.done
    assert stage_of(tmp_path).done
    (stage.folder / "out.txt").write_text("edited")
    assert not stage.done
    (stage.folder / "out.txt").unlink()
    assert not stage.done


@pytest.mark.parametrize("text", ["", "{", "[]", '{"files": 3}', '{"other": {}}'])
def test_a_damaged_mark_means_not_done(tmp_path, text):
    stage = stage_of(tmp_path)
    (stage.folder / "out.txt").write_text("result")
    stage.finish("out.txt")
    (stage.folder / DONE).write_text(text)
    assert not stage.done


def test_a_second_process_is_kept_out_and_the_lock_dies_with_its_owner(tmp_path):
    root = tmp_path / "runs"
    code = (
        "import sys; from pathlib import Path; from hwnas.store.stages import Store\n"
        "with Store(Path(sys.argv[1])).lock():\n    print('locked', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "locked\n"
        with pytest.raises(UsageError, match=rf"another hwnas \(process {owner.pid}\)"), Store(root).lock():
            pass
        owner.kill()
        owner.wait()
    with Store(root).lock():
        pass
    assert list(tmp_path.iterdir()) == []  # a lock leaves nothing behind


def test_sources_follow_imports_within_the_project():
    one = source_digest("hwnas.space.moves")
    assert one == source_digest("hwnas.space.moves")
    assert one != source_digest("hwnas.space.family")
    # moves imports core.arch: naming it as well adds nothing
    assert one == source_digest("hwnas.space.moves", "hwnas.core.arch")
    assert source_digest("hwnas_agent.wire") != source_digest("no.such.module")


def test_a_change_of_an_imported_module_changes_the_digest_but_not_when_alone(tmp_path):
    (tmp_path / "hwnas").mkdir()
    files = {"__init__": "", "a": "from hwnas import b\n", "b": "X = 1\n"}
    for name, text in files.items():
        (tmp_path / "hwnas" / f"{name}.py").write_text(text)

    def digest(call):
        store = Path(__file__).parents[2] / "hwnas" / "store" / "sources.py"
        code = f"import runpy; m = runpy.run_path({str(store)!r}); print(m['source_digest']({call}))"
        return subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True, env={"PYTHONPATH": str(tmp_path)}
        ).stdout

    whole, alone = digest("'hwnas.a'"), digest("alone=('hwnas.a',)")
    (tmp_path / "hwnas" / "b.py").write_text("X = 2\n")
    assert digest("'hwnas.a'") != whole
    assert digest("alone=('hwnas.a',)") == alone
