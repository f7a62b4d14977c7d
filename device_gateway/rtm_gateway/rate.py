"""A sensor that promises one rate and sends another."""

from __future__ import annotations

from typing import Final

from rtm_gateway.drivers.driver import Flag, SampleBlock

_WATCH_S: Final = 10.0
_TOLERANCE: Final = 0.1  # crystals are off by 0.005 %, RC oscillators by 5 %
_WINDOWS: Final = 2
"""One window may be short of samples that a radio held back, the next has them."""


class RateWatch:
    """Compares samples with the sensor's clock (the gateway's, where it has none) over ten seconds at a time."""

    def __init__(self, promised_hz: float) -> None:
        self.promised_hz = promised_hz
        self._begin: tuple[int, int, float] | None = None
        self._off = 0
        self._told = False

    def begin_anew(self) -> None:
        """A new link: what was not sent while there was none says nothing."""
        self._begin, self._off = None, 0

    def observe(self, block: SampleBlock) -> float | None:
        """The measured rate in Hz, once, when it is not the promised one, twice in a row."""
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
        off = abs(measured - self.promised_hz) > _TOLERANCE * self.promised_hz
        self._off = self._off + 1 if off else 0
        if self._off < _WINDOWS:
            return None
        self._told = True
        return measured


def contradicts_itself(block: SampleBlock) -> bool:
    """Whether a wrong rate of these samples means that a sensor's count and its own clock disagree.

    Elsewhere the index is the gateway's: made from stamps, it follows the rate; made from arrivals alone, the rate is
    what the gateway asked for, and the sensor has promised nothing.
    """
    return block.tick is not None and not block.flags & Flag.GATEWAY_INDEX
