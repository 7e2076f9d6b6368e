import sys

import pytest
from hwnas_agent import memory
from hwnas_agent.memory import MemoryPeak
from hwnas_agent.runtime import Runtime
from hwnas_agent.subject import Job, Settings, load

MIB = 1 << 20
SETTINGS = Settings(1, 3, 5, 5, 0.0, 150.0, 5.0, 0.0, 0, None)

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")


def process(folder, *, hwm_kib, rss_kib):
    (folder / "clear_refs").write_text("")
    (folder / "status").write_text(f"Name:\tpython\nVmHWM:\t {hwm_kib} kB\nVmRSS:\t  {rss_kib} kB\nThreads:\t1\n")
    return str(folder)


def test_the_growth_is_from_before_loading_to_the_peak(tmp_path):
    peak = MemoryPeak(process(tmp_path, hwm_kib=5000, rss_kib=1000))
    peak.begin()
    assert (tmp_path / "clear_refs").read_text() == "5"
    process(tmp_path, hwm_kib=4000, rss_kib=1200)
    assert peak.grown_bytes() == 3000 * 1024


def test_what_did_not_grow_is_unknown_and_not_zero(tmp_path):
    peak = MemoryPeak(process(tmp_path, hwm_kib=1000, rss_kib=1000))
    peak.begin()
    assert peak.grown_bytes() is None
    (tmp_path / "status").write_text("nothing of the kind\n")
    assert peak.grown_bytes() is None


@pytest.mark.parametrize(("after", "grown"), [(700, 200), (500, None)])
def test_where_the_peak_cannot_be_begun_anew_that_of_the_process_tells(tmp_path, monkeypatch, after, grown):
    peaks = iter([500, after])
    monkeypatch.setattr(memory, "_peak_since_start", lambda: next(peaks))
    peak = MemoryPeak(str(tmp_path / "nowhere"))
    peak.begin()
    assert peak.grown_bytes() == grown


def test_the_peak_of_a_process_is_in_bytes():
    assert memory._peak_since_start() > 10 * MIB


@linux
def test_each_model_has_its_own_peak_also_after_a_larger_one():
    def large(path, threads, seed):
        kept = bytearray(24 * MIB)

        def run():
            # only a run takes this much, and gives it back
            return len(kept) + len(bytearray(int(path) * MIB))

        return run

    runtime = Runtime("1", "", large)
    sizes = [load(runtime, Job("m", str(mib)), SETTINGS).peak_memory_bytes for mib in (96, 8)]
    assert sizes == [pytest.approx(120 * MIB, rel=0.05), pytest.approx(32 * MIB, rel=0.15)]


def test_a_model_is_warmed_up_until_it_gets_no_faster():
    now, left, calls = [0], iter([900, 500, 400, 300, 200, 110] + [100] * 90), [0]

    def run():
        calls[0] += 1
        now[0] += next(left)

    subject = load(Runtime("1", "", lambda *_: run), Job("m", ""), SETTINGS, lambda: now[0])
    assert subject.run_ns == 100
    assert calls[0] == 1 + 3 * 3

    def faster_for_ever():
        calls[0] += 1
        now[0] += int(1e9 * 0.95 ** calls[0])

    calls[0] = 0
    load(Runtime("1", "", lambda *_: faster_for_ever), Job("m", ""), SETTINGS, lambda: now[0])
    assert calls[0] == 1 + 3 * 8
