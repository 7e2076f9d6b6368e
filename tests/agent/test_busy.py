import random

import numpy as np
import pytest
from hwnas_agent import busy
from hwnas_agent import measure as measuring
from hwnas_agent.band import QuietBand
from hwnas_agent.busy import BUSY_BELOW, PASSES, ROUNDS, RUNS, companies
from hwnas_agent.measure import CHUNK, Session
from hwnas_agent.probing import Prober
from hwnas_agent.runtime import Runtime
from hwnas_agent.sampling import Sampler
from hwnas_agent.subject import Job, Settings, load
from hwnas_agent.wire import MAX_SAMPLES

from hwnas.profiler.twoway import Attempts, busy_times
from tests.agent.models import SimulatedDevice
from tests.agent.test_measure import PROBE, REFERENCE, NeverWaits, bursts, measure

MODELS = [100.0 + 40 * i for i in range(CHUNK + 8)]
SETTINGS = Settings(1, 3, 10, 10, 0.0, 150.0, 20.0, 0.0, 0, 150.0)
FULL = PASSES * ROUNDS * RUNS


def of_kind(messages, kind):
    return {m["id"]: m for m in messages if m["type"] == kind}


def test_every_job_is_in_every_pass_and_in_changing_company():
    jobs = [Job(str(i), "") for i in range(50)]
    drawn = list(companies(jobs, 22, random.Random(0)))
    assert len(drawn) == 3 * PASSES
    for number in range(PASSES):
        one_pass = [job for company in drawn[3 * number : 3 * number + 3] for job in company]
        assert sorted(one_pass) == sorted(jobs)
    assert len({frozenset(company) for company in drawn}) == len(drawn)
    assert list(companies(jobs, 22, random.Random(0))) == drawn


@pytest.mark.parametrize(("room", "loads"), [(0, PASSES), (10**6, 1)])
def test_models_stay_loaded_from_pass_to_pass_where_there_is_room(monkeypatch, room, loads, tmp_path):
    """Loading takes longer than sampling: a session has no time to load every network ten times."""
    monkeypatch.setattr(busy, "ROOM_BYTES", room)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "5000").write_bytes(b"a network")
    device, loaded = SimulatedDevice(lambda _: 1.7), []

    def load_counted(path, threads, seed):
        loaded.append(path)
        return device.load(path, threads, seed)

    session = Session(Runtime("1", "", load_counted), SETTINGS, [].append, clock=device.clock, sleep=device.sleep, run_queue=NeverWaits())
    monkeypatch.setattr(session, "_gives_up_quiet", iter([True, False]).__next__)
    session.measure([Job("a", "5000")], PROBE, REFERENCE)
    assert loaded.count("5000") == loads + 3, "and for quiet samples once before that, and twice after"


def test_busy_samples_are_taken_until_the_time_is_over_with_looks_for_quiet_between_them():
    device = SimulatedDevice(lambda _: 1.7)
    done, _, messages = measure(device, MODELS, quiet_level_us=150.0, max_seconds=60.0)
    ((_, message), *_) = of_kind(messages, "busy").items()
    at_s = np.array(message["at_s"])
    assert len(at_s) > 1.5 * FULL
    gaps = np.flatnonzero(np.diff(at_s) > 3)
    assert len(gaps) >= 1
    assert len(at_s) <= MAX_SAMPLES
    assert done["seconds"] == pytest.approx(60, abs=1)


def test_a_device_whose_samples_are_as_many_as_can_be_told_is_not_sampled_any_more(monkeypatch):
    assert measuring.MAX_SAMPLES == MAX_SAMPLES
    monkeypatch.setattr(measuring, "MAX_SAMPLES", 300)
    device = SimulatedDevice(lambda _: 1.7)
    _, _, messages = measure(device, [100.0], quiet_level_us=150.0, max_seconds=120.0)
    # a pass that was begun is ended
    assert 300 <= len(of_kind(messages, "busy")["m0"]["busy_ms"]) < 300 + FULL


@pytest.mark.parametrize(
    ("samples", "share", "never"),
    [([], 0.0, False), ([8, 9], 0.0, False), ([7, 9], 0.04, True), ([7, 9], 0.5, False), ([7, 7, 9], 0.5, True), ([7], None, True)],
)
def test_a_device_is_given_up_as_quiet_where_little_was_or_most_models_have_too_little(samples, share, never):
    assert busy.never_quiet(samples, 8, share) is never


def test_a_device_that_is_never_quiet_is_measured_as_it_is():
    """Two busy states, neither of them quiet: what comes back is every model's time in the middle of them, up to one scale."""
    device = SimulatedDevice(lambda now: 1.7 if now % 0.9 < 0.6 else 1.5)
    done, results, messages = measure(device, MODELS, quiet_level_us=150.0, max_seconds=60.0)
    assert (results, done["short"], done["quiet_share"]) == ({}, len(MODELS), 0)
    told = of_kind(messages, "busy")
    assert told.keys() == {f"m{i}" for i in range(len(MODELS))}
    for message in told.values():
        assert FULL <= len(message["busy_ms"]) == len(message["at_s"])
        assert 30 <= message["at_s"][0] < message["at_s"][-1] <= 60
        assert message["first_ms"] > 0
    found = busy_times({key: Attempts(m["at_s"], m["busy_ms"]) for key, m in told.items()}).samples_ms
    ratios = np.array([np.median(found[f"m{i}"]) / us * 1e3 for i, us in enumerate(MODELS)])
    assert ratios / np.median(ratios) == pytest.approx(np.ones(len(MODELS)), abs=0.005)


