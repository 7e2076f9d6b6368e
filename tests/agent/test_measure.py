import gc
from statistics import median

import pytest
from hwnas_agent import subject
from hwnas_agent.band import QuietBand
from hwnas_agent.measure import CHUNK, Session
from hwnas_agent.power import PowerRails
from hwnas_agent.precision import CAP, half_width
from hwnas_agent.process import RunQueue
from hwnas_agent.runtime import ModelUnusable, Runtime, RuntimeUnusable
from hwnas_agent.sampling import MAX_WAIT_NS
from hwnas_agent.subject import TYPICAL_KEPT, Job, Settings, Subject, Typical
from hwnas_agent.wire import FROM_AGENT, MAX_SAMPLES, check

from tests.agent.models import SimulatedDevice

PROBE, REFERENCE = Job("probe", "150"), Job("reference", "400")


class NeverWaits(RunQueue):
    def __init__(self, waits=lambda: 0):
        super().__init__("/nonexistent")
        self._waits = waits
        self._total = 0

    def waited_ns(self):
        self._total += self._waits()
        return self._total


def measure(device, models, *, quiet_level_us=None, run_queue=None, rails=None, thermometer=None, **plan):
    """A session on a simulated device: ``done``, the last result by id, and all messages."""
    fields = {
        "warmup": 3,
        "min_repeats": 10,
        "least_repeats": 10,
        "min_total_ms": 0.0,
        "min_sample_us": 150.0,
        "max_seconds": 60.0,
        "cooldown_s": 0.0,
        "seed": 0,
    }
    settings = Settings(threads=1, quiet_level_us=quiet_level_us, **{**fields, **plan})
    messages = []
    session = Session(
        Runtime("1.0", "simulated", device.load),
        settings,
        lambda m: messages.append(check(m, FROM_AGENT)),
        clock=device.clock,
        sleep=device.sleep,
        run_queue=run_queue or NeverWaits(),
        rails=rails,
        thermometer=thermometer,
    )
    done = check(session.measure([Job(f"m{i}", str(us)) for i, us in enumerate(models)], PROBE, REFERENCE), FROM_AGENT)
    return done, {m["id"]: m for m in messages if m["type"] == "result"}, messages


def bursts(quiet_s, busy_s, factor):
    """Quiet for a while, then busy for a while, again and again."""
    return lambda now: 1.0 if now % (quiet_s + busy_s) < quiet_s else factor


def test_a_quiet_device_gives_every_model_its_own_time():
    models = [7, 60, 150, 900]
    done, results, _ = measure(SimulatedDevice(), models)
    assert done["results"] == 4
    assert done["short"] == 0
    assert done["quiet_share"] > 0.95
    for i, us in enumerate(models):
        assert median(results[f"m{i}"]["quiet_ms"]) * 1e3 == pytest.approx(us, rel=0.01)
        assert len(results[f"m{i}"]["quiet_ms"]) >= 10
        assert results[f"m{i}"]["first_ms"] > 0


def test_samples_are_taken_only_in_the_quiet_state_of_a_device_that_changes_speed():
    models = [30, 100, 250, 2000]
    done, results, _ = measure(SimulatedDevice(bursts(0.01, 0.05, 1.7)), models)
    assert done["short"] == 0
    assert done["quiet_share"] == pytest.approx(10 / 60, abs=0.06)
    assert done["quiet_level_us"] == pytest.approx(150, rel=0.01)
    for i, us in enumerate(models):
        assert max(results[f"m{i}"]["quiet_ms"]) * 1e3 < 1.05 * us
        assert results[f"m{i}"]["rejected"] > 0
    typical = results["m1"]["typical_ms"]
    assert max(typical) * 1e3 > 1.6 * 100
    assert min(typical) * 1e3 < 1.05 * 100


def test_models_measured_before_the_device_became_quiet_are_measured_again():
    device = SimulatedDevice(lambda now: 1.6 if now < 2.6 else 1.0)
    done, results, messages = measure(device, [100.0 + i for i in range(3 * CHUNK)])
    assert [m["id"] for m in messages if m["type"] == "result"].count("m0") == 2
    assert done["results"] == 3 * CHUNK
    assert done["short"] == 0
    for i in range(3 * CHUNK):
        assert median(results[f"m{i}"]["quiet_ms"]) * 1e3 == pytest.approx(100 + i, rel=0.02)


