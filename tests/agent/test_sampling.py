"""A visit to a model: how many samples it takes, of which state."""

import pytest
from hwnas_agent.band import QuietBand
from hwnas_agent.probing import RARELY, Prober
from hwnas_agent.runtime import Runtime
from hwnas_agent.sampling import MORE, Sampler
from hwnas_agent.subject import Job, load

from tests.agent.models import SimulatedDevice
from tests.agent.test_busy import SETTINGS
from tests.agent.test_measure import NeverWaits


def visited(speed, *, rarely_quiet, own_us=400):
    device = SimulatedDevice(speed)
    prober = Prober(device.load("150", 1, 0), QuietBand(150.0), device.clock)
    prober.rarely_quiet = rarely_quiet
    subject = load(Runtime("1", "", device.load), Job("a", str(own_us)), SETTINGS, device.clock)
    Sampler(prober, NeverWaits(), device.clock).visit(subject)
    return subject


@pytest.mark.parametrize(("rarely_quiet", "samples"), [(False, 1), (True, 1 + MORE)])
def test_a_quiet_visit_takes_more_samples_where_quiet_is_rare(rarely_quiet, samples):
    subject = visited(lambda now: 1.0, rarely_quiet=rarely_quiet)
    assert len(subject.candidates) == subject.attempts == samples
    assert len(subject.typical.runs_ns) == 1, "further samples are no first attempts"


def test_samples_end_with_the_quiet_time():
    begin = []

    def speed(now):
        begin.append(now)
        return 1.0 if now - begin[0] < 0.004 else 1.7

    subject = visited(speed, rarely_quiet=True)
    assert 1 <= len(subject.candidates) < 1 + MORE
    assert subject.attempts == len(subject.candidates) + 1
    assert all(sample.run_ns == pytest.approx(400e3, rel=0.03) for sample in subject.candidates)


def test_a_busy_visit_takes_none():
    subject = visited(lambda now: 1.7, rarely_quiet=True)
    assert (subject.candidates, subject.attempts) == ([], 1)


@pytest.mark.parametrize("quiet", [0.2, 0.9])
def test_where_quiet_is_rare_is_known_once_the_level_is_found_anew(quiet):
    device = SimulatedDevice(lambda now: 1.0 if now % 0.1 < 0.1 * quiet else 1.7)
    prober = Prober(device.load("150", 1, 0), QuietBand(150.0), device.clock)
    for _ in range(4):
        prober.watch(device.now_ns + 200_000_000)
        prober.settle()
    assert prober.rarely_quiet == (quiet < RARELY)
