"""From a sensor's tick to UTC: a lower envelope of delays with drift, and four-stamp exchanges.

A notification cannot arrive before its sample was taken, and now and then one arrives almost at once. So the
smallest of (arrival - tick) over a minute, carried along with the sensor's drift, is the sensor's offset plus
the shortest delay of the way, which a one-way stream cannot tell apart. An exchange bounds the offset from
the other side. Raw ticks and arrivals are stored elsewhere for ever; what is computed here is a product with
a version.
"""

from __future__ import annotations

import math
import time
from collections import deque
from dataclasses import dataclass
from typing import Final, NamedTuple

from rtm_gateway.drivers.driver import Flag, FourStamp, SampleBlock

FIT_VERSION: Final = 1
"""Of this way to compute; goes up whenever the same anchors would give other times."""

WINDOW_S: Final = 60.0
"""Of the running minimum: long enough to hold prompt packets, short enough to follow temperature."""
BIN_S: Final = 2.0
DRIFT_WINDOW_S: Final = 600.0
MAX_DRIFT: Final = 1000e-6
"""An RC oscillator on the way out; crystals keep within 50e-6 (Bluetooth allows a sleep clock 500e-6)."""
SETTLED_DRIFT: Final = 100e-6
"""How much the drift may change once it has been measured over minutes."""
ONE_WAY_DELAY_S: Final = 0.040
"""The shortest delay of the way is between 0 and this: two connection intervals of 15-30 ms less a sample."""
WANDER: Final = 5e-6
"""Growth of the uncertainty away from the data: a crystal on a body that warms up by 10 K."""
TRUSTED_AFTER_NS: Final = 1_735_689_600_000_000_000  # 2025-01-01: a clock before it has never been set


class WallPair(NamedTuple):
    """The gateway's two clocks read together, ns."""

    mono_ns: int
    wall_ns: int


class WallClock:
    """Gateway monotonic time to UTC. A step of the wall clock (NTP answers) holds for all of this boot."""

    def __init__(self) -> None:
        self._offset_ns: int | None = None
        self.steps = 0
        """Changes of more than a tenth of a second."""

    def note(self, pair: WallPair) -> None:
        """Read both clocks now and then; a wall clock that was never set is not believed."""
        if pair.wall_ns < TRUSTED_AFTER_NS:
            return
        offset = pair.wall_ns - pair.mono_ns
        if self._offset_ns is not None and abs(offset - self._offset_ns) > 100_000_000:
            self.steps += 1
        self._offset_ns = offset

    @property
    def known(self) -> bool:
        """Has the wall clock ever been right in this boot?"""
        return self._offset_ns is not None

    def mono_ns(self, utc_ns: int) -> int:
        """The monotonic time of a UTC; before this boot it is negative."""
        return utc_ns - (self._offset_ns or 0)

    def utc_ns(self, mono_ns: int) -> int:
        """UTC of a monotonic time; counted from 1970 while the wall clock was never set."""
        return mono_ns + (self._offset_ns or 0)


def wall_clock() -> WallClock:
    """A wall clock that has been read once, now."""
    clock = WallClock()
    clock.note(read_clocks())
    return clock


def read_clocks() -> WallPair:
    """The two clocks of this machine, read one right after the other."""
    return WallPair(time.monotonic_ns(), time.time_ns())


@dataclass(slots=True)
class _Bin:
    """The promptest arrival of some seconds: sensor's time and delay, in s from the fit's origin."""

    at: float
    delay: float


