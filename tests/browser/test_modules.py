"""The page's modules without a browser, in node: the same figures as the Python agent's, from the same inputs."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hwnas_agent import band as python_band
from hwnas_agent import precision as python_precision
from hwnas_agent import wire

PAGE = Path(__file__).parents[2] / "devices" / "browser" / "hwnas_browser" / "page"

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="no node here (tests/rig/setup.sh installs it)")


@pytest.fixture(scope="session")
def page(tmp_path_factory):
    """The modules where node takes them for what they are."""
    folder = shutil.copytree(PAGE, tmp_path_factory.mktemp("page") / "page")
    (folder / "package.json").write_text('{"type": "module"}')
    return folder


def node(page, program, value=None):
    """What ``program`` prints as JSON; it finds ``value`` in ``input``."""
    text = f"const input = JSON.parse(require('fs').readFileSync(0));\n(async () => {{ {program} }})();"
    text = text.replace("PAGE/", f"{page.as_uri()}/")
    done = subprocess.run(["node", "-e", text], input=json.dumps(value), capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def probes(*modes, seed):
    rng = np.random.default_rng(seed)
    times = np.concatenate([np.full(count, level) for level, count in modes])
    return (rng.permutation(times) * rng.normal(1, 0.01, len(times))).tolist()


CASES = [
    {"known": None, "times": probes((150.0, 500), seed=0)},
    {"known": None, "times": probes((110.0, 80), (190.0, 920), seed=1)},
    {"known": None, "times": probes((97.0, 20), (110.0, 480), (190.0, 500), seed=2)},
    {"known": 110.0, "times": probes((190.0, 1000), seed=3)},
    {"known": 110.0, "times": probes((113.0, 500), seed=4)},
    {"known": 110.0, "times": probes((80.0, 500), seed=5)},
    {"known": None, "times": probes((100.0, python_band.MIN_PROBES - 1), seed=6)},
    {"known": None, "times": probes((0.4, 300), (3000.0, 50), seed=7)},
    {"known": None, "times": [0.0] * 50},
    *({"known": None, "times": np.random.default_rng(s).lognormal(5, 0.5, 400).tolist()} for s in range(10, 16)),
]


def test_the_band_finds_the_same_levels_as_the_python_agent(page):
    found = node(
        page,
        """
        const { QuietBand } = await import("PAGE/band.js");
        const answers = input.map(({ known, times }) => {
          const band = new QuietBand(known);
          const levels = times.map((time, index) => {
            band.add(time, 0.5 + (index % 7));
            return index % 25 === 24 ? band.settle() : null;
          });
          return { levels: levels.filter((level) => level !== null), last: band.settle(), share: band.quietShare(), probes: band.probes,
                   quiet: times.map((time) => band.quiet(time)) };
        });
        console.log(JSON.stringify(answers));
        """,
        CASES,
    )
    for case, answer in zip(CASES, found, strict=True):
        band, levels = python_band.QuietBand(case["known"]), []
        for index, time in enumerate(case["times"]):
            band.add(time, 0.5 + index % 7)
            if index % 25 == 24:
                levels.append(band.settle())
        assert answer["levels"] == pytest.approx(levels, rel=1e-12)
        assert answer["last"] == pytest.approx(band.settle(), rel=1e-12)
        assert answer["share"] == pytest.approx(band.quiet_share(), rel=1e-12)
        assert answer["probes"] == band.probes
        assert answer["quiet"] == [band.quiet(time) for time in case["times"]]


def test_intervals_are_as_wide_as_the_python_agent_finds_them(page):
    rng = np.random.default_rng(0)
    cases = [[rng.normal(1, 0.1, n).tolist(), statistic] for n in (1, 5, 6, 30, 31, 120, 400) for statistic in python_precision.QUANTILES]
    found = node(
        page,
        """
        const { halfWidth, ranks, QUANTILES } = await import("PAGE/precision.js");
        const answers = input.map(([times, statistic]) => [halfWidth(times, statistic), ...ranks(times.length, QUANTILES[statistic])]);
        console.log(JSON.stringify(answers.map(([width, low, high]) => [width === Infinity ? null : width, low, high])));
        """,
        cases,
    )
    for (times, statistic), (width, *ranks) in zip(cases, found, strict=True):
        assert tuple(ranks) == python_precision.ranks(len(times), python_precision.QUANTILES[statistic])
        assert (np.inf if width is None else width) == pytest.approx(python_precision.half_width(times, statistic), rel=1e-9)


def test_the_constants_are_the_same(page):
    from hwnas_agent import busy, measure, sampling, subject

    found = node(
        page,
        """
        const [a, b, c] = [await import("PAGE/band.js"), await import("PAGE/measure.js"), await import("PAGE/precision.js")];
        const [d, e, f] = [await import("PAGE/sampling.js"), await import("PAGE/busy.js"), await import("PAGE/subject.js")];
        console.log(JSON.stringify([a.WIDTH, a.SHARE, a.LOW, a.HIGH, a.MIN_PROBES, b.CHUNK, d.COLD_RUNS, c.CAP, c.QUANTILES,
                                    e.QUIET_SHARE, e.BUSY_BELOW, e.PASSES, e.ROUNDS, e.RUNS, f.WARM, f.MAX_WARMUPS]));
        """,
    )
    b = python_band
    p = python_precision
    shared = [b.WIDTH, b.SHARE, b.LOW, b.HIGH, b.MIN_PROBES, measure.CHUNK, sampling.COLD_RUNS, p.CAP, p.QUANTILES]
    shared += [busy.QUIET_SHARE, busy.BUSY_BELOW, busy.PASSES, busy.ROUNDS, busy.RUNS, subject.WARM, subject.MAX_WARMUPS]
    assert found == shared


# A device whose time passes only when something runs: a model's path is its own duration in us; the clock ticks in steps of 5 us.
DEVICE = """
const { Session } = await import("PAGE/measure.js");
const { ModelUnusable } = await import("PAGE/subject.js");
let now = 0, open = 0, most = 0;
const order = [];
const factor = () => { for (const [until, speed] of input.speeds) if (now / 1e6 < until) return speed; return 1; };
const runtime = {
  fetch: async (path) => path,
  load: async (path) => {
    if (Number.isNaN(Number(path))) throw new Error("no such op");
    open += 1; most = Math.max(most, open);
    return { run: async () => { now += Number(path) * factor(); order.push(path); }, release: async () => { open -= 1; } };
  },
};
const messages = [];
const settings = { threads: 1, warmup: 1, min_repeats: 10, least_repeats: 4, min_total_ms: 0, min_sample_us: 150, max_seconds: 60,
  cooldown_s: 0, seed: 0, quiet_level_us: null, tick_us: 5, ...input.settings };
