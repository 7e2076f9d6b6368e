"""What the host makes of an agent's words, with a channel that says what a script tells it to."""

import pytest
from hwnas_agent import wire

from hwnas.core.device import MeasurePlan
from hwnas.core.errors import AgentTimeout, ConfigError, DeviceError, DeviceLost, ProtocolError, TooNoisy
from hwnas.profiler.fake import ScriptedChannel
from hwnas.profiler.session import MOST_RESULTS, Job, run_session, stale
from tests.rig import garbled

PLAN = MeasurePlan(min_repeats=3, max_seconds=5.0)
HELLO = {
    "type": "hello",
    "agent": "0.1.0",
    "python": "3.11.0",
    "system": "linux",
    "arch": "x86_64",
    "libc": None,
    "cores": [0, 1],
    "runtimes": {"onnxruntime": {"version": "1.20.0", "reason": None, "max_ir": 10, "max_opset": 21}},
    "facts": {"governor": {"value": None, "reason": "not there"}, "cpu": {"value": "a cpu", "reason": None}},
}
READY = {"type": "ready", "runtime_version": "1.20.0", "provider": "CPUExecutionProvider", "cores": [1], "run_queue_seen": True}
DONE = {**garbled.DONE, "results": 2}
EXECUTION = {"by": "CPUExecutionProvider", "fallbacks": 0, "note": None}


def result(key, **changes):
    message = {
        "type": "result",
        "id": key,
        "quiet_ms": [0.1, 0.2, 0.3],
        "typical_ms": [0.1, 0.4],
        "rejected": 2,
        "load_ms": 1.5,
        "first_ms": 0.9,
        "runs_per_sample": 2,
        "quiet_level_us": 120.0,
        "chunk": 0,
        "execution": EXECUTION,
    }
    return {**message, **changes}


def run(tmp_path, *script, jobs=("a", "b"), plan=PLAN, hello=HELLO, **options):
    """A session over ``script``; the summary, what was measured in order, and the channel."""
    for message in script:
        if not isinstance(message, Exception):
            wire.check(message, wire.FROM_AGENT)
    channel = ScriptedChannel([hello, *script])
    measured = []
    path = tmp_path / "m.onnx"
    options.setdefault("on_measured", lambda key, regimes: measured.append((key, regimes)))
    run.measured, run.channel = measured, channel
    summary = run_session(
        channel, [Job(key, path) for key in jobs], plan, runtime="onnxruntime", probe=path, reference=path, quiet_level_us=118.0, **options
    )
    return summary, measured, channel


def test_results_are_handed_on_as_they_come(tmp_path):
    summary, measured, _ = run(tmp_path, READY, result("b"), result("a"), DONE)
    assert [key for key, _ in measured] == ["b", "a"]
    quiet, typical = measured[0][1]["quiet"], measured[0][1]["typical"]
    assert quiet.samples_ms == (0.1, 0.2, 0.3)
    assert (quiet.rejected, quiet.load_ms, quiet.first_ms) == (2, 1.5, 0.9)
    assert quiet.peak_memory_bytes is None
    shared = {
        "runtime_version": "1.20.0",
        "quiet_level_us": 120.0,
        "runs_per_sample": 2,
        "chunk": 0,
        "executed_by": "CPUExecutionProvider",
        "fallbacks": 0,
        "execution_note": None,
    }
    assert quiet.facts == {"regime": "quiet", "rel_ci": None, "wide": True, **shared}
    assert typical.facts == {"regime": "typical", **shared}
    assert typical.samples_ms == (0.1, 0.4)
    assert (typical.rejected, typical.facts["regime"]) == (0, "typical")
    assert summary.measured == ("b", "a")
    assert summary.reference_drift == pytest.approx(0.01)
    assert summary.device.unknown == {"governor": "not there"}
    assert summary.device.facts["cpu"] == "a cpu"


