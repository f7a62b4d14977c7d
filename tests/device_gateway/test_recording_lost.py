"""What is lost of a recording is declared to its end, also where nobody ever saw that end."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest

from rtm_gateway.recording_life import RecordingLife
from rtm_gateway.stored_spans import StreamKey

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
