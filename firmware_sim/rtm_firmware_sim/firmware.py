"""The firmware of our own sensor: sampling to flash, clock, boots, battery, button; no radio.

Sampling is computed when somebody looks (`advance`): a sensor nobody is connected to costs nothing and still
has taken every sample when the link comes back.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from rtm_firmware_sim.clock import Clock
from rtm_firmware_sim.flash import FlashRing
from rtm_firmware_sim.playback import Block, Playback, Sampler, Track

STANDARD_GRAVITY = 9.80665
INT16_MAX = 32767


def acc_lsb(full_scale_g: float) -> float:
    """m/s2 per LSB of an int16 over +-full_scale_g."""
    return full_scale_g * STANDARD_GRAVITY / 32768.0


def gyr_lsb(full_scale_dps: float) -> float:
    """rad/s per LSB of an int16 over +-full_scale_dps."""
    return float(np.radians(full_scale_dps)) / 32768.0


def to_int16(values: NDArray[np.float64], lsb: float) -> NDArray[np.int16]:
    """Quantise and saturate."""
    return np.clip(np.rint(values / lsb), -INT16_MAX - 1, INT16_MAX).astype(np.int16)


class Battery:
    """Falls linearly over `hours` of simulated time from `percent`; stands still while charging."""

    def __init__(self, now: Callable[[], float], *, percent: float = 87.0, hours: float = 48.0) -> None:
        self._now, self._full, self._hours = now, percent, hours
        self._since: float | None = None
        self.charging = False

    def percent(self) -> int:
        """0 to 100."""
        if self._since is None:
            self._since = self._now()
        spent = 0.0 if self.charging else (self._now() - self._since) / (self._hours * 36.0)
        return int(max(0.0, min(100.0, self._full - spent)))


class Firmware:
    """A sensor that samples a track. Scales are those of its full-scale range; the range may change while
    idle."""

    RATES_HZ = (25.0, 50.0, 100.0, 200.0)
    RANGES_G = (2, 4, 8, 16)
    RANGES_DPS = (125, 250, 500, 1000, 2000)

    def __init__(
        self,
        track: Track,
        playback: Playback,
        *,
        serial: str,
        clock: Clock,
        battery: Battery | None = None,
        boot: int = 1,
        flash_samples: int = 1 << 20,
    ) -> None:
        self.serial, self.clock, self.boot = serial, clock, boot
        self.battery = battery or Battery(playback.now)
        self.range_g, self.range_dps = 16, 2000
        self.told_rate_hz: float | None = None
        """Fault: the rate it claims instead of the one it has."""
        self.flash = FlashRing(flash_samples)
        self.next_index = 0
        self._native, self._track, self._playback = track, track, playback
        self._sampler: Sampler | None = None
        self._index_offset = 0

    @property
    def sampling(self) -> bool:
        return self._sampler is not None

    @property
    def rate_hz(self) -> float:
        return self._track.rate_hz

    @property
    def rate_mhz(self) -> int:
        """Samples per 1000 s, as told."""
        return round((self.told_rate_hz or self.rate_hz) * 1000.0)

    def start_run(self) -> None:
        """Begin to sample; nothing where it samples already."""
        if self._sampler is not None:
            return
        self._sampler = Sampler(self._track, self._playback, self.serial)
        origin = int(self._track.index[self._sampler.position % self._track.index.size])
        turn = self._sampler.position // self._track.index.size
        self._index_offset = self.next_index - origin - turn * (int(self._track.index[-1]) + 1)
        self.flash.open_run(self.boot)
        self.advance()

    def stop_run(self) -> None:
        """Take what is due, then stop."""
        if self._sampler is not None:
            self.advance()
        if self._sampler is not None:
            self._sampler.stop()
            self._sampler = None

    def advance(self) -> None:
        """Put every sample that is due into flash; a run whose track is over ends by itself."""
        sampler = self._sampler
        if sampler is None:
            return
        due = sampler.due()
        while sampler.position < due:
            self._store(sampler.take(due - sampler.position))
        if sampler.exhausted:
            sampler.stop()
            self._sampler = None

    def next_instant(self, samples: int) -> float:
        """Simulated time at which `samples` more than stored now will have been taken, or the run is over."""
        sampler = self._sampler
        if sampler is None:
            return self._playback.now()
        last = sampler.position + samples - 1
        if not self._playback.loop:
            last = min(last, sampler.track.t.size - 1)
        return sampler.instant(last)

    def _store(self, block: Block) -> None:
        index = block.index + self._index_offset
        acc = to_int16(block.acc, acc_lsb(self.range_g))
        gyr = to_int16(block.gyr, gyr_lsb(self.range_dps))
        self.flash.write(index, np.hstack([acc, gyr]), self.clock.ticks(block.at))
        self.next_index = int(index[-1]) + 1

    def set_rate(self, rate_hz: float) -> None:
        """The nearest rate the sensor has: its recording's own, or one of RATES_HZ."""
        rates = {self._native.rate_hz, *self.RATES_HZ}
        self._track = self._native.at_rate(min(rates, key=lambda r: abs(r - rate_hz)))

    def set_range(self, g: int, dps: int) -> None:
        """The smallest ranges not below what is asked, else the largest."""
        self.range_g = next((r for r in self.RANGES_G if r >= g), self.RANGES_G[-1])
        self.range_dps = next((r for r in self.RANGES_DPS if r >= dps), self.RANGES_DPS[-1])

    def reboot(self, *, boot: int | None = None) -> None:
        """Sampling ends, counters restart, the boot number grows; flash, rate and range are kept.

        boot: fault: the number it comes up with instead, such as one that was used before.
        """
        self.stop_run()
        self.boot = self.boot + 1 if boot is None else boot
        self.next_index = 0
        self.clock.restart()
