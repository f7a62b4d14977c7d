"""A full memory overwrites itself while it is read: what it still has is fetched, and only the rest is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from bleak.backends.device import BLEDevice

from rtm_gateway.drivers.driver import Flag, SampleBlock, StoredRun
from rtm_gateway.drivers.homestretch import HomestretchDriver
from rtm_gateway.link import Event, LinkEvent, LinkPolicy, SensorLink

END, MOST = 5000, 1000


class Overwriting(HomestretchDriver):
    """Lists everything at first; while it is read, all below `oldest` goes. `deaf`: it gives nothing at all."""

    def __init__(self, oldest: int, *, deaf: bool = False) -> None:
        super().__init__()
        self.oldest, self.deaf = oldest, deaf
        self.listed = 0
        self.link: SensorLink | None = None

    async def stored(self, _port: Any) -> Sequence[StoredRun]:
        self.listed += 1
        return [StoredRun("imu", 7, 0 if self.listed == 1 else self.oldest, END)]

    async def download(self, _port: Any, _run: StoredRun, first: int, last: int) -> None:
        first, last = max(first, self.oldest), min(last, first + MOST - 1)
        if first <= last and not self.deaf and self.link is not None:
            values = np.zeros((last - first + 1, 6), np.int16)
            self.link._hand_on(SampleBlock("imu", 7, first, values, 0, 32768.0, 0, Flag.FLASH))


def resync(driver: Overwriting) -> tuple[set[int], list[tuple[int, int]]]:
    """(indices that came, spans told lost)."""
    came: set[int] = set()
    events: list[LinkEvent] = []

    def on_block(block: SampleBlock) -> None:
        came.update(range(block.first, block.first + len(block.values)))

    async def story() -> None:
        link = driver.link = SensorLink(
            BLEDevice("C0:00:00:00:00:01", None, None), driver, radio=SimpleNamespace(),  # type: ignore[arg-type]  # unused
            on_block=on_block, on_event=events.append, have={("imu", 7): [(0, 10)]}, policy=LinkPolicy(settle_s=0.0),
        )  # fmt: skip
        await link._resync(SimpleNamespace())  # type: ignore[arg-type]  # the driver's own

    asyncio.run(story())
    (event,) = [each for each in events if each.kind is Event.RESYNCED]
    return came, [(span.first, span.last) for span in event.spans]


@pytest.mark.parametrize("oldest", [0, 500, 1500, 4990])
def test_what_is_still_there_is_fetched_and_the_rest_is_one_gap(oldest: int) -> None:
    came, lost = resync(Overwriting(oldest))
    assert came == set(range(max(oldest, 10), END))
    assert lost == ([(10, oldest - 1)] if oldest > 10 else [])


def test_what_is_listed_and_never_given_is_lost() -> None:
    came, lost = resync(Overwriting(0, deaf=True))
    assert (came, lost) == (set(), [(10, END - 1)])
