"""The gateway of a negative control: the real one with one mistake, named on the command line."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any
from uuid import UUID

from homestretch import parent
from rtm_gateway import app, outbox_database, recorder, sensors
from rtm_gateway.outbox import Entry, Outbox
from rtm_gateway.recorder import Recorder
from rtm_gateway.settings import GatewaySettings
from rtm_gateway.uplink import Uplink


def _put_in(place: Any, name: str, mistake: object) -> None:
    setattr(place, name, mistake)


def delete_on_puback() -> None:
    """The broker's word is taken for the server's."""
    taken: list[str] = []
    take, published = Outbox.take, Uplink._published

    def taking(self: Outbox, max_bytes: int, now: float) -> list[Entry]:
        entries = take(self, max_bytes, now)
        taken.extend(entry.key for entry in entries)
        return entries

    def deleting(self: Uplink, client: Any, userdata: Any, mid: int, *rest: Any) -> None:
        published(self, client, userdata, mid, *rest)
        self._outbox.committed(taken)
        taken.clear()

    _put_in(Outbox, "take", taking)
    _put_in(Uplink, "_published", deleting)


def free_before_stored() -> None:
    """The sensor is told to forget what has only been received, and what was received is stored late."""
    on_block = Recorder.on_block
    _put_in(
        sensors, "FREE_EVERY_S", 0.2
    )  # not 0: commands would queue, and each would free what was long stored
    _put_in(recorder, "WRITE_EVERY_S", 60.0)  # else a kill may fall between a store and the next samples

    def freeing(self: Recorder, sensor: UUID, spec: Any, block: Any) -> None:
        on_block(self, sensor, spec, block)
        if self._on_stored is not None:
            self._on_stored(sensor, block.boot, block.first + len(block.values))

    _put_in(Recorder, "on_block", freeing)


def no_fsync() -> None:
    """The outbox's commits are left to the operating system. kill -9 cannot see this; `pragma synchronous` can."""
    lazy = (p.replace("synchronous = full", "synchronous = off") for p in outbox_database._PRAGMAS)
    _put_in(outbox_database, "_PRAGMAS", tuple(lazy))


MISTAKES: dict[str, Callable[[], None]] = {
    "delete-on-puback": delete_on_puback,
    "free-before-stored": free_before_stored,
    "no-fsync": no_fsync,
}

if __name__ == "__main__":
    parent.exit_with_parent()
    MISTAKES[sys.argv[1]]()
    asyncio.run(app.run(GatewaySettings()))