def test_time_that_is_left_is_for_models_that_have_fewer_samples_than_the_plan_wants():
    """Told at half of the time, since a kill must not lose it; told again with more."""
    device = SimulatedDevice(lambda now: 1.0 if now % 2.0 < 0.06 else 1.7)
    models = [2000.0 + 10 * i for i in range(4)]
    done, results, messages = measure(
        device, models, quiet_level_us=150.0, max_seconds=40.0, min_repeats=90, least_repeats=8, max_rel_ci=0.001
    )
    told = [(m["id"], len(m["quiet_ms"])) for m in messages if m["type"] == "result"]
    assert done["short"] == 0
    for key in results:
        first, last = (n for name, n in told if name == key)
        assert 8 <= first < last


def test_a_result_leaves_while_others_of_its_chunk_are_still_measured():
    device = SimulatedDevice()
    finished_ns = {}

    def tell(message):
        if message["type"] == "result":
            finished_ns[message["id"]] = device.now_ns

    settings = Settings(1, 3, 10, 10, 100.0, 150.0, 60.0, 0.0, 0, None)
    session = Session(Runtime("1", "", device.load), settings, tell, clock=device.clock, sleep=device.sleep, run_queue=NeverWaits())
    session.measure([Job("short", "200"), Job("long", "10000")], PROBE, REFERENCE)
    # 10 samples of the long one last 100 ms, and the short one needs 500: a kill in between would have lost the long one
    assert finished_ns["short"] - finished_ns["long"] > 100e6


def test_a_model_that_was_short_of_samples_keeps_those_it_has():
    """Quiet for a while after each load, so that no chunk alone gives its models enough."""
    device = SimulatedDevice(lambda now: 1.0 if now < last_load_s[0] + 0.03 else 1.7)
    last_load_s = [0.0]
    load = device.load

    def noted(path, threads, seed):
        last_load_s[0] = device.now_ns / 1e9
        return load(path, threads, seed)

    device.load = noted
    models = [100.0 + i for i in range(2 * CHUNK)]
    done, results, _ = measure(device, models, quiet_level_us=150.0, max_seconds=40.0)
    assert (done["results"], done["short"]) == (2 * CHUNK, 0)
    for i, us in enumerate(models):
        result = results[f"m{i}"]
        assert len(result["quiet_ms"]) >= 10
        assert max(result["quiet_ms"]) * 1e3 < 1.05 * us
        # the chunk in which it got its last sample, not the one in which it began
        assert result["chunk"] >= 2
        assert len(result["typical_ms"]) > 10


def test_kept_samples_count_where_the_time_ends_and_may_still_be_rejected():
    """Quiet at first only, so that samples of the first chunk are all that there is; then a little faster, so that they are none."""
    jobs = [100.0 + i for i in range(2 * CHUNK)]
    done, _, messages = measure(SimulatedDevice(lambda now: 1.0 if now < 0.4 else 1.7), jobs, quiet_level_us=150.0, max_seconds=10.0)
    assert done["short"] == 2 * CHUNK
    assert [m["accepted"] for m in messages if m["type"] == "progress"][-1] >= CHUNK
    device = SimulatedDevice(lambda now: 1.0 if now < 0.4 else 1.7 if now < 5.0 else 0.8)
    done, results, _ = measure(device, jobs, quiet_level_us=150.0, max_seconds=20.0)
    assert done["short"] == 0
    for i, us in enumerate(jobs):
        assert max(results[f"m{i}"]["quiet_ms"]) * 1e3 < 0.85 * us


def test_a_session_without_quiet_time_ends_at_its_deadline_and_says_so():
    device = SimulatedDevice(lambda _: 1.7)
    done, results, _ = measure(device, [100, 200], quiet_level_us=150.0, max_seconds=5.0)
    assert (done["results"], done["short"], done["fewest"]) == (0, 2, 0)
    assert done["quiet_share"] == 0
    assert done["quiet_level_us"] == 150.0
    assert results == {}
    assert 5 <= device.now_ns / 1e9 < 5.1


def test_models_that_the_time_did_not_reach_are_counted_too():
    done, _, _ = measure(SimulatedDevice(), [50_000.0] * (CHUNK + 3), max_seconds=10.0)
    assert done["short"] == CHUNK + 3