def test_what_seldom_devices_tell_is_handed_on_and_absent_elsewhere(tmp_path):
    told = {"peak_memory_bytes": 1 << 20, "energy_mj": 0.25}
    _, measured, _ = run(tmp_path, {**READY, "rails": ["VDD_IN"]}, result("a", **told), result("b"), DONE)
    for m in measured[0][1].values():
        assert (m.peak_memory_bytes, m.energy_mj, m.facts["power_rails"]) == (1 << 20, 0.25, "VDD_IN")
    for m in measured[1][1].values():
        assert (m.peak_memory_bytes, m.energy_mj) == (None, None)
        assert "power_rails" not in m.facts


def test_what_a_hot_device_gives_is_a_regime_of_its_own(tmp_path):
    plan = MeasurePlan(min_repeats=3, max_seconds=5.0, heat_s=60.0)
    told = {"quiet_share": None, "hottest_c": 71.5, "throttled": ["cooling cpufreq\x1b[31m"], "cooled_s": 0, "heated_s": 31.5}
    summary, measured, channel = run(tmp_path, READY, result("a"), result("b"), {**DONE, **told}, plan=plan)
    assert channel.sent[1]["plan"]["heat_s"] == 60.0
    ((key, regimes), _) = measured
    assert (key, regimes.keys()) == ("a", {"sustained"})
    assert regimes["sustained"].facts["regime"] == "sustained"
    assert "quiet_level_us" not in regimes["sustained"].facts
    assert (summary.hottest_c, summary.cooled_s, summary.heated_s) == (71.5, 0, 31.5)
    assert summary.throttled == "cooling cpufreq [31m"


def test_models_whose_interval_stays_wide_are_named(tmp_path):
    sharp, wide = [1.0, 1.001] * 10, [1.0, 1.2] * 10
    summary, measured, _ = run(tmp_path, READY, result("a", quiet_ms=sharp), result("b", quiet_ms=wide), DONE)
    assert summary.wide == ("b",)
    assert measured[0][1]["quiet"].facts["rel_ci"] == pytest.approx(0.0005, rel=0.01)
    assert measured[1][1]["quiet"].facts["wide"] is True
    # what was measured anew counts
    script = [READY, result("a", quiet_ms=wide), result("b", quiet_ms=sharp), result("a", quiet_ms=sharp), DONE]
    assert run(tmp_path, *script)[0].wide == ()


def test_what_the_agent_is_asked_is_of_the_protocol(tmp_path):
    _, _, channel = run(tmp_path, READY, result("a"), result("b"), DONE, plan=MeasurePlan(min_repeats=3, affinity=(1,), min_sample_us=0.0))
    assert [m["type"] for m in channel.sent] == ["hello", "begin", "job", "job", "start"]
    for message in channel.sent:
        wire.check(message, wire.TO_AGENT)
    assert channel.sent[1]["quiet_level_us"] == 118.0
    assert channel.sent[1]["plan"]["affinity"] == [1]
    assert channel.sent[1]["plan"]["min_sample_us"] == 0.0
    assert (channel.sent[1]["plan"]["statistic"], channel.sent[1]["plan"]["max_rel_ci"]) == ("p50", 0.03)


def test_a_later_result_replaces_an_earlier_one(tmp_path):
    summary, measured, _ = run(tmp_path, READY, result("a"), result("b"), result("a", quiet_ms=[0.05] * 3), DONE)
    assert [key for key, _ in measured] == ["a", "b", "a"]
    assert summary.measured == ("a", "b")


def test_progress_and_heartbeats_may_come_at_any_time(tmp_path):
    seen = []
    progress = {"type": "progress", "finished": 1, "accepted": 4, "wanted": 6, "quiet_share": None}
    script = [{"type": "alive"}, READY, progress, result("a"), {"type": "alive"}, result("b"), DONE]
    run(tmp_path, *script, on_progress=seen.append)
    assert (seen[0].finished, seen[0].accepted, seen[0].wanted, seen[0].quiet_share) == (1, 4, 6, None)
    assert seen[0].elapsed_s >= 0
    run(tmp_path, *script)


def test_one_chunk_has_no_drift(tmp_path):
    summary, _, _ = run(tmp_path, READY, result("a"), result("b"), {**DONE, "reference_us": [400.0]})
    assert summary.reference_drift is None


