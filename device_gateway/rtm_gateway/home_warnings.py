"""What the person at home should know: battery, sensors worn wrongly, sensors of somebody else.

Nothing here names a person or an exercise: it goes into the status topic and onto the status page.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final
from uuid import UUID

from rtm_gateway.drivers.driver import SampleBlock, StreamSpec
from rtm_gateway.link_event import Event, LinkEvent
from rtm_gateway.nearby import BATTERY_LOW
from rtm_gateway.outbox import Outbox
from rtm_gateway.settings import SensorSettings
from rtm_gateway.worn import WornWatch

_log = logging.getLogger(__name__)

STATE: Final = "worn"
"""The outbox's name for the references of how the sensors are worn."""
_LOOK_EVERY_S: Final = 10.0


class HomeWarnings:
    """The warnings of one gateway: fed by its sensors, read by status topic and status page."""

    def __init__(self, sensors: tuple[SensorSettings, ...], outbox: Outbox) -> None:
        self._outbox = outbox
        self._places = {each.sensor: each.placement for each in sensors}
        self._worn: WornWatch | None = WornWatch(self._places, outbox.recall(STATE))
        self._said: dict[tuple[UUID, str], str] = {}

    def assign(self, sensors: tuple[SensorSettings, ...]) -> None:
        """These sensors, worn like this from now on: what was seen of earlier places is no reference any more."""
        places = {each.sensor: each.placement for each in sensors}
        if self._worn is not None and places != self._places:
            self._worn = WornWatch(places)
        self._places = places
        self._said = {(key, kind): what for (key, kind), what in self._said.items() if key in places}

    async def run(self) -> None:
        """Look at how the sensors are worn, now and then."""
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            worn = self._worn
            if worn is None:
                return
            try:
                fresh = worn.look()
            except Exception:  # whatever is wrong with the looking must not cost a sample
                self._give_up()
                continue
            if fresh:
                await asyncio.to_thread(self._outbox.put, [], {STATE: worn.state()})

    def on_block(
        self,
        recording: UUID | None,
        exercise: str | None,
        sensor: UUID,
        spec: StreamSpec,
        block: SampleBlock,
    ) -> None:
        """Samples of a sensor."""
        if self._worn is None:
            return
        try:
            self._worn.on_block(recording, exercise, sensor, spec, block)
        except Exception:  # as above
            self._give_up()

    def on_event(self, sensor: SensorSettings, event: LinkEvent) -> None:
        """What a link tells."""
        place = sensor.placement.replace("_", " ")
        if event.kind is Event.CONNECTED:
            self._say(sensor, "refused", None)
        elif event.kind is Event.RATE:
            what = f"The sensor on your {place} measures at another speed than it should. Please tell your clinic."
            self._say(sensor, "rate", what)
        elif event.kind is Event.REFUSED and (sensor.sensor, "rate") not in self._said:
            self._say(sensor, "refused", f"The sensor found for your {place} may be somebody else's.")
        elif event.kind is Event.BATTERY and event.value is not None:
            low = event.value < BATTERY_LOW
            self._say(
                sensor, "battery", f"The battery of the sensor on your {place} is low." if low else None
            )

    def current(self) -> list[dict[str, Any]]:
        """`sensor` (None where several are meant), `kind` (battery, rate, refused, worn) and `what`, one sentence."""
        said: list[dict[str, Any]] = [
            {"sensor": str(key), "kind": kind, "what": what} for (key, kind), what in self._said.items()
        ]
        if self._worn is not None and self._worn.problem is not None:
            said.append({"sensor": None, "kind": "worn", "what": self._worn.problem})
        return said

    def _give_up(self) -> None:
        _log.exception(
            "how the sensors are worn cannot be judged; it is off until the gateway is started anew"
        )
        self._worn = None

    def _say(self, sensor: SensorSettings, kind: str, what: str | None) -> None:
        if what is None:
            self._said.pop((sensor.sensor, kind), None)
        else:
            self._said[sensor.sensor, kind] = what