def test_a_large_model_that_leaves_the_caches_cold_for_the_probe_is_measured_all_the_same():
    done, results, _ = measure(SimulatedDevice(cold=1.45), [2000, 50], max_seconds=20.0)
    assert done["short"] == 0
    assert results["m0"]["rejected"] == 0


def test_samples_have_a_cap_that_ends_a_models_turn(monkeypatch):
    assert subject.MAX_SAMPLES == MAX_SAMPLES
    monkeypatch.setattr(subject, "MAX_SAMPLES", 300)
    done, results, _ = measure(SimulatedDevice(), [1], min_total_ms=1e6)
    assert done["short"] == 0
    assert len(results["m0"]["quiet_ms"]) == 300


def test_a_session_that_ends_before_a_level_is_found_has_none():
    done, _, _ = measure(SimulatedDevice(), [100], max_seconds=0.001)
    assert done["quiet_level_us"] is None
    assert done["short"] == 1


def test_a_turn_goes_on_until_the_interval_is_narrow_enough():
    steady, noisy = (measure(SimulatedDevice(noise=noise), [400], max_rel_ci=0.01)[1]["m0"]["quiet_ms"] for noise in (0.003, 0.03))
    assert len(steady) == 10
    assert 10 < len(noisy) <= 40
    assert half_width(noisy, "p50") <= 0.01
    assert half_width(noisy[:-1], "p50") > 0.01


def test_a_turn_that_stays_wide_ends_at_a_multiple_of_its_samples():
    done, results, _ = measure(SimulatedDevice(noise=0.03), [400], max_rel_ci=1e-6)
    assert done["short"] == 0
    assert len(results["m0"]["quiet_ms"]) == CAP * 10


def test_the_interval_is_of_the_statistic_that_the_plan_names():
    _, results, _ = measure(SimulatedDevice(noise=0.003), [400], statistic="p90", max_rel_ci=0.05)
    assert len(results["m0"]["quiet_ms"]) == 36  # the fewest that have an interval of the 90th percentile with two ends


def test_energy_is_measured_on_rails_once_a_model_and_is_absent_without(tmp_path):
    assert measure(SimulatedDevice(), [400])[1]["m0"]["energy_mj"] is None
    device, folder = SimulatedDevice(noise=0.0), tmp_path / "sys/class/hwmon/hwmon0"
    for name, value in {"name": "ina3221", "in1_label": "VDD_IN", "in1_input": 5000, "curr1_input": 1000}.items():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"{value}\n")
    _, results, _ = measure(device, [400, 2000], rails=PowerRails(str(tmp_path)))
    assert results["m0"]["energy_mj"] == pytest.approx(2.0, rel=0.01)  # 5 W for 0.4 ms
    assert results["m1"]["energy_mj"] == pytest.approx(10.0, rel=0.01)


def test_a_sample_that_waited_for_its_core_is_not_accepted():
    calls = iter(range(10**9))
    # a wait of a whole limit within every second sample: readings come in pairs around a sample
    queue = NeverWaits(lambda: MAX_WAIT_NS if next(calls) % 4 == 1 else 0)
    done, results, _ = measure(SimulatedDevice(), [200], run_queue=queue)
    assert done["short"] == 0
    assert results["m0"]["rejected"] >= len(results["m0"]["quiet_ms"]) - 1


def test_a_short_wait_within_a_long_sample_is_no_disturbance():
    done, results, _ = measure(SimulatedDevice(), [400, 40_000], run_queue=NeverWaits(lambda: MAX_WAIT_NS), max_seconds=20.0)
    assert results.keys() == {"m1"}  # 50 us of 40 ms
    assert (done["short"], results["m1"]["rejected"]) == (1, 0)


def test_a_model_that_does_not_load_is_reported_and_the_others_are_measured():
    done, results, messages = measure(SimulatedDevice(), [100, "broken", 120])
    assert set(results) == {"m0", "m2"}
    assert done["results"] == 2
    (failed,) = [m for m in messages if m["type"] == "failed"]
    assert failed["id"] == "m1"
    assert "ValueError" in failed["reason"]


def test_a_session_needs_its_probe():
    device = SimulatedDevice()
    session = Session(Runtime("1", "", device.load), Settings(1, 0, 5, 5, 0.0, 150.0, 5.0, 0.0, 0, None), print, clock=device.clock)
    with pytest.raises(ModelUnusable, match="ValueError"):
        session.measure([], Job("probe", "none"), REFERENCE)