def test_too_few_quiet_samples_are_told_with_the_evidence_after_the_finished_ones(tmp_path):
    with pytest.raises(TooNoisy, match=r"1 of 2 models have fewer than 3 quiet samples after 2 s \(fewest 1\).*quiet for 4%.*120\.0 us"):
        run(tmp_path, READY, result("a"), {**DONE, "results": 1, "short": 1, "fewest": 1, "quiet_share": 0.04, "seconds": 1.9})
    assert [key for key, _ in run.measured] == ["a"]
    with pytest.raises(TooNoisy, match=r"quiet for none.*probe level unknown"):
        run(tmp_path, READY, {**DONE, "short": 2, "quiet_share": None, "quiet_level_us": None})


def busy(key, scale=1.0, n=60, **changes):
    """Samples on a device whose state changes every half a second; models take turns."""
    at_s = [0.05 * i for i in range(n)]
    times = [scale * (1.5 + 0.2 * (int(2 * at) % 2)) for at in at_s]
    shared = {"rejected": 1, "load_ms": 1.5, "first_ms": 0.9, "runs_per_sample": 2}
    return {"type": "busy", "id": key, "busy_ms": times, "at_s": at_s, "execution": EXECUTION, **shared, **changes}


NOISY = {**DONE, "results": 0, "short": 2, "quiet_share": 0.0}


def test_a_device_that_is_never_quiet_is_known_as_a_busy_one(tmp_path):
    seen = []
    script = [READY, busy("a"), busy("b", 2.0, peak_memory_bytes=4096), busy("c", 4.0), NOISY]
    options = {"others": [Job("c", tmp_path / "m.onnx")], "on_busy": lambda *told: seen.append(told)}
    with pytest.raises(
        TooNoisy, match=r"2 of 2 models have fewer than 3 quiet .*; what all 3 models take while it is busy is known, and is anot"
    ):
        run(tmp_path, *script, **options)
    ((times, summary),) = seen
    assert {key: round(m.quantile_ms("p50") / times["a"].quantile_ms("p50"), 2) for key, m in times.items()} == {"a": 1, "b": 2, "c": 4}
    assert times["b"].peak_memory_bytes == 4096
    assert times["a"].facts["regime"] == "busy"
    assert times["a"].facts["state_spread"] == pytest.approx(0.0626, abs=0.01)
    assert (times["a"].rejected, summary.quiet_share, summary.measured) == (1, 0.0, ())
    assert [m.get("only_busy", False) for m in run.channel.sent if m["type"] == "job"] == [False, False, True]
    for message in run.channel.sent:
        wire.check(message, wire.TO_AGENT)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ([busy("a")], "run again when less else runs"),
        ([busy("a"), busy("b", n=39)], "as a busy device it is not known either: b has 39 busy samples of the 40"),
        ([busy("a"), busy("b", busy_ms=[1.0, 2.0, 3.0] * 20)], r"the p50 of [ab] is known to \d+\.\d % when busy, wanted are 3\.0 %"),
    ],
)
def test_a_busy_device_that_is_not_known_well_enough_is_refused_with_the_reason(tmp_path, changed, words):
    with pytest.raises(TooNoisy, match=words):
        run(tmp_path, READY, *changed, NOISY, on_busy=lambda *told: pytest.fail("handed on"))


def test_a_model_that_does_not_run_is_told_after_the_others(tmp_path):
    with pytest.raises(DeviceError, match="1 of 2 models do not run on the device, first a: no such op"):
        run(tmp_path, READY, {"type": "failed", "id": "a", "reason": "no such\x1bop"}, result("b"), DONE)
    assert [key for key, _ in run.measured] == ["b"]


def test_an_agent_that_ends_or_falls_silent_keeps_what_was_measured(tmp_path, monkeypatch):
    with pytest.raises(DeviceLost, match="gone; 1 of 2 models were measured and are kept"):
        run(tmp_path, READY, result("a"), DeviceLost("gone"))
    monkeypatch.setattr(wire, "SILENCE_S", -1.0)
    with pytest.raises(AgentTimeout, match="1 of 2 models were measured and are kept"):
        run(tmp_path, READY, result("a"))
    assert [key for key, _ in run.measured] == ["a"]


