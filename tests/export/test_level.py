import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas.core.errors import ConfigError
from hwnas.export.level import NEWEST, OLDEST_IR, OLDEST_OPSET, OnnxLevel, newest_level


@given(st.integers(OLDEST_IR, 40), st.integers(OLDEST_OPSET, 60))
def test_no_file_is_newer_than_its_reader_or_its_writer(max_ir, max_opset):
    level = newest_level(max_ir, max_opset)
    assert level.ir_version == min(max_ir, NEWEST.ir_version)
    assert level.opset == min(max_opset, NEWEST.opset)


@pytest.mark.parametrize("limits", [(None, None), (10, None), (None, 21)])
def test_a_runtime_that_does_not_say_gets_what_nearly_all_read(limits):
    assert newest_level(*limits) == OnnxLevel(8, 17)


def test_a_runtime_too_old_to_be_written_for_is_named():
    with pytest.raises(ConfigError, match=r"ONNX IR 4 and opset 9 is too old to be written; .*update"):
        newest_level(4, 9)
