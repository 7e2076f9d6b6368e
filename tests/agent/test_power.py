import math

import pytest
from hwnas_agent.power import PowerRails

WINDOW_NS = 1e12


def write(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{value}\n")


class Board:
    """A file tree like the kernel's; every run lasts 1 ms and takes ``mj`` of energy from the counter."""

    def __init__(self, root, *, mj=5.0):
        self.root, self.now_ns, self.runs, self.mj = root, 0, 0, mj
        self.counters = {}

    def counter(self, name, label, *, uj, range_uj=262143328850):
        folder = self.root / "sys/class/powercap" / name
        write(folder / "name", label)
        write(folder / "energy_uj", uj)
        write(folder / "max_energy_range_uj", range_uj)
        self.counters[folder / "energy_uj"] = (uj, range_uj)

    def ina(self, labels, *, mv=5000, ma=2000, folder="sys/class/hwmon/hwmon3"):
        write(self.root / folder / "name", "ina3221")
        for number, label in enumerate(labels, 1):
            if label:
                write(self.root / folder / f"in{number}_label", label)
            write(self.root / folder / f"in{number}_input", mv)
            write(self.root / folder / f"curr{number}_input", ma * number)

    def run(self):
        self.runs += 1
        self.now_ns += 1_000_000
        for path, (uj, range_uj) in self.counters.items():
            write(path, int(uj + 1e3 * self.mj * self.runs) % range_uj)

    def energy_mj(self, deadline_ns=WINDOW_NS):
        return PowerRails(str(self.root)).energy_mj(self.run, lambda: self.now_ns, deadline_ns)


def test_a_device_without_rails_has_no_energy(tmp_path):
    board = Board(tmp_path)
    assert PowerRails(str(tmp_path)).names == []
    assert board.energy_mj() is None
    assert board.runs == 0


def test_the_counters_of_whole_packages_are_added_and_their_parts_are_not(tmp_path):
    board = Board(tmp_path)
    board.counter("intel-rapl:0", "package-0", uj=1000)
    board.counter("intel-rapl:0:0", "core", uj=500)
    board.counter("intel-rapl:1", "package-1", uj=7000)
    board.counter("intel-rapl:2", "psys", uj=9000)
    assert PowerRails(str(tmp_path)).names == ["package-0", "package-1"]
    assert board.energy_mj() == pytest.approx(10.0)
    assert board.runs >= 50


def test_a_counter_that_wraps_around_goes_on(tmp_path):
    board = Board(tmp_path)
    board.counter("intel-rapl:0", "package-0", uj=999_000, range_uj=1_000_000)
    assert board.energy_mj() == pytest.approx(5.0)


def test_a_counter_that_goes_back_without_a_range_or_stands_still_gives_nothing(tmp_path):
    board = Board(tmp_path)
    board.counter("intel-rapl:0", "package-0", uj=999_000, range_uj=1_000_000)
    (tmp_path / "sys/class/powercap/intel-rapl:0/max_energy_range_uj").unlink()
    assert board.energy_mj() is None
    still = Board(tmp_path / "still", mj=0.0)
    still.counter("intel-rapl:0", "package-0", uj=5)
    assert still.energy_mj() is None


@pytest.mark.parametrize("text", ["", "secret", "1" * 40])
def test_a_rail_that_cannot_be_read_is_none(tmp_path, text):
    board = Board(tmp_path)
    board.counter("intel-rapl:0", "package-0", uj=1)
    write(tmp_path / "sys/class/powercap/intel-rapl:0/energy_uj", text)
    assert PowerRails(str(tmp_path)).names == []


def test_a_counter_that_disappears_gives_nothing(tmp_path):
    board = Board(tmp_path)
    board.counter("intel-rapl:0", "package-0", uj=1)
    rails = PowerRails(str(tmp_path))
    (tmp_path / "sys/class/powercap/intel-rapl:0/energy_uj").unlink()
    board.counters.clear()
    assert rails.energy_mj(board.run, lambda: board.now_ns, WINDOW_NS) is None


def test_the_boards_input_is_what_it_takes(tmp_path):
    board = Board(tmp_path)
    board.ina(["VDD_IN", "VDD_CPU_GPU_CV", "VDD_SOC"])
    assert PowerRails(str(tmp_path)).names == ["VDD_IN"]
    assert board.energy_mj() == pytest.approx(10.0)  # 5 V, 2 A, 1 ms


def test_rails_without_an_input_among_them_are_added(tmp_path):
    board = Board(tmp_path)
    board.ina(["GPU", "CPU", ""])
    assert PowerRails(str(tmp_path)).names == ["GPU", "CPU", "hwmon3 channel 3"]
    assert board.energy_mj() == pytest.approx(10.0 + 20.0 + 30.0)


def test_older_kernels_give_power_alone(tmp_path):
    folder = tmp_path / "sys/bus/i2c/drivers/ina3221x/6-0040/iio:device0"
    for number, (name, mw) in enumerate([("POM_5V_IN", 4000), ("POM_5V_GPU", 500), ("POM_5V_CPU", 1500)]):
        write(folder / f"rail_name_{number}", name)
        write(folder / f"in_power{number}_input", mw)
    assert PowerRails(str(tmp_path)).names == ["POM_5V_IN"]
    assert Board(tmp_path).energy_mj() == pytest.approx(4.0)


@pytest.mark.parametrize(("mv", "ma"), [(0, 2000), (-5, 2000), ("x", 2000), (5000, 0)])
def test_a_sensor_that_shows_nothing_gives_nothing(tmp_path, mv, ma):
    board = Board(tmp_path)
    board.ina(["VDD_IN"], mv=mv, ma=ma)
    assert board.energy_mj() is None


def test_a_sensor_that_fails_in_the_window_gives_nothing(tmp_path):
    board = Board(tmp_path)
    board.ina(["VDD_IN"])
    run = board.run

    def fail():
        run()
        write(tmp_path / "sys/class/hwmon/hwmon3/in1_input", "x")

    board.run = fail
    assert board.energy_mj() is None


def test_other_sensors_are_not_power(tmp_path):
    Board(tmp_path).ina(["VDD_IN"])
    write(tmp_path / "sys/class/hwmon/hwmon3/name", "coretemp")
    assert PowerRails(str(tmp_path)).names == []


def test_no_window_goes_beyond_the_deadline(tmp_path):
    board = Board(tmp_path)
    board.ina(["VDD_IN"])
    assert board.energy_mj(1e6) is None
    assert board.runs == 0
    assert math.isfinite(board.energy_mj())
