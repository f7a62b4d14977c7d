"""Sample blocks become chunks: cut on multiples of the chunk length, stamped once, never changed again.

A gap, a clock jump or new channels end a chunk early: a part is sent as a part. What is read from a
sensor's memory while it streams grows a chunk of its own, so that neither cuts the other to pieces.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol, cast
from uuid import UUID

import numpy as np

from rtm_gateway.drivers.driver import Flag, SampleBlock, StreamSpec, Values
from rtm_signal.chunk import MAX_SAMPLES, UNKNOWN_UNCERTAINTY, Anchors, Chunk, stream_id

CHUNK_S: Final = 5.0
"""10 s would save one per cent more, 1 s costs 15 % (docs/reference/chunk.md)."""
WATCHED_CHUNK_S: Final = 1.0
"""While somebody watches the page, so that what is stored is never far behind."""
ARRIVAL_STEP_NS: Final = 50_000
"""Arrivals are kept to 50 us, far below the milliseconds by which a radio and a host scatter them and the
millisecond asked of a clock fit; finer digits are noise that would double an anchor's size."""

_I64: Final = 1 << 63


class ClockLike(Protocol):
    """A fit from a device's clock to UTC (`rtm_gateway.clock.ClockFit`)."""

    @property
    def version(self) -> int:
        """Number of the fit, from 1."""
        ...

    def utc_us(self, tick: int) -> tuple[float, float]:
        """(us UTC, half of its 95 % interval in us) of a tick."""
        ...


class GatewayClock(NamedTuple):
    """The gateway's two clocks at one moment."""

    mono_ns: int
    wall_us: int