def test_quiet_samples_are_never_among_the_busy_ones():
    speed = bursts(0.01, 0.49, 1.6)
    done, _, messages = measure(SimulatedDevice(speed), MODELS, quiet_level_us=150.0, max_seconds=20.0, least_repeats=200, min_repeats=200)
    assert 0 < done["quiet_share"] < BUSY_BELOW
    told = of_kind(messages, "busy")
    assert len(told) == len(MODELS)
    for key, message in told.items():
        assert min(message["busy_ms"]) * 1e3 > 1.3 * MODELS[int(key[1:])]


def test_a_device_that_becomes_quiet_later_still_gives_quiet_results():
    device = SimulatedDevice(lambda now: 1.6 if now < 40 else 1.0)
    done, results, messages = measure(device, [100.0, 300.0], quiet_level_us=150.0, max_seconds=60.0)
    assert of_kind(messages, "busy")
    assert done["short"] == 0
    assert np.median(results["m1"]["quiet_ms"]) == pytest.approx(0.3, rel=0.01)


def test_quiet_samples_that_the_busy_rounds_met_by_chance_count():
    """Quiet in the very last moment: too late for a visit of its own, early enough for what was begun."""
    device = SimulatedDevice(lambda now: 1.6 if now < 4.0 else 1.0)
    done, results, _ = measure(device, MODELS, quiet_level_us=150.0, max_seconds=5.0, least_repeats=3, min_repeats=30)
    assert results
    assert done["short"] + len(results) == len(MODELS)
    for key, result in results.items():
        assert max(result["quiet_ms"]) * 1e3 < 1.05 * MODELS[int(key[1:])]


@pytest.mark.parametrize(("slow", "quiet", "away"), [(1.0, 3, 0), (1.6, 0, 3)])
def test_a_busy_visit_gives_one_typical_sample_and_the_others_by_their_state(slow, quiet, away):
    """A model that nobody came to before has to have typical samples too, where it gets quiet ones enough in these rounds."""
    device = SimulatedDevice(lambda _: slow)
    prober = Prober(device.load("150", 1, 0), QuietBand(150.0), device.clock)
    subject = load(Runtime("1", "", device.load), Job("a", "400"), SETTINGS, device.clock)
    Sampler(prober, NeverWaits(), device.clock).visit_busy(subject, RUNS)
    assert (len(subject.typical.runs_ns), len(subject.candidates), len(subject.busy)) == (1, quiet, away)


def test_waiting_for_a_core_is_taken_off_a_busy_sample():
    """Every run of the slow device waits for as long as it runs."""

    class Waits(SimulatedDevice):
        waited_ns = 0

        def load(self, path, threads, seed):
            run = super().load(path, threads, seed)

            def waiting():
                begin = self.now_ns
                run()
                took = self.now_ns - begin
                self.waited_ns += took
                self.now_ns += took

            return waiting if path == "5000" else run

    device = Waits(lambda _: 1.6)
    queue = NeverWaits()
    queue.waited_ns = lambda: device.waited_ns
    _, _, messages = measure(device, [5000.0, 300.0], quiet_level_us=150.0, max_seconds=30.0, run_queue=queue)
    sampled = of_kind(messages, "busy")["m0"]["busy_ms"]
    assert len(sampled) >= FULL
    assert sampled == pytest.approx([8.0] * len(sampled), rel=0.02)


def test_a_device_that_is_often_quiet_has_no_busy_rounds():
    _, _, messages = measure(SimulatedDevice(bursts(0.05, 0.05, 1.7)), [5000.0], quiet_level_us=150.0, max_seconds=3.0, min_repeats=1000)
    assert of_kind(messages, "busy") == {}


def test_models_whose_quiet_samples_the_host_has_are_sampled_with_the_others():
    device = SimulatedDevice(lambda _: 1.7)
    messages = []
    session = Session(
        Runtime("1", "", device.load), SETTINGS, messages.append, clock=device.clock, sleep=device.sleep, run_queue=NeverWaits()
    )
    done = session.measure([Job("a", "100"), Job("b", "300", True)], PROBE, REFERENCE)
    assert (done["results"], done["short"]) == (0, 1)
    told = {key: len(m["busy_ms"]) for key, m in of_kind(messages, "busy").items()}
    assert told.keys() == {"a", "b"}
    assert told["a"] == told["b"] >= FULL
    # where the device is quiet they are left alone
    device, messages[:] = SimulatedDevice(), []
    session = Session(
        Runtime("1", "", device.load), SETTINGS, messages.append, clock=device.clock, sleep=device.sleep, run_queue=NeverWaits()
    )
    done = session.measure([Job("a", "100"), Job("b", "300", True)], PROBE, REFERENCE)
    assert (done["results"], done["short"]) == (1, 0)
    assert [m["id"] for m in messages if m["type"] in ("result", "busy")] == ["a"]


def test_a_model_that_does_not_load_is_told_once():
    _, _, messages = measure(SimulatedDevice(lambda _: 1.7), [100.0, "broken"], quiet_level_us=150.0, max_seconds=10.0)
    assert [m["id"] for m in messages if m["type"] == "failed"] == ["m1"]
    assert of_kind(messages, "busy").keys() == {"m0"}


def test_time_that_ends_in_a_round_leaves_the_samples_of_it():
    done, _, messages = measure(SimulatedDevice(lambda _: 1.7), MODELS, quiet_level_us=150.0, max_seconds=0.9)
    told = of_kind(messages, "busy")
    assert 0 < min(len(m["busy_ms"]) for m in told.values()) < FULL
    assert done["seconds"] < 1.2
    assert min(m["at_s"][0] for m in told.values()) > busy.QUIET_SHARE * 0.8
