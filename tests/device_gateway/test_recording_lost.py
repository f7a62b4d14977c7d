"""What is lost of a recording is declared to its end, also where nobody ever saw that end."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest

from rtm_gateway.drivers.driver import SampleBlock, StreamSpec
from rtm_gateway.outbox import Outbox
from rtm_gateway.recorder import PASSED_BY_EVERY_S, Recorder
from rtm_gateway.recording_life import RecordingLife
from rtm_gateway.sealer import Sealer
from rtm_gateway.stored_spans import StreamKey
from rtm_signal.chunk import Channel

TENANT, GATEWAY, SENSOR = UUID(int=1), UUID(int=2), UUID(int=3)
NOW = datetime(2026, 3, 1, tzinfo=UTC)
KEY, NEXT, BEFORE = StreamKey(SENSOR, "imu", 7), StreamKey(SENSOR, "imu", 8), StreamKey(SENSOR, "imu", 6)
Declared = dict[int, tuple[int, int, tuple[tuple[int, int], ...]]]


@pytest.fixture
def life() -> RecordingLife:
    """Boot 7 gave samples 0 to 99 to the open recording."""
    opened = RecordingLife(TENANT, GATEWAY)
    opened.open("start", NOW, 0.0)
    assert opened.add(KEY, "wrist", 0, 50)
    assert not opened.add(KEY, "wrist", 50, 100)
    return opened


def declared(life: RecordingLife) -> Declared:
    """Boot -> first, last, lost."""
    manifest = life.close("stop", NOW)
    assert manifest is not None
    return {each.boot: (each.first, each.last, each.lost) for each in manifest.streams}


def test_the_end_of_a_boot_is_part_of_it(life: RecordingLife) -> None:
    life.lose(KEY, [(100, 160)])
    assert declared(life) == {7: (0, 159, ((100, 159),))}


def test_so_is_an_end_that_was_seen_in_part_and_never_stored(life: RecordingLife) -> None:
    """Seed 829 of the campaign: the gateway was killed between the samples and their storing."""
    life.lose(KEY, [(70, 160)])
    assert declared(life) == {7: (0, 159, ((70, 159),))}


def test_a_boot_of_which_nothing_came_is_lost_as_a_whole(life: RecordingLife) -> None:
    life.lose(NEXT, [(0, 30)])
    assert declared(life) == {7: (0, 99, ()), 8: (0, 29, ((0, 29),))}


def test_what_was_lost_before_the_recording_or_after_it_is_not(life: RecordingLife) -> None:
    life.lose(BEFORE, [(0, 30)])
    life.lose(StreamKey(UUID(int=9), "imu", 8), [(0, 30)])
    life.lose(KEY, [(120, 160)])  # between, other samples were passed by
    assert declared(life) == {7: (0, 99, ())}
    assert life.lose(KEY, [(100, 160)]) == []
    assert life.lose(NEXT, [(0, 30)]) == []


# --- through the recorder ----------------------------------------------------------------------------------

SPEC = StreamSpec("imu", (Channel("ax", "m/s2", 0.01),), 100.0, "int16", 32768.0)


def block(first: int, k: int) -> SampleBlock:
    return SampleBlock("imu", 7, first, np.zeros((k, 1), np.int16), first * 328, 32768.0, first)


def recorder(outbox: Outbox, told: list[tuple[UUID, int, int]]) -> Recorder:
    """As the next start of the gateway makes it."""
    life = RecordingLife(TENANT, GATEWAY, outbox.recall("life"))
    made = Recorder(
        outbox,
        Sealer(TENANT, UUID(int=4)),
        life,
        open_on_motion=False,
        on_stored=lambda *what: told.append(what),
    )
    made.add_sensor(SENSOR, "wrist", has_flash=True)
    return made


def test_a_gateway_killed_at_a_boots_first_samples_knows_that_they_were_recorded(tmp_path: Path) -> None:
    """Seed 543: the memory had overwritten them when it came back, and the gap stood in no manifest."""
    outbox = Outbox(tmp_path / "outbox.db", bytes(32), limit_bytes=1 << 28)
    first = recorder(outbox, [])
    first.open("start")
    asyncio.run(first.store())
    first.on_block(SENSOR, SPEC, block(0, 10))  # no chunk is full yet
    asyncio.run(first.store())
    again = recorder(outbox, [])
    again.on_block(SENSOR, SPEC, block(1000, 500))
    again.resynced(SENSOR, [("imu", 7, 0, 999)])
    again.close("stop")
    (manifest,) = again._manifests
    assert [(each.first, each.last, each.lost) for each in manifest.streams] == [(0, 1499, ((0, 999),))]
    outbox.close()


def test_a_memory_is_freed_of_what_is_passed_by_too(tmp_path: Path) -> None:
    """Somebody who wears a sensor all day and exercises once must not find its memory full."""
    outbox = Outbox(tmp_path / "outbox.db", bytes(32), limit_bytes=1 << 28)
    told: list[tuple[UUID, int, int]] = []
    idle = recorder(outbox, told)
    for at in range(0, 2000, 10):
        idle.on_block(SENSOR, SPEC, block(at, 10))
    asyncio.run(idle.store())
    assert told == [], "not written down yet"
    idle._passed_by_at -= PASSED_BY_EVERY_S + 1
    asyncio.run(idle.store())
    assert told == [(SENSOR, 7, 1500)], "the last five seconds may belong to what comes"
    assert recorder(outbox, []).have(SENSOR) == {("imu", 7): [(0, 1500)]}
    outbox.close()