def gateway_clock() -> GatewayClock:
    """Now, by both clocks."""
    return GatewayClock(time.monotonic_ns(), time.time_ns() // 1000)


@dataclass(slots=True)
class _Run:
    """Consecutive samples first .. end - 1 that wait for their boundary."""

    sensor: UUID
    spec: StreamSpec
    boot: int
    first: int
    end: int
    cut: int
    fed_ns: int
    pieces: list[Values] = field(default_factory=list)
    anchors: list[tuple[int, int, int]] = field(default_factory=list)  # index, tick, arrival


_RunKey = tuple[UUID, str, int, bool]


class Sealer:
    """Cuts the streams of one gateway into chunks. Pure but for the clocks it is given.

    clock_of: the fit of a sensor's boot, None while there is none: the time is then that of the arrival.
    """

    def __init__(
        self,
        tenant: UUID,
        gateway_boot: UUID,
        *,
        clock_of: Callable[[UUID, int], ClockLike | None] = lambda _sensor, _boot: None,
        now: Callable[[], GatewayClock] = gateway_clock,
    ) -> None:
        self._tenant = tenant
        self._gateway_boot = gateway_boot
        self._clock_of = clock_of
        self._now = now
        self._chunk_s = CHUNK_S
        self._runs: dict[_RunKey, _Run] = {}

    def watch(self, on: bool) -> None:
        """Somebody looks at the page, or nobody does any more."""
        self._chunk_s = WATCHED_CHUNK_S if on else CHUNK_S
        for run in self._runs.values():
            run.cut = self._next_cut(run.first, run.spec.rate_hz)

    def feed(self, sensor: UUID, spec: StreamSpec, block: SampleBlock) -> list[Chunk]:
        """Add a block; returns the chunks it completed, often none."""
        k = len(block.values)
        if k == 0:
            return []
        flash = bool(block.flags & Flag.FLASH)
        key = (sensor, block.stream, block.boot, flash)
        run = self._runs.get(key)
        done: list[Chunk] = []
        if run is not None and (block.first != run.end or block.flags & Flag.CLOCK_JUMP or spec != run.spec):
            done.append(self._seal(run, run.end))
            run = None
        if run is None:
            cut = self._next_cut(block.first, spec.rate_hz)
            run = _Run(sensor, spec, block.boot, block.first, block.first, cut, block.arrival_ns)
            self._runs[key] = run
        arrival = 0 if flash else block.arrival_ns - block.arrival_ns % ARRIVAL_STEP_NS
        run.pieces.append(block.values)
        run.anchors.append((block.first, block.first if block.tick is None else block.tick, arrival))
        run.end += k
        run.fed_ns = block.arrival_ns
        while run.end >= run.cut:
            done.append(self._seal(run, run.cut))
        if run.first == run.end:
            del self._runs[key]
        return done

    def flush(self, *, quiet_ns: int | None = None, sensor: UUID | None = None) -> list[Chunk]:
        """Seal what waits for its boundary: everything, or one sensor's, or what got nothing for quiet_ns."""
        limit = math.inf if quiet_ns is None else self._now().mono_ns - quiet_ns
        due = [key for key, run in self._runs.items() if run.fed_ns <= limit and sensor in (None, run.sensor)]
        return [self._seal(run, run.end) for run in [self._runs.pop(key) for key in due]]

    def _next_cut(self, first: int, rate_hz: float) -> int:
        length = min(max(round(rate_hz * self._chunk_s), 1), MAX_SAMPLES)
        return (first // length + 1) * length

    def _seal(self, run: _Run, end: int) -> Chunk:
        """The samples first .. end - 1 of the run as a chunk; the run goes on behind them."""
        values = run.pieces[0] if len(run.pieces) == 1 else cast("Values", np.concatenate(run.pieces))
        n = end - run.first
        inside = [anchor for anchor in run.anchors if anchor[0] < end]
        anchors = Anchors(
            np.array([index - run.first for index, _, _ in inside], np.int64),
            np.array([tick for _, tick, _ in inside], np.uint64),
            np.array([arrival for _, _, arrival in inside], np.uint64),
        )
        now = self._now()
        start_us, uncertainty_us, period_ns, version = self._timing(run, inside, now)
        chunk = Chunk(
            tenant=self._tenant,
            stream=stream_id(run.sensor, run.spec.name),
            boot=run.boot,
            first=run.first,
            n=n,
            t_key=start_us,
            channels=run.spec.channels,
            rate_hz=run.spec.rate_hz,
            start_us=start_us,
            period_ns=period_ns,
            fit_version=version,
            uncertainty_us=uncertainty_us,
            tick_hz=run.spec.tick_hz,
            gateway_boot=self._gateway_boot,
            mono_ns=now.mono_ns,
            wall_us=now.wall_us,
            values=values[:n],
            anchors=anchors,
        )
        run.pieces = [values[n:]] if end < run.end else []
        run.anchors = run.anchors[len(inside) - 1 :] if end < run.end else []
        run.first = end
        run.cut = self._next_cut(end, run.spec.rate_hz)
        return chunk

    def _timing(
        self, run: _Run, anchors: list[tuple[int, int, int]], now: GatewayClock
    ) -> tuple[int, int, float, int]:
        """(start_us, uncertainty_us, period_ns, fit version) of the run's first sample."""
        (index, tick, arrival), (last_index, last_tick, _) = anchors[0], anchors[-1]
        nominal_ns = 1e9 / run.spec.rate_hz
        clock = self._clock_of(run.sensor, run.boot)
        if clock is None:
            behind_us = (now.mono_ns - arrival) / 1e3 if arrival else 0.0
            start = now.wall_us - behind_us + (run.first - index) * nominal_ns / 1e3
            return _i64(start), UNKNOWN_UNCERTAINTY, nominal_ns, 0
        at, uncertainty = clock.utc_us(tick)
        period_ns = nominal_ns
        if last_index > index:
            fitted = (clock.utc_us(last_tick)[0] - at) * 1e3 / (last_index - index)
            period_ns = fitted if math.isfinite(fitted) and fitted > 0 else nominal_ns
        known = math.isfinite(uncertainty) and uncertainty >= 0
        half_us = min(math.ceil(uncertainty), UNKNOWN_UNCERTAINTY) if known else UNKNOWN_UNCERTAINTY
        return _i64(at + (run.first - index) * period_ns / 1e3), half_us, period_ns, clock.version & 0xFFFF


def _i64(value: float) -> int:
    return min(max(round(value), -_I64), _I64 - 1) if math.isfinite(value) else 0