def test_a_session_has_a_deadline_even_when_the_agent_talks_on(tmp_path, monkeypatch):
    monkeypatch.setattr("hwnas.profiler.session.GRACE_S", 0.0)
    talk = [{"type": "progress", "finished": 0, "accepted": 0, "wanted": 6, "quiet_share": 0.0}] * 100_000
    with pytest.raises(AgentTimeout, match="did not finish within 0 s"):
        run(tmp_path, READY, *talk, plan=MeasurePlan(min_repeats=3, max_seconds=0.01))


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ([READY, result("c")], "'c', which it was never asked for"),
        ([READY, {"type": "failed", "id": "c\x1b[31m", "reason": ""}], "never asked for"),
        ([result("a")], "before it is ready"),
        ([DONE], "done before it is ready"),
        ([READY, READY], "twice"),
        ([READY, HELLO], "'hello' in the middle"),
        ([READY, result("a", quiet_ms=[0.1])], "1 of 3 samples"),
        ([READY, result("a", typical_ms=[])], "3 of 3 samples"),
        ([READY, *[result("a")] * (MOST_RESULTS + 1)], "again and again"),
        ([READY, result("a"), DONE], "1 of 2 models measured"),
        ([READY, busy("a"), busy("a")], "come twice"),
        ([READY, busy("a", at_s=[0.0])], "without their times"),
        ([READY, busy("a", n=0)], "without their times"),
        ([READY, busy("z")], "never asked for"),
    ],
)
def test_words_out_of_place_are_a_protocol_error(tmp_path, script, words):
    with pytest.raises(ProtocolError, match=words):
        run(tmp_path, *script)


def test_a_refusal_has_the_agents_reason(tmp_path):
    with pytest.raises(DeviceError, match="the agent refuses: too few cores; 0 of 2"):
        run(tmp_path, {"type": "refused", "reason": "too few cores"})
    with pytest.raises(DeviceError, match="the agent refuses: no"):
        run(tmp_path, hello={"type": "refused", "reason": "no"})
    with pytest.raises(ProtocolError, match="answers hello with 'done'"):
        run(tmp_path, hello=DONE)


def test_a_runtime_that_the_device_does_not_have_is_told_before_anything_is_sent(tmp_path):
    absent = {"version": None, "reason": "does not import", "max_ir": None, "max_opset": None}
    with pytest.raises(DeviceError, match="'onnxruntime' is not usable on this device: does not import"):
        run(tmp_path, hello={**HELLO, "runtimes": {"onnxruntime": absent}})
    assert [m["type"] for m in run.channel.sent] == ["hello"]
    with pytest.raises(DeviceError, match="does not know it"):
        run(tmp_path, hello={**HELLO, "runtimes": {}})


def test_two_jobs_cannot_share_an_id(tmp_path):
    with pytest.raises(ConfigError, match="same id"):
        run(tmp_path, jobs=("a", "a"))
    with pytest.raises(ConfigError, match="same id"):
        run(tmp_path, others=[Job("a", tmp_path)])


def test_a_level_of_nothing_is_refused(tmp_path):
    path = tmp_path / "m.onnx"
    with pytest.raises(ConfigError, match="cannot have taken 0 us"):
        run_session(
            ScriptedChannel([]), [], PLAN, runtime="litert", probe=path, reference=path, quiet_level_us=0, on_measured=lambda key, m: None
        )


def test_measurements_of_another_speed_are_found():
    assert stale({"a": 100.0, "b": 104.0, "c": 120.0, "d": 80.0}, 101.0) == ("c", "d")


def test_a_scripted_channel_is_a_channel(tmp_path):
    (tmp_path / "a").write_text("x")
    with ScriptedChannel([]) as channel:
        assert channel.push(tmp_path / "a", "b") == str(tmp_path / "a")
        channel.pull(str(tmp_path / "a"), tmp_path / "c")
    assert channel.closed
    assert (tmp_path / "c").read_text() == "x"