class ClockFit:
    """The clock of one sensor's boot, updated as notifications arrive. Times inside are seconds as floats.

    `observe` for every live block, `exchange` for every four-stamp exchange; `utc_us` at any time.
    """

    version: int = FIT_VERSION

    def __init__(self, tick_hz: float, wall: WallClock) -> None:
        if not 0 < tick_hz < math.inf:
            raise ValueError("a clock needs a positive tick rate")
        self.tick_hz = tick_hz
        self._wall = wall
        self._tick0: int | None = None
        self._arrival0 = 0
        self._bins: deque[_Bin] = deque()
        self._open: _Bin | None = None
        self._drift = 0.0
        self._drift_known = False
        self._upper: _Bin | None = None  # the envelope at its last update
        self._lower: deque[_Bin] = deque()  # from exchanges: the offset cannot be below these
        self._fell = 0.0
        self._bin_start = 0.0

    @property
    def ready(self) -> bool:
        """Has anything been seen?"""
        return self._open is not None or self._upper is not None

    @property
    def drift_ppm(self) -> float:
        """How much the gateway's clock gains on the sensor's, parts per million."""
        return self._drift * 1e6

    def observe(self, tick: int, arrival_ns: int) -> None:
        """A live sample's tick and its notification's arrival (gateway monotonic)."""
        if self._tick0 is None:
            self._tick0, self._arrival0 = tick, arrival_ns
        at = (tick - self._tick0) / self.tick_hz
        delay = (arrival_ns - self._arrival0) * 1e-9 - at
        open_bin = self._open
        if open_bin is None:
            self._open = _Bin(at, delay)
        elif at - self._bin_start >= BIN_S or at < self._bin_start - BIN_S:
            self._close(open_bin)
            self._open = _Bin(at, delay)
        elif delay < open_bin.delay:
            open_bin.at, open_bin.delay = at, delay
            return
        else:
            return
        self._bin_start = at

    def exchange(self, stamps: FourStamp) -> None:
        """A four-stamp exchange: its answer is an arrival, its question bounds the offset from below."""
        self.observe(stamps.t3_tick, stamps.t4_ns)
        if self._tick0 is None:
            return
        at = (stamps.t2_tick - self._tick0) / self.tick_hz
        bound = (stamps.t1_ns - self._arrival0) * 1e-9 - at
        self._lower.append(_Bin(at, bound))
        while len(self._lower) > 4 and self._lower[0].at < at - DRIFT_WINDOW_S:
            self._lower.popleft()

    def _close(self, done: _Bin) -> None:
        """A bin is full: measure the drift anew and move the envelope on."""
        bins = self._bins
        bins.append(done)
        while bins[0].at < done.at - DRIFT_WINDOW_S:
            bins.popleft()
        self._measure_drift()
        before = self._upper
        self._upper = _Bin(done.at, self._envelope(done.at))
        if before is not None:
            expected = before.delay + self._drift * (done.at - before.at)
            fall = expected - self._upper.delay - MAX_DRIFT * abs(done.at - before.at)
            self._fell = max(fall, self._fell * 0.99, 0.0)

    def _envelope(self, at: float) -> float:
        """Smallest delay of the last minute, carried to `at` by the drift, and no faster up than clocks go."""
        least = math.inf
        for bin_ in reversed(self._bins):
            if bin_.at < at - WINDOW_S:
                break
            least = min(least, bin_.delay + self._drift * (at - bin_.at))
        if self._open is not None:
            least = min(least, self._open.delay + self._drift * (at - self._open.at))
        before = self._upper
        if before is not None:
            slack = SETTLED_DRIFT if self._drift_known else MAX_DRIFT
            elapsed = at - before.at
            least = min(least, before.delay + self._drift * elapsed + slack * abs(elapsed))
        return least

    def _measure_drift(self) -> None:
        """A line through the promptest arrival of each 10 s, twice, the second time without stalls."""
        points: list[tuple[float, float]] = []
        group: float | None = None
        for bin_ in self._bins:
            if bin_.at // 10.0 != group:
                group = bin_.at // 10.0
                points.append((bin_.at, bin_.delay))
            elif bin_.delay < points[-1][1]:
                points[-1] = (bin_.at, bin_.delay)
        if len(points) < 6:
            return
        slope, level = _line(points)
        rest = sorted(delay - slope * at - level for at, delay in points)
        limit = rest[len(rest) // 2] + 0.002
        prompt = [(at, delay) for at, delay in points if delay - slope * at - level <= limit]
        if len(prompt) >= 6:
            slope, _ = _line(prompt)
        self._drift = min(max(slope, -MAX_DRIFT), MAX_DRIFT)
        self._drift_known = points[-1][0] - points[0][0] > 120.0

    def _lower_bound(self, at: float) -> tuple[float, float] | None:
        """(bound, its expected shortfall): with n exchanges the promptest still waited for a connection
        event.

        For waits uniform over an interval the mean exceeds the smallest by (n - 1) / 2 smallest ones.
        """
        if not self._lower:
            return None
        carried = [bin_.delay + self._drift * (at - bin_.at) for bin_ in self._lower]
        best = max(carried)
        n = len(carried)
        spread = best - sum(carried) / n
        return best, 2.0 * spread / (n - 1) if n > 1 else 0.0

    def offset(self, tick: int) -> tuple[float, float]:
        """(s to add to the sensor's time since the origin, half of its 95 % interval in s) at a tick."""
        if self._tick0 is None:
            return 0.0, math.inf
        at = (tick - self._tick0) / self.tick_hz
        newest = self._upper.at if self._upper is not None else 0.0
        if self._open is not None:
            newest = max(newest, self._open.at)
        upper = self._envelope(newest)
        away = abs(at - newest)
        moved = self._drift * (at - newest)
        loose = away * (WANDER if self._drift_known else MAX_DRIFT) + self._fell
        bound = self._lower_bound(newest)
        if bound is None or bound[0] > upper + 0.005:
            return upper + moved, ONE_WAY_DELAY_S + loose
        low, shortfall = bound
        middle = min((min(low + shortfall, upper) + upper) / 2.0, upper)
        return middle + moved, max((upper - low) / 2.0, 0.0005) + loose

    def mono_ns(self, tick: int) -> tuple[int, float]:
        """(gateway monotonic ns of a tick, half of its 95 % interval in ns)."""
        offset, uncertainty = self.offset(tick)
        if self._tick0 is None:
            return 0, math.inf
        since = (tick - self._tick0) / self.tick_hz + offset
        return self._arrival0 + round(since * 1e9), uncertainty * 1e9

    def utc_us(self, tick: int) -> tuple[float, float]:
        """(us UTC, half of its 95 % interval in us) of a tick; infinite while our own clock is not set."""
        mono_ns, uncertainty_ns = self.mono_ns(tick)
        if not self._wall.known:
            uncertainty_ns = math.inf
        return self._wall.utc_ns(mono_ns) / 1e3, uncertainty_ns / 1e3


def _line(points: list[tuple[float, float]]) -> tuple[float, float]:
    """Least squares: slope and level."""
    n = len(points)
    mean_x = sum(x for x, _ in points) / n
    mean_y = sum(y for _, y in points) / n
    across = sum((x - mean_x) ** 2 for x, _ in points)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / across if across > 0 else 0.0
    return slope, mean_y - slope * mean_x


class DeviceClocks:
    """The fits of one sensor, one a boot. Without a clock of its own its index is the tick."""

    def __init__(self, wall: WallClock) -> None:
        self._wall = wall
        self._fits: dict[int, ClockFit] = {}

    def of(self, boot: int) -> ClockFit | None:
        """The fit of a boot, None before its first block."""
        fit = self._fits.get(boot)
        return fit if fit is not None and fit.ready else None

    def observe(self, block: SampleBlock) -> None:
        """A block from the decoder; what came from memory says nothing about time, unless it is dated."""
        if block.flags & Flag.FLASH:
            self._dated(block)
            return
        fit = self._fits.get(block.boot)
        if fit is None:
            fit = self._fits[block.boot] = ClockFit(block.tick_hz, self._wall)
        fit.observe(block.first if block.tick is None else block.tick, block.arrival_ns)

    def _dated(self, block: SampleBlock) -> None:
        """A recording begins when its sensor's clock says; how that clock went on from there is not known."""
        if block.utc_ns is None or block.utc_ns < TRUSTED_AFTER_NS or block.tick is None:
            return
        if self._wall.known and block.boot not in self._fits:
            fit = self._fits[block.boot] = ClockFit(block.tick_hz, self._wall)
            fit.observe(block.tick, self._wall.mono_ns(block.utc_ns))

    def exchange(self, stamps: FourStamp) -> None:
        """An exchange with the sensor."""
        fit = self._fits.get(stamps.boot)
        if fit is None:
            fit = self._fits[stamps.boot] = ClockFit(stamps.tick_hz, self._wall)
        fit.exchange(stamps)
