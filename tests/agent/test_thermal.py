import pytest
from hwnas_agent.heating import heat
from hwnas_agent.measure import CHUNK
from hwnas_agent.thermal import Cooling, Thermometer

from tests.agent.models import SimulatedDevice
from tests.agent.test_measure import measure

SECOND = 10**9


def write(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{value}\n")


def zone(root, number, kind, celsius, **trips_c):
    folder = root / f"sys/class/thermal/thermal_zone{number}"
    write(folder / "type", kind)
    write(folder / "temp", int(1000 * celsius))
    for index, (name, at) in enumerate(trips_c.items()):
        write(folder / f"trip_point_{index}_type", name)
        write(folder / f"trip_point_{index}_temp", int(1000 * at))


def test_only_zones_of_the_processor_count(tmp_path):
    zone(tmp_path, 0, "battery", 99)
    zone(tmp_path, 1, "cpu-thermal", 60)
    zone(tmp_path, 2, "soc-thermal", 71)
    thermometer = Thermometer(str(tmp_path))
    assert thermometer.hottest_c() == 71
    assert not thermometer.hot()
    assert thermometer.cool()


@pytest.mark.parametrize(
    ("celsius", "trips", "hot"),
    [
        (84.0, {}, False),
        (86.0, {}, True),
        (78.0, {"passive": 80.0, "critical": 110.0}, True),
        (76.0, {"passive": 80.0, "critical": 110.0}, False),
        (81.0, {"critical": 100.0}, True),
        (80.0, {"passive": 0.0, "critical": -274.0}, False),  # what drivers say that know none
    ],
)
def test_hot_is_where_the_kernel_would_soon_slow_down(tmp_path, celsius, trips, hot):
    zone(tmp_path, 0, "x86_pkg_temp", celsius, **trips)
    assert Thermometer(str(tmp_path)).hot() is hot


def test_without_zones_nothing_is_known(tmp_path):
    zone(tmp_path, 0, "cpu", 50)
    write(tmp_path / "sys/class/thermal/thermal_zone0/temp", "x")
    for root in (tmp_path, tmp_path / "none"):
        thermometer = Thermometer(str(root))
        assert thermometer.hottest_c() is None
        assert not thermometer.hot()
        assert thermometer.throttled() == []


def test_what_says_that_the_device_is_slowed_down_is_named(tmp_path):
    counts = tmp_path / "sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count"
    write(counts, 7)
    thermometer = Thermometer(str(tmp_path))
    assert thermometer.throttled() == []
    write(counts, 8)
    write(tmp_path / "sys/devices/platform/soc/soc:firmware/get_throttled", "50005")
    write(tmp_path / "sys/class/thermal/cooling_device0/type", "thermal-cpufreq-0")
    write(tmp_path / "sys/class/thermal/cooling_device0/cur_state", 2)
    write(tmp_path / "sys/class/thermal/cooling_device1/type", "pwm-fan")
    write(tmp_path / "sys/class/thermal/cooling_device1/cur_state", 3)
    assert thermometer.throttled() == ["firmware 50005", "cooling thermal-cpufreq-0", "throttle count"]
    # what was in the past, and low voltage, are not this
    write(tmp_path / "sys/devices/platform/soc/soc:firmware/get_throttled", "50001")
    assert "firmware 50001" not in thermometer.throttled()


class Oven:
    """Hot until it was left alone for some seconds."""

    def __init__(self, root, *, needs_s):
        self.root, self.needs_s, self.now_ns, self.slept = root, needs_s, 0, 0
        zone(root, 0, "cpu", 90)

    def sleep(self, seconds):
        self.now_ns += int(seconds * SECOND)
        self.slept += 1
        if self.slept == self.needs_s:
            zone(self.root, 0, "cpu", 60)

    def cooling(self, **options):
        fields = {"pause_s": 0.0, "deadline_ns": 400 * SECOND, **options}
        return Cooling(Thermometer(str(self.root)), self.sleep, lambda: self.now_ns, **fields)


def test_a_hot_device_is_left_alone_until_it_is_cool(tmp_path):
    oven = Oven(tmp_path, needs_s=7)
    cooling = oven.cooling()
    assert not cooling.look()  # not twice a second
    oven.now_ns += 2 * SECOND
    assert cooling.look()
    assert (cooling.paused_s, cooling.hottest_c) == (7.0, 90.0)
    oven.now_ns += 2 * SECOND
    assert not cooling.look()


def test_pauses_are_bounded_each_and_all_together(tmp_path):
    oven = Oven(tmp_path, needs_s=None)
    cooling = oven.cooling(pause_s=30.0)
    for _ in range(50):
        oven.now_ns += 2 * SECOND
        cooling.look()
    assert cooling.paused_s == 100.0  # a quarter of the time
    soon = oven.cooling(deadline_ns=oven.now_ns + 5 * SECOND)
    oven.now_ns += 2 * SECOND
    soon.look()
    assert soon.paused_s == 1.0
    assert not oven.cooling(wanted=True).look()
    wanted = oven.cooling(wanted=True)
    oven.now_ns += 2 * SECOND
    assert not wanted.look()
    assert wanted.hottest_c == 90.0


def test_a_reference_that_becomes_slower_is_a_reason_to_pause(tmp_path):
    oven = Oven(tmp_path, needs_s=3)
    cooling = oven.cooling()
    assert not cooling.look_at([])
    assert not cooling.look_at([100.0])
    assert not cooling.look_at([100.0, 104.0])
    assert cooling.look_at([100.0, 104.0, 110.0])
    assert cooling.paused_s == 3.0
    blind = Cooling(
        Thermometer(str(tmp_path / "none")), oven.sleep, lambda: oven.now_ns, pause_s=0.0, deadline_ns=oven.now_ns + 400 * SECOND
    )
    assert blind.look_at([100.0, 110.0])
    assert blind.paused_s == 5.0


def test_heating_ends_when_neither_time_nor_temperature_changes(tmp_path):
    now = [0]

    def run(slower_for_s=60):
        now[0] += int(1e8 * (1 + 0.3 * min(now[0] / SECOND / slower_for_s, 1.0)))

    thermometer = Thermometer(str(tmp_path))
    assert 65 <= heat(run, lambda: now[0], thermometer, 600 * SECOND) <= 80
    assert heat(run, lambda: now[0], thermometer, now[0] + 600 * SECOND) == pytest.approx(15, abs=0.5)
    assert heat(run, lambda: now[0], thermometer, now[0] + 8 * SECOND) == pytest.approx(8, abs=0.1)
    begin = now[0]

    def warming():
        run()
        if now[0] // SECOND != (now[0] - 130_000_000) // SECOND:  # once a second
            zone(tmp_path, 0, "cpu", 40 + min((now[0] - begin) / SECOND, 100) / 2)

    zone(tmp_path, 0, "cpu", 40)
    assert 100 <= heat(warming, lambda: now[0], Thermometer(str(tmp_path)), begin + 600 * SECOND) <= 120


def test_a_session_tells_of_heat_and_pauses(tmp_path):
    zone(tmp_path, 0, "cpu", 90)
    device = SimulatedDevice()
    done, _, _ = measure(device, [20_000] * 3, thermometer=Thermometer(str(tmp_path)), cooldown_s=2.0)
    assert done["hottest_c"] == 90
    assert done["cooled_s"] == len(device.slept_s) > 0
    done, _, _ = measure(SimulatedDevice(), [100], thermometer=Thermometer(str(tmp_path / "none")))
    assert (done["hottest_c"], done["throttled"], done["cooled_s"], done["heated_s"]) == (None, [], 0, 0)


def test_a_device_that_is_kept_hot_gives_what_it_then_gives(tmp_path):
    """It slows down by a half within a minute of work, and changes its speed then: all of it counts."""

    def speed(now):
        return 1.0 + 0.5 * min(now / 60, 1.0) + (0.1 if now > 60 and now % 0.02 < 0.01 else 0.0)

    zone(tmp_path, 0, "cpu", 90)
    device = SimulatedDevice(speed)
    models = [100.0 + i for i in range(CHUNK + 2)]
    done, results, _ = measure(device, models, heat_s=300.0, max_seconds=30.0, thermometer=Thermometer(str(tmp_path)))
    assert 60 <= done["heated_s"] <= 100
    assert (done["short"], done["quiet_share"], device.slept_s) == (0, None, [])
    assert done["seconds"] > 60
    for i, us in enumerate(models):
        times = results[f"m{i}"]["quiet_ms"]
        assert 1.49 * us <= min(times) * 1e3 <= max(times) * 1e3 <= 1.65 * us
        assert results[f"m{i}"]["rejected"] == 0
