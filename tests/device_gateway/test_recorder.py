"""Recording's life and the recorder: what is stored, once, and what the manifest says of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtm_gateway import recorder as recorder_module
from rtm_gateway.drivers.driver import Flag, SampleBlock, StreamSpec
from rtm_gateway.motion import MotionWatch
from rtm_gateway.outbox import Outbox
from rtm_gateway.recorder import Recorder
from rtm_gateway.recording_life import IDLE_S, RecordingLife
from rtm_gateway.sealer import Sealer
from rtm_gateway.stored_spans import StreamKey
from rtm_signal.chunk import Channel, Chunk, decode
from rtm_signal.wire import CHUNK, Manifest

TENANT, GATEWAY, SENSOR, BOOT, RECORDING = (UUID(int=n) for n in range(31, 36))
NOW = datetime(2026, 3, 2, 10, tzinfo=UTC)
KEY = StreamKey(SENSOR, "imu", 1)
SPEC = StreamSpec(
    "imu",
    tuple(Channel(name, "m/s2", 0.01) for name in ("ax", "ay", "az"))
    + tuple(Channel(name, "rad/s", 0.01) for name in ("gx", "gy", "gz")),
    100.0,
    "int16",
    32768.0,
)


def block(
    first: int, k: int = 10, *, boot: int = 1, moving: bool = False, flags: Flag = Flag.NONE
) -> SampleBlock:
    index = np.arange(first, first + k)
    values = np.zeros((k, 6), np.int16)
    values[:, 2] = 981
    if moving:
        values[:, 3] = np.rint(300 * np.sin(index / 15))
    values[:, 5] = index % 3  # still, but each sample can be told
    return SampleBlock("imu", boot, first, values, index[0] * 328, 32768.0, int(index[0]) * 10_000_000, flags)


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    box = Outbox(tmp_path / "outbox.db", bytes(32), limit_bytes=1 << 28)
    yield box
    box.close()


MakeRecorder = Callable[..., Recorder]


@pytest.fixture
def make(outbox: Outbox) -> MakeRecorder:
    """A recorder as the next start of the gateway would make it."""

    def recorder(*, has_flash: bool = False, **options: object) -> Recorder:
        life = RecordingLife(TENANT, GATEWAY, outbox.recall("life"))
        made = Recorder(outbox, Sealer(TENANT, BOOT), life, **options)  # type: ignore[arg-type]  # by keyword
        made.add_sensor(SENSOR, "wrist", has_flash=has_flash)
        return made

    return recorder


def stored(outbox: Outbox) -> tuple[list[Chunk], list[Manifest]]:
    outbox.rewind()
    entries = outbox.take(1 << 28, 0.0)
    chunks = [decode(each.data) for each in entries if each.kind == CHUNK]
    return chunks, [Manifest.from_json(each.data) for each in entries if each.kind != CHUNK]


def indices(chunks: list[Chunk], boot: int = 1) -> list[int]:
    return sorted(i for each in chunks if each.boot == boot for i in range(each.first, each.first + each.n))


def feed(recorder: Recorder, first: int, end: int, **options: object) -> None:
    for at in range(first, end, 10):
        recorder.on_block(SENSOR, SPEC, block(at, **options))  # type: ignore[arg-type]  # by keyword


def is_open(recorder: Recorder) -> bool:
    return recorder.recording is not None


def test_a_recording_becomes_chunks_and_a_manifest(make: MakeRecorder, outbox: Outbox) -> None:
    recorder = make()
    recorder.open("start", exercise="squat", recording=RECORDING)
    feed(recorder, 0, 1230)
    recorder.close("stop")
    assert asyncio.run(recorder.store())
    chunks, (manifest,) = stored(outbox)
    assert sorted((each.first, each.n) for each in chunks) == [(0, 500), (500, 500), (1000, 230)]
    assert (manifest.recording, manifest.exercise, manifest.closed_by) == (RECORDING, "squat", "stop")
    assert [(s.sensor, s.boot, s.first, s.last, s.lost) for s in manifest.streams] == [
        (SENSOR, 1, 0, 1229, ())
    ]


def test_without_a_recording_nothing_is_stored_but_the_last_seconds_are_at_hand(
    make: MakeRecorder, outbox: Outbox
) -> None:
    recorder = make()
    feed(recorder, 0, 3000)
    assert asyncio.run(recorder.store())
    assert outbox.pending() == 0
    recorder.open("start")
    feed(recorder, 3000, 3100)
    recorder.close("stop")
    asyncio.run(recorder.store())
    assert indices(stored(outbox)[0]) == list(range(2500, 3100))


def test_a_start_that_names_a_recording_is_not_lost_in_the_one_that_movement_opened(
    make: MakeRecorder, outbox: Outbox
) -> None:
    """The page looks for its set under the name it gave, of the exercise it named."""
    recorder = make(exercise="squat")
    feed(recorder, 0, 2000)
    feed(recorder, 2000, 2400, moving=True)
    found = recorder.recording
    assert recorder.exercise == "squat"
    assert recorder.open("start", exercise="bridge", recording=RECORDING) == RECORDING
    assert recorder.open("start", exercise="squat", recording=RECORDING) == RECORDING, (
        "sent twice: it goes on"
    )
    assert recorder.open("button") == RECORDING
    feed(recorder, 2400, 3000, moving=True)
    recorder.close("stop")
    asyncio.run(recorder.store())
    told = {each.recording: each.exercise for each in stored(outbox)[1]}
    assert told == {found: "squat", RECORDING: "bridge"}


def test_movement_begins_what_the_sensor_that_moves_is_worn_for(make: MakeRecorder) -> None:
    recorder = make(exercise="squat")
    recorder.place(SENSOR, "wrist", "biceps_curl")
    feed(recorder, 0, 2000)
    feed(recorder, 2000, 2400, moving=True)
    assert recorder.exercise == "biceps_curl"
    recorder.close("stop")
    recorder.open("start")
    assert recorder.exercise == "squat", "nobody named anything: the gateway's own"


def test_movement_opens_a_recording_before_it_began(make: MakeRecorder, outbox: Outbox) -> None:
    recorder = make()
    feed(recorder, 0, 2000)
    assert not is_open(recorder)
    feed(recorder, 2000, 2400, moving=True)
    assert is_open(recorder)
    recorder.close("stop")
    asyncio.run(recorder.store())
    first = indices(stored(outbox)[0])[0]
    assert 1600 <= first <= 1800


def test_a_recording_nobody_named_is_of_the_gateways_exercise(make: MakeRecorder, outbox: Outbox) -> None:
    recorder = make(exercise="bridge")
    recorder.open("start", exercise="squat")
    assert recorder.exercise == "squat"
    recorder.close("stop")
    recorder.open("button")
    assert recorder.exercise == "bridge"


def test_after_stop_movement_opens_nothing_until_somebody_rested(
    make: MakeRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = make()
    feed(recorder, 0, 500, moving=True)
    assert is_open(recorder)
    recorder.close("stop")
    feed(recorder, 500, 1000, moving=True)
    assert not is_open(recorder)
    monkeypatch.setattr(recorder_module, "REST_S", 0.0)
    feed(recorder, 1000, 1500, moving=True)
    assert is_open(recorder)


def test_movement_opens_nothing_where_it_should_not(make: MakeRecorder) -> None:
    recorder = make(open_on_motion=False)
    feed(recorder, 0, 1000, moving=True)
    assert recorder.recording is None


def test_holes_are_declared_lost_at_once_only_where_no_memory_may_fill_them(
    make: MakeRecorder, outbox: Outbox
) -> None:
    recorder = make(has_flash=False)
    recorder.open("start")
    feed(recorder, 0, 100)
    feed(recorder, 150, 300)
    recorder.close("stop")
    asyncio.run(recorder.store())
    (manifest,) = stored(outbox)[1]
    assert manifest.streams[0].lost == ((100, 149),)


def test_what_the_memory_no_longer_had_is_a_revision(make: MakeRecorder, outbox: Outbox) -> None:
    recorder = make(has_flash=True)
    recorder.open("start")
    feed(recorder, 0, 100)
    feed(recorder, 200, 300)
    recorder.close("stop")
    feed(recorder, 100, 150, flags=Flag.FLASH)
    recorder.resynced(SENSOR, [("imu", 1, 150, 199)])
    asyncio.run(recorder.store())
    assert recorder.recording is None, "late data open no recording of their own"
    chunks, manifests = stored(outbox)
    assert indices(chunks) == [*range(100), *range(200, 300)], "the late chunk is not cut yet"
    assert sorted((each.revision, each.streams[0].lost) for each in manifests) == [
        (1, ()),
        (2, ((150, 199),)),
    ]


def test_samples_found_in_a_memory_are_a_recording(make: MakeRecorder, outbox: Outbox) -> None:
    recorder = make(has_flash=True)
    feed(recorder, 0, 700, flags=Flag.FLASH)
    assert recorder.recording is not None
    recorder.resynced(SENSOR, [])
    asyncio.run(recorder.store())
    chunks, (manifest,) = stored(outbox)
    assert indices(chunks) == list(range(700))
    assert manifest.closed_by == "idle"


def test_nothing_is_taken_twice(make: MakeRecorder, outbox: Outbox) -> None:
    """Live, then the same and more from memory; then again after a restart."""
    recorder = make(has_flash=True)
    recorder.open("start")
    feed(recorder, 100, 200)
    feed(recorder, 50, 250, flags=Flag.FLASH)
    recorder.close("stop")
    asyncio.run(recorder.store())
    again = make(has_flash=True)
    assert again.have(SENSOR) == {("imu", 1): [(50, 250)]}
    again.open("start")
    feed(again, 0, 300)
    again.close("stop")
    asyncio.run(again.store())
    assert indices(stored(outbox)[0]) == list(range(300))


def test_a_block_that_is_partly_here_keeps_its_tick(make: MakeRecorder, outbox: Outbox) -> None:
    recorder = make()
    recorder.open("start")
    recorder.on_block(SENSOR, SPEC, block(0, 10))
    recorder.on_block(SENSOR, SPEC, block(5, 10))
    recorder.close("stop")
    asyncio.run(recorder.store())
    ((chunk,), _) = stored(outbox)
    assert chunk.n == 15
    assert chunk.anchors.offset.tolist() == [0, 10]
    assert chunk.anchors.tick.tolist() == [0, 5 * 328 + round(5 * 327.68)]


def test_a_killed_gateway_goes_on_with_the_same_recording(make: MakeRecorder, outbox: Outbox) -> None:
    recorder = make(has_flash=True)
    recorder.open("start", exercise="squat", recording=RECORDING)
    feed(recorder, 0, 1230)
    asyncio.run(recorder.store())  # the last 230 samples are still in memory: lost with the process
    again = make(has_flash=True)
    assert (again.recording, again.exercise) == (RECORDING, "squat")
    assert again.have(SENSOR) == {("imu", 1): [(0, 1000)]}
    feed(again, 1000, 1300, flags=Flag.FLASH)
    again.close("stop")
    asyncio.run(again.store())
    chunks, (manifest,) = stored(outbox)
    assert indices(chunks) == list(range(1300))
    assert (manifest.streams[0].first, manifest.streams[0].last) == (0, 1299)


def test_the_sensor_may_forget_only_what_is_stored_without_a_hole(make: MakeRecorder, outbox: Outbox) -> None:
    told: list[tuple[UUID, int, int]] = []
    recorder = make(has_flash=True, on_stored=lambda *what: told.append(what))
    recorder.open("start")
    feed(recorder, 0, 500)
    put, outbox.put = outbox.put, lambda *_: False  # type: ignore[method-assign]  # a full disk
    assert not asyncio.run(recorder.store())
    assert told == []
    outbox.put = put  # type: ignore[method-assign]  # there is room again
    assert asyncio.run(recorder.store())
    assert told == [(SENSOR, 1, 500)]
    feed(recorder, 600, 1000)
    recorder.close("stop")
    asyncio.run(recorder.store())
    assert told[1:] == [(SENSOR, 1, 500)], "500..599 are missing"


def test_what_cannot_be_stored_for_long_is_counted(
    make: MakeRecorder, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder_module, "_WAITING_LIMIT", 3 * 500 * 12)
    recorder = make()
    recorder.open("start")
    put, outbox.put = outbox.put, lambda *_: False  # type: ignore[method-assign]  # a full disk
    for first in range(0, 5000, 500):
        feed(recorder, first, first + 500)
        assert not asyncio.run(recorder.store())
    outbox.put = put  # type: ignore[method-assign]  # there is room again
    asyncio.run(recorder.store())
    assert indices(stored(outbox)[0]) == list(range(1500))
    assert recorder.dropped_samples == 3500


def test_a_cancelled_run_stores_what_came_first(make: MakeRecorder, outbox: Outbox) -> None:
    async def scenario() -> None:
        recorder = make()
        task = asyncio.create_task(recorder.run())
        await asyncio.sleep(0)
        recorder.open("start")
        feed(recorder, 0, 130)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(scenario())
    assert indices(stored(outbox)[0]) == list(range(130))


@given(
    st.lists(st.tuples(st.integers(0, 400), st.integers(1, 40), st.booleans()), min_size=1, max_size=40),
    st.integers(0, 39),
)
@settings(max_examples=25, deadline=None)
def test_stored_and_lost_are_exactly_the_recording(
    tmp_path_factory: pytest.TempPathFactory, blocks: list[tuple[int, int, bool]], kill_at: int
) -> None:
    """Blocks in any order, overlapping, live or from memory, a restart somewhere: complete, and nothing twice."""
    outbox = Outbox(tmp_path_factory.mktemp("box") / "outbox.db", bytes(32), limit_bytes=1 << 28)

    def start() -> Recorder:
        life = RecordingLife(TENANT, GATEWAY, outbox.recall("life"))
        made = Recorder(outbox, Sealer(TENANT, BOOT), life)
        made.add_sensor(SENSOR, "wrist", has_flash=False)
        return made

    recorder = start()
    recorder.open("start")
    for number, (first, k, flash) in enumerate(blocks):
        recorder.on_block(SENSOR, SPEC, block(first, k, flags=Flag.FLASH if flash else Flag.NONE))
        if number == kill_at:
            asyncio.run(recorder.store())
            recorder = start()
    recorder.close("stop")
    asyncio.run(recorder.store())
    chunks, manifests = stored(outbox)
    outbox.close()
    held = indices(chunks)
    assert len(held) == len(set(held))
    for stream in (stream for manifest in manifests for stream in manifest.streams):
        lost = [i for low, high in stream.lost for i in range(low, high + 1)]
        assert sorted([*lost, *held]) == list(range(stream.first, stream.last + 1))


# --- life and motion, alone --------------------------------------------------------------------------------


def test_five_idle_minutes_close_a_recording() -> None:
    life = RecordingLife(TENANT, GATEWAY)
    assert not life.is_idle(1e9)
    life.open("start", NOW, 100.0)
    life.moved(150.0)
    assert not life.is_idle(150.0 + IDLE_S - 1)
    assert life.is_idle(150.0 + IDLE_S)


def test_an_empty_recording_leaves_no_trace() -> None:
    life = RecordingLife(TENANT, GATEWAY)
    life.open("button", NOW, 0.0)
    assert life.close("stop", NOW) is None
    assert life.close("stop", NOW) is None


def test_a_life_comes_back_from_its_state() -> None:
    life = RecordingLife(TENANT, GATEWAY)
    life.open("start", NOW, 0.0)
    life.add(KEY, "wrist", 5, 50)
    life.close("stop", NOW + timedelta(minutes=3))
    opened = life.open("motion", NOW + timedelta(hours=1), 0.0, exercise="squat")
    life.add(KEY, "wrist", 60, 90)
    again = RecordingLife(TENANT, GATEWAY, life.state())
    assert again.state() == life.state()
    assert (again.recording, again.exercise, again.opened_by) == (opened, "squat", "motion")
    (revised,) = again.lose(KEY, [(40, 70)])
    assert (revised.revision, revised.streams[0].lost) == (2, ((40, 49),))
    closed = again.close("idle", NOW + timedelta(hours=2))
    assert closed is not None
    assert (closed.revision, closed.streams[0].lost) == (1, ((60, 69),))


@pytest.mark.parametrize("moving", [False, True])
def test_motion_is_two_of_three_seconds(moving: bool) -> None:
    watch = MotionWatch(SPEC)
    said = [watch.feed(block(first, moving=moving)) for first in range(0, 300, 10)]
    assert sum(said) == (3 if moving else 0)
    assert watch.moving is moving
