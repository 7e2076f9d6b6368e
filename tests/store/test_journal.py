import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.core.errors import UsageError
from hwnas.store.journal import Journal, read_journal

RECORDS = st.lists(
    st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=8) | st.floats(allow_nan=False, allow_infinity=False)), max_size=6
)


def test_records_come_back_in_order(tmp_path):
    journal = Journal(tmp_path / "deep" / "j.jsonl")
    journal.append({"b": 1, "a": [1.5, None]})
    journal.append({"c": "é"})
    assert list(read_journal(journal.path)) == [{"a": [1.5, None], "b": 1}, {"c": "é"}] == journal.records
    assert Journal(journal.path).records == journal.records


@settings(max_examples=30, deadline=None)
@given(records=RECORDS, cut=st.integers(min_value=1, max_value=40))
def test_a_kill_in_mid_write_loses_only_the_record_being_written(tmp_path_factory, records, cut):
    path = tmp_path_factory.mktemp("j") / "j.jsonl"
    journal = Journal(path)
    for record in records:
        journal.append(record)
    journal.append({"last": "x" * 40})
    path.write_bytes(path.read_bytes()[:-cut])
    again = Journal(path)
    assert again.records == json.loads(json.dumps(records))
    again.append({"new": 1})
    assert list(read_journal(path)) == [*again.records]


def test_a_line_torn_in_the_middle_is_refused_with_its_number(tmp_path):
    path = tmp_path / "j.jsonl"
    path.write_text('{"a":1}\n{"b":\n{"c":1}\n')
    with pytest.raises(UsageError, match=r"j\.jsonl:2: not a journal record"):
        Journal(path)


@pytest.mark.parametrize("line", ["[1]", "1", "null", '"text"'])
def test_only_objects_are_records(tmp_path, line):
    path = tmp_path / "j.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(UsageError, match="not a journal record"):
        list(read_journal(path))


def test_a_missing_or_binary_file_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="not readable"):
        list(read_journal(tmp_path / "none.jsonl"))
    (tmp_path / "b.jsonl").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="not readable"):
        list(read_journal(tmp_path / "b.jsonl"))


def test_numbers_that_json_lacks_are_not_written(tmp_path):
    journal = Journal(tmp_path / "j.jsonl")
    with pytest.raises(ValueError, match="not JSON compliant"):
        journal.append({"a": float("nan")})
    assert not journal.path.exists()
