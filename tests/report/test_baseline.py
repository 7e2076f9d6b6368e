import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas.core.errors import ConfigError
from hwnas.report.baseline import Accepted, Allowed, Baseline, accepted, compare, path_of, read_baseline, write_baseline

ROW = {"accuracy_test": 0.88, "measured_ms": 2.0, "measured_ci_ms": [1.98, 2.02], "size_bytes": 1000, "arch": "a" * 16}
STRICT = Allowed(0.0, 0.0, 0.0)


def worse(row, **options):
    settings = {"images": 3000, "same_data": True, **options}
    return compare({**ROW, **row}, accepted(ROW), settings.pop("allowed", STRICT), **settings)


def test_the_same_figures_are_never_worse():
    assert worse({}) == ()


@pytest.mark.parametrize(
    ("row", "options", "words"),
    [
        ({"accuracy_test": 0.86}, {}, "accuracy 86.00 %, 2.00 points"),
        ({"accuracy_test": 0.87}, {}, None),  # within the noise of 3,000 images
        ({"accuracy_test": 0.87}, {"images": 300_000}, "1.00 points"),
        ({"accuracy_test": 0.86}, {"allowed": Allowed(0.02, 0, 0)}, None),
        ({"accuracy_test": 0.5}, {"same_data": False}, None),
        ({"measured_ms": 2.1, "measured_ci_ms": [2.03, 2.2]}, {}, "latency 2.1000 ms"),
        ({"measured_ms": 2.1, "measured_ci_ms": [2.01, 2.2]}, {}, None),  # the intervals meet
        ({"measured_ms": 2.1, "measured_ci_ms": [2.08, 2.2]}, {"allowed": Allowed(0, 0.05, 0)}, None),
        ({"size_bytes": 1001}, {}, "size 1001 bytes"),
        ({"size_bytes": 1001}, {"allowed": Allowed(0, 0, 0.02)}, None),
        ({"accuracy_test": 0.95, "measured_ms": 1.0, "measured_ci_ms": [0.9, 1.1], "size_bytes": 10}, {}, None),
    ],
)
def test_only_what_is_surely_worse_counts(row, options, words):
    found = worse(row, **options)
    assert len(found) == (words is not None)
    assert words is None or words in found[0]


@given(st.floats(0.01, 1), st.floats(0, 1), st.floats(0, 1), st.integers(1, 10**6))
def test_more_is_allowed_with_a_larger_limit(accuracy, small, large, images):
    small, large = sorted((small, large))
    strict, lax = (
        compare({**ROW, "accuracy_test": accuracy}, accepted(ROW), Allowed(x, 0, 0), images=images, same_data=True) for x in (small, large)
    )
    assert len(lax) <= len(strict)


def test_a_file_reads_back_and_stands_where_teams_look(tmp_path):
    baseline = Baseline("phone", "data", 3000, {"60%": Accepted(0.9, 2.0, (1.9, 2.1), 1000, "a" * 16)})
    path = path_of(tmp_path, "phone")
    assert read_baseline(path) is None
    write_baseline(baseline, path)
    assert path == tmp_path / "export" / "baselines" / "phone.json"
    assert read_baseline(path) == baseline
    assert path.read_text().endswith("}\n")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"schema": 2}, "schema 2"),
        ({"test_images": 0}, "test_images"),
        ({"more": 1}, "more"),
        ({"targets": {"60%": {"accuracy_test": "high"}}}, "accuracy_test"),
    ],
)
def test_another_shape_is_refused_by_name(tmp_path, change, words):
    path = path_of(tmp_path, "phone")
    write_baseline(Baseline("phone", "data", 3000, {}), path)
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(ConfigError, match=words):
        read_baseline(path)


def test_no_json_is_refused(tmp_path):
    path = tmp_path / "x.json"
    path.write_text("{")
    with pytest.raises(ConfigError, match="not JSON"):
        read_baseline(path)
