"""Sample indices for wearables that stamp their packets but do not count their samples.

The index is the gateway's; what a packet's stamp says about the samples before it decides whether some are
missing. The sensor's own period is learned from the packets, because no crystal keeps its nominal rate.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from statistics import median
from typing import Final, Generic, NamedTuple, TypeVar

from rtm_gateway.drivers.driver import Counters, Flag
from rtm_gateway.unwrap import Coverage

_T = TypeVar("_T")

_MEMORY: Final = 15  # packets over which the period is learned: seconds, shorter than temperature acts
_LEAP_S: Final = 2.0  # a stamp this far from the expected one must be confirmed by the next
_TOLERANCE: Final = 0.3  # of a packet's samples, and at least half a sample: jitter of the stamps


class Placed(NamedTuple, Generic[_T]):
    """Where a packet belongs: the stamp and index of its first sample."""

    token: _T
    boot: int
    first: int
    tick: int
    flags: Flag


class StampGrid(Generic[_T]):
    """Places packets of `n` samples by the stamp of their first (or last) sample.

    A packet whose stamp leaps is held until the next one confirms the leap (a gap, or a clock that was set)
    or refutes it (the stamp was garbage). `token` is whatever the caller needs to build the block later.
    """

    def __init__(
        self,
        rate_hz: float | None,
        tick_hz: float,
        counters: Counters,
        next_boot: Callable[[], int],
        *,
        stamp_of_last: bool = False,
        boot: int | None = None,
        guess_hz: float = 52.0,
    ) -> None:
        """rate_hz None: not told, so the first two packets are taken to be consecutive. boot: the first."""
        self.tick_hz = tick_hz
        self._told = rate_hz is not None
        self._nominal = tick_hz / (rate_hz or guess_hz)
        self._counters = counters
        self._next_boot = next_boot
        self._last = stamp_of_last
        self._boot = next_boot() if boot is None else boot
        self._begun = False
        self._stamp = 0  # of the newest packet in order
        self._index = 0  # of the sample that stamp belongs to
        self._n = 0
        self._seen = Coverage()
        self._stamps: deque[int] = deque(maxlen=64)
        self._periods: deque[float] = deque(maxlen=_MEMORY)
        self._held: tuple[int, int, _T] | None = None

    @property
    def boot(self) -> int:
        """The present boot of the index."""
        return self._boot

    @property
    def period(self) -> float:
        """Ticks between samples, as learned; nominal until three packets agree."""
        return median(self._periods) if len(self._periods) >= 3 else self._nominal

    def place(self, stamp: int, n: int, token: _T) -> list[Placed[_T]]:
        """Zero, one or two placed packets."""
        if stamp in self._stamps:
            self._counters.duplicate += n
            return []
        if not self._begun:
            self._begun = True
            return [self._settle(stamp, n, n - 1 if self._last else 0, token, Flag.NONE)]
        if self._held is not None:
            return self._decide(stamp, n, token)
        step = stamp - self._stamp
        span = n if self._last else self._n
        expected = span * self.period
        leap = _LEAP_S * self.tick_hz
        if step > expected + leap or step < -leap:
            self._held = (stamp, n, token)
            return []
        if step <= 0:
            return self._late(stamp, n, token)
        return [self._follow(stamp, n, token)]

    def forget_held(self) -> None:
        """The link was lost: nothing will confirm what is held."""
        if self._held is not None:
            self._counters.malformed += 1
            self._held = None

    def _decide(self, stamp: int, n: int, token: _T) -> list[Placed[_T]]:
        """Does the packet after a leap side with the leap or with what was before it?"""
        held, self._held = self._held, None
        if held is None:
            return self.place(stamp, n, token)
        held_stamp, held_n, held_token = held
        leap = _LEAP_S * self.tick_hz
        before = stamp - self._stamp
        after = stamp - held_stamp
        with_leap = 0 < after <= (n if self._last else held_n) * self.period + leap
        without = 0 < before <= ((n if self._last else self._n) + held_n) * self.period + leap
        if without or not with_leap:
            self._counters.malformed += 1
            return self.place(stamp, n, token)
        step = held_stamp - self._stamp
        if step < 0 or step > 86_400 * self.tick_hz:
            first = self._restart(held_stamp, held_n, held_token, Flag.CLOCK_JUMP)
        else:
            first = self._follow(held_stamp, held_n, held_token)
        return [first, *self.place(stamp, n, token)]

    def _restart(self, stamp: int, n: int, token: _T, flags: Flag) -> Placed[_T]:
        """A new boot of the index: nobody knows how much passed since the last sample."""
        self._boot = self._next_boot()
        self._seen = Coverage()
        self._periods.clear()
        self._stamps.clear()
        return self._settle(stamp, n, n - 1 if self._last else 0, token, flags)

    def _follow(self, stamp: int, n: int, token: _T) -> Placed[_T]:
        step = stamp - self._stamp
        span = n if self._last else self._n
        if not self._told:
            self._told, self._nominal = True, step / span
        period = self.period
        over = step / period - span
        missing = round(over) if over > max(0.5, _TOLERANCE * span) else 0
        if span and step < 4 * span * self._nominal:
            self._periods.append(step / span)
        flags = Flag.NONE
        if missing:
            flags = Flag.GAP
            self._counters.gap += 1
            self._counters.gap_samples += missing
        return self._settle(stamp, n, self._index + span + missing, token, flags)

    def _settle(self, stamp: int, n: int, index: int, token: _T, flags: Flag) -> Placed[_T]:
        self._stamp, self._index, self._n = stamp, index, n
        self._stamps.append(stamp)
        self._counters.samples += n
        first, tick = self._first(stamp, n, index)
        self._seen.add(first, first + n)
        return Placed(token, self._boot, first, tick, flags | Flag.GATEWAY_INDEX)

    def _first(self, stamp: int, n: int, index: int) -> tuple[int, int]:
        """Index and tick of the first sample of a packet whose stamped sample has this index."""
        if not self._last:
            return index, stamp
        return index - (n - 1), stamp - round((n - 1) * self.period)

    def _late(self, stamp: int, n: int, token: _T) -> list[Placed[_T]]:
        """Out of order: taken if its place is a hole, else it has been here before."""
        index = self._index + round((stamp - self._stamp) / self.period)
        first, tick = self._first(stamp, n, index)
        free = first >= 0 and self._seen.missing(first, first + n) == [(first, first + n)]
        if not free:
            self._counters.duplicate += n
            return []
        self._stamps.append(stamp)
        self._counters.samples += n
        self._seen.add(first, first + n)
        return [Placed(token, self._boot, first, tick, Flag.GATEWAY_INDEX)]
