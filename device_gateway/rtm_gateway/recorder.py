"""From blocks to the outbox: what belongs to a recording is sealed, encoded and stored; nothing twice.

`on_block` runs in the event loop and only appends; `run` encodes and stores in a thread, everything that
came together in one transaction with the recording's state and the spans that are stored. A sensor's
memory is freed on the strength of those spans alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from rtm_gateway.drivers.driver import Flag, SampleBlock, StreamSpec
from rtm_gateway.file_recordings import FileRecordings
from rtm_gateway.motion import MotionWatch
from rtm_gateway.outbox import Entry, Outbox
from rtm_gateway.recording_life import IDLE_S, RecordingLife
from rtm_gateway.sealer import Sealer
from rtm_gateway.stored_spans import StoredSpans, StreamKey
from rtm_signal.chunk import Chunk, encode, stream_id
from rtm_signal.wire import CHUNK, MANIFEST, Manifest

_log = logging.getLogger(__name__)

WRITE_EVERY_S: Final = 0.25
"""Chunks that are ready within a quarter of a second share one transaction, and one fsync."""
QUIET_NS: Final = 2_000_000_000
"""A stream that is silent this long is stored as far as it came."""
PREROLL_S: Final = 5.0
"""Kept in memory while nothing is recorded, so that motion opens a recording before the movement began."""
PASSED_BY_EVERY_S: Final = 60.0
"""How often the spans that belong to no recording are written down."""
REST_S: Final = 10.0
"""After Stop, movement opens nothing until somebody rested so long: who puts the sensor away still moves."""
AWAY_S: Final = 3600.0
"""A sensor with a memory that is out of range may be in the middle of the exercise: its recording waits for it,
but not for ever. Longer than any session; what comes later still is stored, as a recording of its own."""
_WAITING_LIMIT: Final = 256 << 20  # bytes of samples held while the outbox cannot write


@dataclass(slots=True)
class _Stream:
    spec: StreamSpec
    motion: MotionWatch
    memory_motion: MotionWatch
    ring: deque[SampleBlock] = field(default_factory=deque)
    ring_samples: int = 0


@dataclass(frozen=True, slots=True)
class _Sensor:
    placement: str
    has_flash: bool
    exercise: str | None


class Recorder:
    """The samples of all sensors of a gateway.

    exercise: of recordings for which neither Start nor the sensor that opens them names one. open_on_motion:
    movement alone opens a recording. on_stored(sensor, boot, up_to): everything of a boot below `up_to` is safe.
    on_life: a recording was opened or closed. Both are called in the event loop.
    """

    def __init__(
        self,
        outbox: Outbox,
        sealer: Sealer,
        life: RecordingLife,
        *,
        exercise: str | None = None,
        open_on_motion: bool = True,
        on_stored: Callable[[UUID, int, int], None] | None = None,
        on_life: Callable[[], None] = lambda: None,
    ) -> None:
        self._outbox = outbox
        self._sealer = sealer
        self._life = life
        self._exercise = exercise
        self._open_on_motion = open_on_motion
        self._on_stored = on_stored
        self._on_life = on_life
        self._sensors: dict[UUID, _Sensor] = {}
        self._streams: dict[StreamKey, _Stream] = {}
        self._names: dict[UUID, tuple[UUID, str]] = {}
        self._spans = StoredSpans()
        self._files = FileRecordings(life.another, outbox.recall)
        self._chunks: list[Chunk] = []
        self._manifests: list[Manifest] = []
        self._life_changed = False
        self._rest_first = False
        self._away: set[UUID] = set()
        self._moved_at = 0.0
        self._passed_by: set[StreamKey] = set()
        self._passed_by_at = time.monotonic()
        self._wake = asyncio.Event()
        self._writing = asyncio.Lock()
        self.dropped_samples = 0

    # --- what happens ------------------------------------------------------------------------------------

    def add_sensor(
        self,
        sensor: UUID,
        placement: str,
        *,
        has_flash: bool,
        has_files: bool = False,
        exercise: str | None = None,
    ) -> None:
        """A sensor of this gateway; which of its samples are stored is known from the outbox."""
        self._sensors[sensor] = _Sensor(placement, has_flash, exercise)
        self._spans.load(sensor, self._outbox.recall(f"kept:{sensor}"))
        if has_files:
            self._files.add_sensor(sensor)
        self.left(sensor)

    def place(self, sensor: UUID, placement: str, exercise: str | None) -> None:
        """From now on worn here, for this. A recording in which the sensor takes part ends if it is worn elsewhere."""
        known = self._sensors[sensor]
        if placement != known.placement:
            self._end_with(sensor)
        self._sensors[sensor] = replace(known, placement=placement, exercise=exercise)

    def remove_sensor(self, sensor: UUID) -> None:
        """The sensor is not of this home any more; its link has ended."""
        self._end_with(sensor)
        del self._sensors[sensor]
        self._away.discard(sensor)
        self._streams = {key: stream for key, stream in self._streams.items() if key.sensor != sensor}

    def boots(self, sensor: UUID) -> set[int]:
        """Numbers of the sensor's boots that are known; none may be given twice."""
        return self._spans.boots(sensor)

    def have(self, sensor: UUID) -> dict[tuple[str, int], Sequence[tuple[int, int]]]:
        """(stream, boot) -> spans (first, end) that need not be fetched from the sensor's memory."""
        return self._spans.have(sensor)

    def files(self, sensor: UUID) -> dict[str, int]:
        """Files of its memory (name -> bytes) that need not be fetched."""
        return self._files.fetched(sensor)

    def file_came(self, sensor: UUID, file: str, size: int) -> None:
        """A file is here as a whole: its recording is closed and goes to the outbox with the last samples."""
        self._end_file(sensor, self._files.come(sensor, file, size, time.monotonic()))

    def on_block(self, sensor: UUID, spec: StreamSpec, block: SampleBlock) -> None:
        """Samples of a sensor. Those that are here already are dropped."""
        key = StreamKey(sensor, block.stream, block.boot)
        stream = self._streams.get(key)
        if stream is None or (stream.spec is not spec and stream.spec != spec):
            stream = self._streams[key] = _Stream(spec, MotionWatch(spec), MotionWatch(spec))
            self._names[stream_id(sensor, spec.name)] = (sensor, block.stream)
        if block.flags & Flag.FILE:
            self._record_file(key, stream, block)
            return
        flash = bool(block.flags & Flag.FLASH)
        if not flash:
            self._watch_motion(key.sensor, stream, block)
        elif stream.memory_motion.feed(block):
            self._life.moved(time.monotonic())
        if self._life.recording is None:
            if not flash:
                self._keep_in_ring(key, stream, block)
                return
            if not self._life.was_recorded(key, block.first, block.first + len(block.values)):
                self.open("memory", sensor=sensor)
        self._record(key, stream, block, self._add)

    def open(
        self,
        by: str,
        *,
        exercise: str | None = None,
        recording: UUID | None = None,
        calibration: bool = False,
        sensor: UUID | None = None,
    ) -> UUID:
        """Open a recording, with what was seen in the last seconds. sensor: the one that opens it.

        An open one goes on, unless it is of the past, another name is wished, or one of the two is a calibration:
        whoever names a recording looks for it under that name, and it is of the exercise that is named with it.
        """
        if by != "memory" and self._life.opened_by == "memory":
            self.close("idle")
        named = calibration or self._life.is_calibration or recording is not None
        if named and self._life.recording != recording:
            self.close("stop")
        was_open = self._life.recording is not None
        exercise = exercise or (None if was_open else self._exercise_of(sensor))
        opened = self._life.open(
            by,
            datetime.now(UTC),
            time.monotonic(),
            exercise=exercise,
            recording=recording,
            calibration=calibration,
        )
        self._life_changed = True
        self._wake.set()
        self._on_life()
        if not was_open:
            _log.info("recording opened", extra={"recording": str(opened), "by": by})
            for key, stream in self._streams.items():
                blocks, stream.ring, stream.ring_samples = stream.ring, deque(), 0
                for block in blocks:
                    self._record(key, stream, block, self._add)
        return opened

    def close(self, by: str) -> None:
        """Close the open recording, if any: its last samples and its manifest go to the outbox together."""
        if self._life.recording is None:
            return
        for key, first, end in self._life.spans():
            if key.sensor not in self._sensors or not self._sensors[key.sensor].has_flash:
                self._lose(key, self._spans.missing(key, first, end))
        _log.info("recording closed", extra={"recording": str(self._life.recording), "by": by})
        self._rest_first = by == "stop"
        self._chunks += self._sealer.flush()
        manifest = self._life.close(by, datetime.now(UTC), time.monotonic())
        if manifest is not None:
            self._manifests.append(manifest)
        self._life_changed = True
        self._on_life()
        self._wake.set()

    def was_closed(self, recording: UUID) -> bool:
        """A recording of this name is over: a Start that comes late or twice does not open it again."""
        return self._life.was_closed(recording)

    def left(self, sensor: UUID) -> None:
        """The sensor's link has ended: what it measures now is in its memory, if it has one."""
        if self._sensors[sensor].has_flash:
            self._away.add(sensor)

    def resynced(self, sensor: UUID, lost: Iterable[tuple[str, int, int, int]]) -> None:
        """The sensor's memory was asked for everything; (stream, boot, first, last) are lost for ever."""
        self._away.discard(sensor)
        for name, boot, first, last in lost:
            self._lose(StreamKey(sensor, name, boot), [(first, last + 1)])
        if self._life.opened_by == "memory" and not self._waits_for():
            self.close("idle")

    def is_behind(self, sensor: UUID) -> bool:
        """What the sensor measured while its link was down may still be in its memory alone."""
        return sensor in self._away

    def watch(self, on: bool) -> None:
        """Somebody looks at the live page, or nobody does."""
        self._sealer.watch(on)

    @property
    def recording(self) -> UUID | None:
        """The open recording."""
        return self._life.recording

    @property
    def exercise(self) -> str | None:
        """The open recording's exercise."""
        return self._life.exercise

    def is_idle(self, now_s: float) -> bool:
        """Nobody moved for five minutes, nor while a sensor of the recording was out of range, for all we know."""
        return self._life.is_idle(now_s, AWAY_S if self._waits_for() else IDLE_S)

    def _waits_for(self) -> set[UUID]:
        """Sensors of the open recording whose memories may hold more of it."""
        return self._away & {key.sensor for key, _, _ in self._life.spans()}

    # --- to the outbox -----------------------------------------------------------------------------------

    async def run(self) -> None:
        """Store what is ready, for ever; when cancelled, everything that came is stored first."""
        try:
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(WRITE_EVERY_S):
                        await self._wake.wait()
                self._wake.clear()
                if self.is_idle(time.monotonic()):
                    self.close("idle")
                for sensor in self._files.given_up(time.monotonic()):
                    self._end_file(sensor, self._files.close(sensor, time.monotonic()))
                self._chunks += self._sealer.flush(quiet_ns=QUIET_NS)
                await self.store()
        finally:
            self._chunks += self._sealer.flush()
            self._pass_by_rings()
            await asyncio.shield(self.store())

    async def store(self) -> bool:
        """Everything that is ready, in one transaction: True once it is synced."""
        async with self._writing:
            passed_by: set[StreamKey] = set()
            if time.monotonic() - self._passed_by_at > PASSED_BY_EVERY_S:
                passed_by, self._passed_by = self._passed_by, set()
                self._passed_by_at = time.monotonic()
            files_changed = self._files.changed
            if not (self._chunks or self._manifests or self._life_changed or passed_by or files_changed):
                return True
            chunks, self._chunks = self._chunks, []
            manifests, self._manifests = self._manifests, []
            self._life_changed = False
            spans = [self._span(chunk) for chunk in chunks]
            state: dict[str, bytes | None] = {"life": self._life.state()}
            state.update(self._spans.states({key.sensor for key in passed_by}, spans))
            of_files, file_states = self._files.states()
            state.update(file_states)
            if not await asyncio.to_thread(self._put, chunks, manifests, state):
                self._chunks, self._manifests = chunks + self._chunks, manifests + self._manifests
                self._life_changed = True
                self._passed_by |= passed_by
                self._files.unwritten(of_files)
                self._limit_waiting()
                return False
            for key in self._spans.keep(spans) | passed_by:
                up_to = self._spans.safe_below(key)
                if self._on_stored is not None and up_to > 0:
                    self._on_stored(key.sensor, key.boot, up_to)
            return True

    def _put(
        self, chunks: Sequence[Chunk], manifests: Sequence[Manifest], state: Mapping[str, bytes | None]
    ) -> bool:
        entries = [Entry(str(chunk.key), CHUNK, encode(chunk)) for chunk in chunks]
        entries += [Entry(manifest.key, MANIFEST, manifest.to_json()) for manifest in manifests]
        return self._outbox.put(entries, state)

    def _span(self, chunk: Chunk) -> tuple[StreamKey, int, int]:
        sensor, name = self._names[chunk.stream]
        return StreamKey(sensor, name, chunk.boot), chunk.first, chunk.first + chunk.n

    def _limit_waiting(self) -> None:
        """Memory is not for ever either: beyond the limit the newest go, and are never called stored."""
        size = 0
        for place, chunk in enumerate(self._chunks):
            size += chunk.values.nbytes
            if size > _WAITING_LIMIT:
                self.dropped_samples += sum(each.n for each in self._chunks[place:])
                del self._chunks[place:]
                return

    # --- inside ------------------------------------------------------------------------------------------

    def _exercise_of(self, sensor: UUID | None) -> str | None:
        """What a recording is of when its opening names nothing."""
        known = None if sensor is None else self._sensors[sensor].exercise
        return known or self._exercise

    def _watch_motion(self, sensor: UUID, stream: _Stream, block: SampleBlock) -> None:
        if not stream.motion.feed(block):
            return
        now = time.monotonic()
        if now - self._moved_at >= REST_S:
            self._rest_first = False
        self._moved_at = now
        self._life.moved(now)
        may_open = self._open_on_motion and not self._rest_first and self._life.recording is None
        if may_open and stream.motion.moving:
            self.open("motion", sensor=sensor)

    def _keep_in_ring(self, key: StreamKey, stream: _Stream, block: SampleBlock) -> None:
        stream.ring.append(block)
        stream.ring_samples += len(block.values)
        limit = stream.spec.rate_hz * PREROLL_S
        while stream.ring_samples - len(stream.ring[0].values) >= limit:
            old = stream.ring.popleft()
            stream.ring_samples -= len(old.values)
            self._spans.pass_by(key, old.first, old.first + len(old.values))
            self._passed_by.add(key)

    def _pass_by_rings(self) -> None:
        """At the end: what belongs to no recording is written down, lest the next start fetches it as one."""
        for key, stream in self._streams.items():
            for block in stream.ring:
                self._spans.pass_by(key, block.first, block.first + len(block.values))
                self._passed_by.add(key)
        self._passed_by_at = -PASSED_BY_EVERY_S

    def _record_file(self, key: StreamKey, stream: _Stream, block: SampleBlock) -> None:
        """What a sensor recorded by itself, unless it was recorded live at the time."""
        if self._files.is_known(key.sensor, block.utc_ns):
            self._spans.pass_by(key, block.first, block.first + len(block.values))
            self._passed_by.add(key)
            self._end_file(key.sensor, self._files.close(key.sensor, time.monotonic()))
            return
        self._record(key, stream, block, self._add_to_file)

    def _add(self, key: StreamKey, placement: str, first: int, end: int) -> None:
        """Written down at once when a boot begins: a gateway that is killed now still knows that it was recorded."""
        if self._life.add(key, placement, first, end):
            self._life_changed = True
            self._wake.set()

    def _end_with(self, sensor: UUID) -> None:
        """A recording in which this sensor takes part ends."""
        if any(key.sensor == sensor for key, _, _ in self._life.spans()):
            self.close("removal")

    def _add_to_file(self, key: StreamKey, placement: str, first: int, end: int) -> None:
        self._files.add(key, placement, first, end, time.monotonic())

    def _end_file(self, sensor: UUID, manifest: Manifest | None) -> None:
        if manifest is not None:
            self._chunks += self._sealer.flush(sensor=sensor)
            _log.info("recording closed", extra={"recording": str(manifest.recording), "by": "memory"})
            self._manifests.append(manifest)
        self._wake.set()

    def _record(
        self,
        key: StreamKey,
        stream: _Stream,
        block: SampleBlock,
        add: Callable[[StreamKey, str, int, int], None],
    ) -> None:
        end = block.first + len(block.values)
        if not block.flags & Flag.FLASH:
            now_s = time.time()
            self._files.live(key.sensor, now_s - len(block.values) / stream.spec.rate_hz, now_s)
        for first, stop in self._spans.see(key, block.first, end):
            add(key, self._sensors[key.sensor].placement, first, stop)
            whole = (first, stop) == (block.first, end)
            part = block if whole else _part(block, first, stop, stream.spec.rate_hz)
            self._chunks += self._sealer.feed(key.sensor, stream.spec, part)

    def _lose(self, key: StreamKey, holes: list[tuple[int, int]]) -> None:
        for first, end in holes:
            self._spans.pass_by(key, first, end)
        if holes:
            self._manifests += self._life.lose(key, holes)
            self._passed_by.add(key)
            self._life_changed = True


def _part(block: SampleBlock, first: int, end: int, rate_hz: float) -> SampleBlock:
    """The samples first .. end - 1 of a block, its tick moved along."""
    skip = first - block.first
    tick = None if block.tick is None else block.tick + round(skip * block.tick_hz / rate_hz)
    return replace(block, first=first, values=block.values[skip : end - block.first], tick=tick)
