"""What benchmark programs print, read strictly; golden files in the form of their documentation and sources."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.core.errors import ConfigError, ProtocolError
from hwnas.profiler.nativetools import TOOLS, Burst, check_arguments, parse_benchmark_model, parse_perf_test

GOLDEN = Path(__file__).parent.parent / "golden" / "native"


def golden(name):
    return (GOLDEN / name).read_text()


BENCHMARK, PERF, ROWS = golden("benchmark_model.txt"), golden("perf_test.txt"), golden("perf_test.csv")


def test_benchmark_model_with_and_without_percentiles():
    assert parse_benchmark_model(BENCHMARK) == Burst(20, 1239.0, "median", 5.579, 1.357, None)
    assert parse_benchmark_model(golden("benchmark_model_old.txt")) == Burst(50, 2950340.0, "mean", 17.187, 3512.391, None)


def test_runs_that_were_all_alike_are_told_in_short():
    text = "count=5 curr=40 (all same)\nInference timings in us: Init: 1, First inference: 41, Warmup (avg): 41, Inference (avg): 40\n"
    assert parse_benchmark_model(text).typical_us == 40.0


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Inference timings in us", "Inference timings in ms"),
        ("Inference (avg): 1240.27", "Inference (avg): nan"),
        ("Inference (avg): 1240.27", "Inference (avg): -1"),
        ("Inference (avg): 1240.27", "Inference (avg): 640.27"),
        ("Init: 5579", "Init: 1e99"),
        ("Inference (avg): 1240.27", "Inference (avg): 1240.27, more"),
        ("count=20", "count=0"),
        ("count=", "n="),
        ("INFO: STARTING!", "Inference timings in us: Init: 1, First inference: 1, Warmup (avg): 1, Inference (avg): 1"),
    ],
)
def test_benchmark_model_that_says_otherwise_is_refused(old, new):
    with pytest.raises(ProtocolError, match="benchmark_model"):
        parse_benchmark_model(BENCHMARK.replace(old, new))


def test_perf_test_with_and_without_the_whole_time():
    found = parse_perf_test(PERF, ROWS)
    assert (found.typical_us, found.load_ms) == pytest.approx((99508.6, 217.932))
    assert found == Burst(5, found.typical_us, "median", found.load_ms, 196.0, 271122432)
    assert parse_perf_test(PERF, golden("perf_test_total.csv")).typical_us == pytest.approx(99508.6)
    older = PERF.replace("First inference time cost: 196 ms\n", "").replace("cost: 0.217932 s", "cost:0.217932 s")
    assert parse_perf_test(older, ROWS).first_ms is None


@pytest.mark.parametrize(
    ("output", "result"),
    [
        (PERF, ""),
        (PERF, ROWS + "P50 Latency is 0.1sec\n"),
        (PERF, ROWS.replace(",3\n", ",4\n")),
        (PERF, ROWS.replace("0.0984", "nan")),
        (PERF, ROWS.replace("0.0984", "0")),
        (PERF, ROWS.replace("0.0984", "-0.1")),
        (PERF, ROWS.replace("hwnas-work,", "")),
        (PERF, ROWS + ROWS),
        (PERF.replace("Session creation", "Session"), ROWS),
        (PERF + PERF, ROWS),
        ("", ROWS),
    ],
)
def test_perf_test_that_says_otherwise_is_refused(output, result):
    with pytest.raises(ProtocolError, match="onnxruntime_perf_test"):
        parse_perf_test(output, result)


def cut(text):
    return st.tuples(st.integers(0, len(text)), st.integers(0, 40), st.text(max_size=8)).map(
        lambda c: text[: c[0]] + c[2] + text[c[0] + c[1] :]
    )


@settings(max_examples=150)
@given(cut(BENCHMARK) | st.text(), cut(PERF) | st.text(), cut(ROWS) | st.text())
def test_whatever_they_print_is_a_burst_or_an_error_of_the_protocol(benchmark, perf, rows):
    for parse, texts in ((parse_benchmark_model, (benchmark, "")), (parse_perf_test, (perf, ROWS)), (parse_perf_test, (PERF, rows))):
        try:
            burst = parse(*texts)
        except ProtocolError:
            continue
        else:
            assert burst.runs > 0
            assert 0 < burst.typical_us <= 1e17


def test_what_is_set_here_cannot_be_set_by_the_user():
    check_arguments("benchmark_model", ["--use_xnnpack=true", "--enable_op_profiling=false"])
    check_arguments("onnxruntime_perf_test", ["-e", "cpu"])
    with pytest.raises(ConfigError, match="--graph is set by hwnas"):
        check_arguments("benchmark_model", ["--graph=/etc/passwd"])
    with pytest.raises(ConfigError, match="-r is set by hwnas"):
        check_arguments("onnxruntime_perf_test", ["-r"])


def test_commands_are_words_and_name_the_model():
    for name, tool in TOOLS.items():
        words = tool.command("/w/" + name, "/w/a model.x", "/w/result", 2, 7)
        assert words[0] == "/w/" + name
        assert any("/w/a model.x" in word for word in words)
        assert not any(word.split("=")[0] not in tool.reserved for word in words[1:] if word.startswith("-"))
