"""How hot the device is, whether it slows itself down because of that, and the pauses that let it cool.

Temperatures are those of Linux' thermal zones that belong to the processor; a zone's passive trip is where the kernel begins to slow it
down (Linux, thermal sysfs interface). That it does so shows in the cooling devices of the processor, in the throttle counts of x86, and in
the flags of a Raspberry Pi's firmware (bits 1 to 3 of ``get_throttled``: capped, throttled, at its soft limit). All of it is optional.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Callable, Sequence

from hwnas_agent.files import Here, Source, Unknown, number, number_in, text_in

Clock = Callable[[], int]

HOT_C = 85.0
BEFORE_TRIP_C = 3.0
BEFORE_CRITICAL_C = 20.0
COOLER_C = 8.0
DRIFT = 1.05
PAUSE_S = 20.0
PAUSE_SHARE = 0.25
BLIND = 0.25
"""Without a thermometer only the time tells, and what looks like heat may be something else: pauses are that much shorter."""
LOOK_NS = 1_000_000_000
_PROCESSOR = re.compile(r"cpu|soc|pkg|core|big|little|cluster", re.IGNORECASE)
_COOLER = re.compile(r"processor|cpufreq|cpu", re.IGNORECASE)
_ZONES = "sys/class/thermal"
_FIRMWARE = "sys/devices/platform/soc/soc:firmware/get_throttled"


def zones_of(device: Source) -> list[str]:
    """Folders of the thermal zones that belong to the processor."""
    folders = [f"{_ZONES}/{name}" for name in device.names(_ZONES) if name.startswith("thermal_zone")]
    kinds = device.lines([folder + "/type" for folder in folders])
    return [folder for folder in folders if _PROCESSOR.search(kinds.get(folder + "/type", ""))]


def degrees_c(device: Source, zones: Sequence[str]) -> dict[str, float]:
    """How hot those of ``zones`` are that tell something that can be."""
    read = {path: number(text) for path, text in device.lines([zone + "/temp" for zone in zones]).items()}
    seen = ((zone, read.get(zone + "/temp")) for zone in zones)
    return {zone: milli / 1e3 for zone, milli in seen if milli is not None and 0 < milli < 200e3}


def hottest_c(device: Source) -> float:
    """The hottest of the processor's zones, in degrees Celsius; `Unknown` where there is none that tells."""
    seen = degrees_c(device, zones_of(device))
    if not seen:
        raise Unknown("no thermal zone of the processor tells a temperature")
    return max(seen.values())


class Thermometer:
    """The processor's thermal zones below ``root``, each with the temperature from which on it counts as hot."""

    def __init__(self, root: str = "/") -> None:
        self._root = Path(root)
        self._device = Here(root)
        try:
            zones = zones_of(self._device)
        except Unknown:
            zones = []
        self._limits_c = {zone: _limit_c(self._root / zone) for zone in zones}
        self._counts = {path: number_in(path) for path in self._root.glob("sys/devices/system/cpu/cpu*/thermal_throttle/*_throttle_count")}

    def hottest_c(self) -> float | None:
        """The hottest zone; None where the system tells nothing that can be."""
        seen = [celsius for celsius, _ in self._read()]
        return max(seen) if seen else None

    def hot(self) -> bool:
        """Whether some zone is close to where it is slowed down."""
        return any(celsius >= limit for celsius, limit in self._read())

    def cool(self) -> bool:
        """Whether all zones are well below that."""
        return all(celsius <= limit - COOLER_C for celsius, limit in self._read())

    def throttled(self) -> list[str]:
        """What says that the processor is being slowed down, or has been since the session began."""
        told = []
        flags = text_in(self._root / _FIRMWARE) or ""
        if re.fullmatch(r"(0x)?[0-9a-fA-F]{1,8}", flags) and int(flags, 16) & 0b1110:
            told.append(f"firmware {flags}")
        for device in sorted(self._root.glob("sys/class/thermal/cooling_device*")):
            kind = text_in(device / "type") or ""
            if _COOLER.search(kind) and (number_in(device / "cur_state") or 0) > 0:
                told.append(f"cooling {kind}"[:64])
        if any((number_in(path) or 0) > (before or 0) for path, before in self._counts.items()):
            told.append("throttle count")
        return told[:16]

    def _read(self) -> list[tuple[float, float]]:
        return [(celsius, self._limits_c[zone]) for zone, celsius in degrees_c(self._device, list(self._limits_c)).items()]


class Cooling:
    """Pauses for a device that is hot. A pause lasts ``pause_s`` at most, and all of them a quarter of the session's time.

    With ``wanted`` a device is hot on purpose: it is looked at, and never paused.
    """

    def __init__(
        self,
        thermometer: Thermometer,
        sleep: Callable[[float], None],
        clock: Clock,
        *,
        pause_s: float,
        deadline_ns: float,
        wanted: bool = False,
    ) -> None:
        self._wanted = wanted
        self._thermometer = thermometer
        self._sleep = sleep
        self._clock = clock
        self._pause_s = pause_s or PAUSE_S
        self._deadline_ns = deadline_ns
        self._left_s = PAUSE_SHARE * (deadline_ns - clock()) / 1e9
        self._looked_ns = clock()
        self.hottest_c = thermometer.hottest_c()
        self.throttled: set[str] = set()
        self.paused_s = 0.0

    def look(self) -> bool:
        """Pause if the device is hot; cheap enough for every round. Whether there was a pause."""
        if self._clock() - self._looked_ns < LOOK_NS:
            return False
        self._looked_ns = self._clock()
        self.throttled.update(self._thermometer.throttled())
        seen = self._thermometer.hottest_c()
        self.hottest_c = seen if self.hottest_c is None else max(self.hottest_c, seen or 0.0)
        return self._thermometer.hot() and self._pause()

    def look_at(self, reference_us: list[float]) -> bool:
        """Pause if the reference model became slower from one chunk to the next than disturbance explains: its samples are quiet ones."""
        return len(reference_us) > 1 and reference_us[-1] > DRIFT * reference_us[-2] and self._pause()

    def _pause(self) -> bool:
        paused_s, blind = 0.0, self._thermometer.hottest_c() is None
        longest_s = self._pause_s * (BLIND if blind else 1.0)
        while not self._wanted and paused_s < longest_s and self._left_s >= 1 and self._clock() + 1e9 < self._deadline_ns:
            self._sleep(1.0)
            paused_s += 1.0
            self._left_s -= 1.0
            if not blind and self._thermometer.cool():
                break
        self.paused_s += paused_s
        self._looked_ns = self._clock()
        return paused_s > 0


def _limit_c(zone: Path) -> float:
    """From which temperature on a zone is hot."""
    trips: dict[str, list[float]] = {}
    for path in zone.glob("trip_point_*_type"):
        milli = number_in(path.with_name(path.name.replace("_type", "_temp")))
        if milli is not None and 40e3 <= milli <= 125e3:
            trips.setdefault(text_in(path) or "", []).append(milli / 1e3)
    if "passive" in trips:
        return min(trips["passive"]) - BEFORE_TRIP_C
    if "critical" in trips:
        return min(trips["critical"]) - BEFORE_CRITICAL_C
    return HOT_C
