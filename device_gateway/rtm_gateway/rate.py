"""A sensor that promises one rate and sends another."""

from __future__ import annotations

from typing import Final

from rtm_gateway.drivers.driver import Flag, SampleBlock

_WATCH_S: Final = 10.0
_TOLERANCE: Final = 0.1  # crystals are off by 0.005 %, RC oscillators by 5 %


class RateWatch:
    """Compares samples with the sensor's clock (the gateway's, where it has none) over ten seconds at a time."""

    def __init__(self, promised_hz: float) -> None:
        self.promised_hz = promised_hz
        self._begin: tuple[int, int, float] | None = None
        self._told = False

    def observe(self, block: SampleBlock) -> float | None:
        """The measured rate in Hz, once, when it is not the promised one."""
        if block.flags & Flag.FLASH or self._told:
            return None
        now = block.arrival_ns * 1e-9 if block.tick is None else block.tick / block.tick_hz
        if self._begin is None or self._begin[0] != block.boot or now < self._begin[2]:
            self._begin = (block.boot, block.first, now)
            return None
        elapsed = now - self._begin[2]
        if elapsed < _WATCH_S:
            return None
        measured = (block.first - self._begin[1]) / elapsed
        self._begin = (block.boot, block.first, now)
        if abs(measured - self.promised_hz) <= _TOLERANCE * self.promised_hz:
            return None
        self._told = True
        return measured