def test_the_reference_is_in_every_chunk():
    done, results, messages = measure(SimulatedDevice(), [100] * (2 * CHUNK + 1), cooldown_s=0.5)
    assert done["reference_us"] == pytest.approx([400, 400, 400], rel=0.01)
    assert {m["chunk"] for m in results.values()} == {0, 1, 2}
    assert any(m["type"] == "progress" and m["finished"] >= CHUNK for m in messages)


def test_the_device_rests_between_chunks_and_not_after_the_last():
    device = SimulatedDevice()
    measure(device, [100] * (CHUNK + 1), cooldown_s=0.5)
    assert device.slept_s == [0.5]


def test_short_models_run_several_times_a_sample_and_long_ones_once():
    _, results, _ = measure(SimulatedDevice(), [5, 1000])
    assert results["m0"]["runs_per_sample"] == pytest.approx(150 / 5, abs=1)
    assert results["m1"]["runs_per_sample"] == 1


def test_the_host_may_ask_for_single_calls():
    _, results, _ = measure(SimulatedDevice(noise=0.1), [5, 1000], min_sample_us=0.0, min_repeats=300)
    assert results["m0"]["runs_per_sample"] == results["m1"]["runs_per_sample"] == 1
    # the mean of 30 calls would vary by 1 %
    values = results["m0"]["quiet_ms"]
    assert max(values) > 1.2 * min(values)


def test_hundreds_of_samples_of_each_regime_are_sent():
    _, results, _ = measure(SimulatedDevice(), [200], min_repeats=600)
    assert len(results["m0"]["quiet_ms"]) >= 600
    assert len(results["m0"]["typical_ms"]) >= 512


def test_a_model_is_measured_until_its_samples_last_long_enough():
    _, results, _ = measure(SimulatedDevice(), [200], min_total_ms=20.0)
    assert sum(results["m0"]["quiet_ms"]) >= 20.0


def test_the_seed_decides_the_order_of_visits():
    def trace(seed):
        device = SimulatedDevice()
        order = []
        load = device.load

        def traced(path, threads, seed):
            run = load(path, threads, seed)
            return lambda: (order.append(path), run())

        device.load = traced
        measure(device, [100, 200, 300], seed=seed)
        return order

    assert trace(1) == trace(1)
    assert trace(1) != trace(2)


def test_garbage_collection_is_on_again_afterwards():
    measure(SimulatedDevice(), [100])
    assert gc.isenabled()


def test_typical_samples_are_few_and_spread_over_the_session():
    typical = Typical()
    for i in range(10_000):
        typical.add(float(i))
    assert TYPICAL_KEPT / 2 <= len(typical.runs_ns) < TYPICAL_KEPT
    gaps = {b - a for a, b in zip(typical.runs_ns, typical.runs_ns[1:], strict=False)}
    assert len(gaps) == 1
    assert typical.runs_ns[-1] > 9_900


def test_a_runtime_that_runs_elsewhere_than_asked_ends_the_session():
    def load(path, threads, seed):
        raise RuntimeUnusable("took another provider")

    session = Session(Runtime("1", "", load), Settings(1, 0, 5, 5, 0.0, 150.0, 5.0, 0.0, 0, None), print)
    with pytest.raises(RuntimeUnusable, match="another provider"):
        session.measure([], PROBE, REFERENCE)


def test_an_unloaded_model_cannot_be_run_by_mistake():
    subject = Subject(Job("a", "1"), lambda: None, 1, 1, 1, 1)
    subject.unload()
    with pytest.raises(RuntimeError, match="unloaded"):
        subject.run()
    assert subject.accepted(QuietBand(1.0)) == []


def test_where_quiet_is_rare_every_model_gets_some_samples():
    models = [100.0 + i for i in range(2 * CHUNK)]
    device = SimulatedDevice(bursts(0.01, 0.19, 1.7))
    done, results, _ = measure(device, models, min_repeats=200, least_repeats=8, max_seconds=60.0)
    assert done["short"] == 0
    counts = [len(results[f"m{i}"]["quiet_ms"]) for i in range(len(models))]
    assert 8 <= min(counts) <= max(counts) < 200
    for i, us in enumerate(models):
        assert median(results[f"m{i}"]["quiet_ms"]) * 1e3 == pytest.approx(us, rel=0.03)