const clock = () => { now += 0.03; return Math.floor(now / 5) * 5 / 1e3; };
const session = new Session(runtime, settings, (m) => messages.push(m), { clock, sleep: async (ms) => { now += ms * 1e3; } });
const jobs = input.jobs.map(([id, path, onlyBusy]) => ({ id, path, only_busy: onlyBusy ?? false }));
const done = await session.measure(jobs, { id: "probe", path: "520" }, { id: "reference", path: "800" });
console.log(JSON.stringify({ messages, done, open, most, head: order.slice(-60) }));
"""


def measured(page, jobs, *, speeds=(), **settings):
    found = node(page, DEVICE, {"jobs": jobs, "speeds": speeds, "settings": settings})
    for message in [*found["messages"], found["done"]]:
        wire.check(message, wire.FROM_AGENT)
    results = {m["id"]: m for m in found["messages"] if m["type"] == "result"}
    return results, found


def test_every_model_gets_its_own_time_and_is_released(page):
    jobs = [[f"m{i}", str(40 + 37 * i)] for i in range(30)]
    results, found = measured(page, jobs)
    assert results.keys() == {key for key, _ in jobs}
    for key, path in jobs:
        assert np.median(results[key]["quiet_ms"]) == pytest.approx(float(path) / 1e3, rel=0.02)
        assert len(results[key]["quiet_ms"]) >= 10
    assert {m["chunk"] for m in results.values()} == {0, 1}
    assert (found["done"]["results"], found["done"]["short"], found["done"]["quiet_share"]) == (30, 0, 1.0)
    assert found["done"]["quiet_level_us"] == pytest.approx(520, rel=0.02)
    assert found["done"]["reference_us"] == pytest.approx([800.0, 800.0], rel=0.02)
    assert found["open"] == 2  # probe and reference
    assert found["most"] <= 24


def test_a_sample_lasts_long_enough_for_the_clock_unless_single_calls_are_asked_for(page):
    results, _ = measured(page, [["a", "40"]])
    assert results["a"]["runs_per_sample"] == 13  # 500 us, a hundred ticks
    results, _ = measured(page, [["a", "40"]], min_sample_us=0)
    assert results["a"]["runs_per_sample"] == 1


def test_a_turn_that_stays_wide_ends_at_a_multiple_of_its_samples(page):
    results, _ = measured(page, [["a", "300"]], speeds=[[2.0 + 0.05 * i, 1 + 0.05 * (i % 2)] for i in range(400)], max_rel_ci=1e-9)
    assert len(results["a"]["quiet_ms"]) == python_precision.CAP * 10
    results, _ = measured(page, [["a", "300"]], max_rel_ci=0.05, statistic="p90")
    assert len(results["a"]["quiet_ms"]) == 36


def test_samples_of_a_slow_spell_are_typical_and_not_quiet(page):
    results, found = measured(page, [["a", "300"], ["b", "900"]], speeds=[[2.2, 1.0], [2.25, 1.7], [9e9, 1.0]], min_repeats=40)
    for key, own in (("a", 0.3), ("b", 0.9)):
        assert max(results[key]["quiet_ms"]) == pytest.approx(own, rel=0.02)
    assert max(results["b"]["typical_ms"]) > 1.2
    assert results["b"]["rejected"] > 0
    assert found["done"]["quiet_share"] < 1


def test_a_device_that_proves_faster_has_its_models_measured_again(page):
    jobs = [[f"m{i}", "300"] for i in range(44)]
    _, found = measured(page, jobs, speeds=[[2.9, 1.5], [9e9, 1.0]])
    last = {m["id"]: m for m in found["messages"] if m["type"] == "result"}
    assert sum(m["type"] == "result" for m in found["messages"]) > 44
    assert all(np.median(m["quiet_ms"]) == pytest.approx(0.3, rel=0.02) for m in last.values())
    assert found["done"]["short"] == 0


def test_a_busy_device_with_a_known_level_gives_no_quiet_samples_but_busy_ones(page):
    jobs = [["a", "300"], ["b", "900", True], ["c", "broken"]]
    results, found = measured(page, jobs, speeds=[[9e9, 1.6]], quiet_level_us=520.0, max_seconds=8)
    assert results == {}
    told = {m["id"]: m for m in found["messages"] if m["type"] == "busy"}
    assert told.keys() == {"a", "b"}
    for key, own in (("a", 0.3), ("b", 0.9)):
        sampled = told[key]["busy_ms"]
        assert 120 <= len(sampled) == len(told[key]["at_s"])
        assert sampled == pytest.approx([1.6 * own] * len(sampled), rel=0.02)
        assert 4 <= told[key]["at_s"][0] < told[key]["at_s"][-1] <= 8
    assert [m["id"] for m in found["messages"] if m["type"] == "failed"] == ["c"]
    assert found["open"] == 2


def test_models_that_are_wanted_for_busy_rounds_alone_are_left_alone_in_quiet(page):
    results, found = measured(page, [["a", "300"], ["b", "900", True]])
    assert results.keys() == {"a"}
    assert (found["done"]["results"], found["done"]["short"]) == (1, 0)


def test_a_busy_device_that_becomes_quiet_gives_quiet_samples(page):
    results, found = measured(page, [["a", "300"]], speeds=[[8.0, 1.6], [9e9, 1.0]], quiet_level_us=520.0, max_seconds=10)
    sampled = results["a"]["quiet_ms"]
    assert len(sampled) >= 10
    assert sampled == pytest.approx([0.3] * len(sampled), rel=0.02)
    assert any(m["type"] == "busy" for m in found["messages"])


def test_a_page_without_quiet_time_says_so(page):
    _, found = measured(page, [["a", "300"]], speeds=[[9e9, 1.6]], quiet_level_us=520.0, max_seconds=2)
    assert (found["done"]["short"], found["done"]["fewest"], found["done"]["quiet_share"]) == (1, 0, 0)


def test_a_device_that_is_kept_hot_gives_what_it_then_gives(page):
    slower = [[2.0 * i, 1 + 0.02 * i] for i in range(1, 15)]
    results, found = measured(page, [["a", "300"], ["b", "900"]], speeds=[*slower, [9e9, 1.3]], heat_s=120.0, max_seconds=20.0)
    assert 28 <= found["done"]["heated_s"] <= 50
    assert (found["done"]["short"], found["done"]["quiet_share"]) == (0, None)
    for key, own in (("a", 0.3), ("b", 0.9)):
        assert results[key]["quiet_ms"] == pytest.approx([1.3 * own] * 10, rel=0.02)
        assert results[key]["rejected"] == 0


def test_a_model_that_does_not_load_is_told_and_the_others_go_on(page):
    results, found = measured(page, [["a", "300"], ["b", "broken"]])
    assert results.keys() == {"a"}
    assert [m for m in found["messages"] if m["type"] == "failed"] == [{"type": "failed", "id": "b", "reason": "Error: no such op"}]


def test_no_jobs_are_done_at_once(page):
    _, found = measured(page, [])
    assert (found["done"]["results"], found["done"]["short"]) == (0, 0)


def test_the_order_of_visits_comes_from_the_seed(page):
    jobs = [[f"m{i}", str(300 + i)] for i in range(5)]
    one, same, other = (measured(page, jobs, seed=s)[1]["head"] for s in (1, 1, 2))
    assert one == same != other
