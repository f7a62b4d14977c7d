"""`rtm gateway setup`: which sensor is worn where, found by waving it, and written into the settings.

A sensor is bound by its address and by the serial number it gives at first sight. Nothing is written before every
place has its sensor.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol
from uuid import UUID

from pydantic import ValidationError

from rtm_gateway.drivers import DRIVERS, SampleBlock, StreamSpec
from rtm_gateway.home_warnings import STATE as WORN
from rtm_gateway.keys import load_or_create_key
from rtm_gateway.link import LINK_ERRORS
from rtm_gateway.nearby import BATTERY_LOW, NearbySensor, look
from rtm_gateway.outbox import Outbox
from rtm_gateway.radio import Radio, open_radio
from rtm_gateway.sensor_file import write_sensors
from rtm_gateway.settings import GatewaySettings, SensorSettings
from rtm_gateway.wave import Judgement, Verdict, WaveWatch

SETTINGS_FILE: Final = Path("rtm.toml")
ATTEMPTS: Final = 5
_LOOK_S: Final = 5.0
_CONNECT_S: Final = 30.0
_TICK_S: Final = 0.1
MOST_SENSORS: Final = 10
"""That a radio keeps connected at once: five to ten, says who sells them; nobody wears more."""


class SetupError(ValueError):
    """The set-up cannot be finished; the message is one plain sentence."""


class Desk(Protocol):
    """Who is asked."""

    def say(self, text: str) -> None:
        """Tell something."""

    async def ask(self, question: str) -> str:
        """Ask something. Raises SetupError when nobody answers."""
        ...


@dataclass(frozen=True, slots=True)
class Place:
    """A sensor of the clinic and where it is to be worn; profile and serial where they are known already."""

    sensor: UUID
    placement: str
    profile: str | None = None
    serial: str | None = None


class Terminal:
    """Standard input and output. With `yes`, questions are not asked: what was seen is taken."""

    def say(self, text: str) -> None:
        """Print."""
        print(text, flush=True)

    async def ask(self, question: str) -> str:
        """Print the question and read a line; a reader of its own, so that Ctrl-C need not wait for a line."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[str] = loop.create_future()

        def give(line: str) -> None:
            if not answer.done():
                answer.set_result(line)

        def read() -> None:
            line = sys.stdin.readline()
            with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
                loop.call_soon_threadsafe(give, line)

        print(question, end=" ", flush=True)
        threading.Thread(target=read, name="answer", daemon=True).start()
        line = await answer
        if not line:
            raise SetupError("There was no answer; --yes goes on without questions.")
        return line.strip()


def places_from(sensors: Sequence[UUID], placements: Sequence[str], settings: GatewaySettings) -> list[Place]:
    """What is to be bound: the options, else the settings' sensors without a bound address, else all of them.

    Raises SetupError where options do not pair up.
    """
    if len(sensors) != len(placements):
        raise SetupError("Give one --placement for each --sensor.")
    if sensors:
        known = {each.sensor: each for each in settings.sensors}
        return [
            Place(sensor, placement, serial=known[sensor].serial if sensor in known else None)
            for sensor, placement in zip(sensors, placements, strict=True)
        ]
    unbound = [each for each in settings.sensors if each.address is None] or list(settings.sensors)
    # A serial that the clinic wrote down before the first binding must be met; binding anew may bring another.
    return [
        Place(each.sensor, each.placement, serial=None if each.address else each.serial) for each in unbound
    ]


async def run(
    settings: GatewaySettings,
    places: Sequence[Place],
    *,
    yes: bool = False,
    desk: Desk | None = None,
    radio: Radio | None = None,
    path: Path = SETTINGS_FILE,
    patience_s: float = 20.0,
    look_s: float = _LOOK_S,
) -> tuple[SensorSettings, ...]:
    """Bind each place's sensor and write the settings; returns the whole new list. Raises SetupError."""
    desk = desk or Terminal()
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    radio = radio or open_radio(settings.radio, settings.data_dir / "radio")
    places = list(places) or [await _ask_place(desk)]
    setup = _Setup(settings, desk, radio, yes=yes, patience_s=patience_s)
    try:
        await setup.find(look_s)
        for place in places:
            await setup.bind(place)
        sensors = setup.sensors(places)
        write_sensors(path, sensors)
        desk.say(f"\nDone. {path.name} now names {_many(len(sensors), 'sensor')}.")
        return sensors
    finally:
        await setup.close()
        await radio.close()


class _Setup:
    """The sensors in range and which of them have a place."""

    def __init__(
        self, settings: GatewaySettings, desk: Desk, radio: Radio, *, yes: bool, patience_s: float
    ) -> None:
        self._settings = settings
        self._desk = desk
        self._radio = radio
        self._yes = yes
        self._patience_s = patience_s
        self._nearby: list[NearbySensor] = []
        self._bound: dict[UUID, tuple[NearbySensor, SensorSettings]] = {}
        self._watch: WaveWatch[NearbySensor] = WaveWatch(())

    async def find(self, look_s: float) -> None:
        """Look around, connect to every sensor, say what there is."""
        self._desk.say("Looking for sensors ...")
        try:
            found = await look(self._radio, look_s)
        except LINK_ERRORS as error:
            what = (
                error.args[0] if error.args else type(error).__name__
            )  # bleak adds its reason as a second one
            raise SetupError(f"The radio cannot look for sensors: {what}.") from error
        if not found:
            raise SetupError(
                "No sensor is in range. Wake the sensors, bring them near, and stop `rtm gateway` if it runs:"
                " a connected sensor cannot be found."
            )
        if len(found) > MOST_SENSORS:
            raise SetupError(
                f"{len(found)} sensors are in range, more than can be told apart. Switch off those that are not"
                f" meant, or go where there are {MOST_SENSORS} at most."
            )
        self._nearby = [NearbySensor(*each, self._radio, self._on_block) for each in found]
        self._desk.say(f"Found {_many(len(found), 'sensor')}. Connecting ...")
        for sensor in self._nearby:
            sensor.start()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CONNECT_S):
                for sensor in self._nearby:
                    await sensor.settled.wait()
        for number, sensor in enumerate(self._nearby, start=1):
            self._desk.say(f"  {number}. {self._describe(sensor)}")
        if not any(sensor.ready for sensor in self._nearby):
            raise SetupError("None of the sensors could be connected.")

    async def bind(self, place: Place) -> None:
        """Find the sensor of one place. Raises SetupError after too many attempts."""
        where = place.placement.replace("_", " ").upper()
        for _ in range(ATTEMPTS):
            self._desk.say(
                f"\nMove the sensor for the {where}: wave it for five seconds.\nLeave all other sensors still."
            )
            judged = await self._wait_for_wave()
            if judged.verdict is not Verdict.ONE:
                self._desk.say(self._why_not(judged))
                continue
            sensor = judged.sensors[0]
            refusal = self._refusal(sensor, place)
            if refusal is not None:
                self._desk.say(refusal)
                continue
            await sensor.blink()
            if self._yes or await self._agreed(f"{_name(sensor)} moved. Is it for the {where}? [yes/no]"):
                self._take(sensor, place)
                return
        raise SetupError(f"The sensor for the {where.lower()} could not be told; nothing was changed.")

    def sensors(self, places: Sequence[Place]) -> tuple[SensorSettings, ...]:
        """The settings' sensors with the new ones in their places."""
        fresh = {place.sensor: self._bound[place.sensor][1] for place in places}
        kept = [fresh.pop(each.sensor, each) for each in self._settings.sensors]
        return (*kept, *fresh.values())

    async def close(self) -> None:
        """Leave the sensors; what they recorded during the set-up is no exercise."""
        for sensor in self._nearby:
            await sensor.close()
        if not self._bound:
            return
        key = load_or_create_key(self._settings.key_path)
        outbox = Outbox(self._settings.data_dir / "outbox.db", key, limit_bytes=1 << 30)
        try:
            for identity, (sensor, _) in self._bound.items():
                sensor.forget_in(outbox, identity)
            outbox.put([], {WORN: None})  # the next recordings show how the sensors are worn from now on
        finally:
            outbox.close()

    async def _wait_for_wave(self) -> Judgement[NearbySensor]:
        """The last judgement; at once when one sensor that has no place yet clearly moved."""
        ready = tuple(sensor for sensor in self._nearby if sensor.ready)
        taken = {id(sensor) for sensor, _ in self._bound.values()}
        self._watch = WaveWatch(ready)
        end = time.monotonic() + self._patience_s
        while True:
            await asyncio.sleep(_TICK_S)
            judged = self._watch.judge(time.monotonic_ns())
            if judged.verdict is Verdict.ONE and id(judged.sensors[0]) not in taken:
                return judged
            if time.monotonic() > end:
                return judged

    def _on_block(self, sensor: NearbySensor, spec: StreamSpec, block: SampleBlock) -> None:
        self._watch.feed(sensor, spec, block)

    def _why_not(self, judged: Judgement[NearbySensor]) -> str:
        names = " and ".join(_name(sensor) for sensor in judged.sensors)
        return {
            Verdict.NONE: "No sensor moved. Please try again.",
            Verdict.EARLY: "The sensors have sent too little so far. Please try again.",
            Verdict.SEVERAL: f"More than one sensor moved: {names}. Please move only one.",
            Verdict.SILENT: f"One sensor moved, but nothing came from {names}, so it is not certain."
            " Bring it near or switch it off, and try again.",
            Verdict.ONE: f"{names} has a place already. Please move another one.",
        }[judged.verdict]

    def _refusal(self, sensor: NearbySensor, place: Place) -> str | None:
        """Why this sensor cannot be taken for this place."""
        serial = sensor.identity.serial if sensor.identity is not None else ""
        if place.serial and serial and serial != place.serial:
            return (
                f"{_name(sensor)} says it is number {serial}, but the clinic has given number {place.serial} for"
                " this place: it may be somebody else's. Please take the right one."
            )
        alike = Counter(each.identity.serial for each in self._nearby if each.identity is not None)
        if serial and alike[serial] > 1:
            return f"Two sensors say they are number {serial}. Switch the other one off and start again."
        for each in self._settings.sensors:
            same = each.address is not None and each.address.lower() == sensor.address.lower()
            if each.sensor != place.sensor and (same or (serial and each.serial == serial)):
                return (
                    f"{_name(sensor)} is the sensor of the {each.placement.replace('_', ' ')}."
                    " Please move another one."
                )
        return None

    def _take(self, sensor: NearbySensor, place: Place) -> None:
        serial = sensor.identity.serial if sensor.identity is not None else ""
        bound = SensorSettings(
            sensor=place.sensor,
            profile=sensor.profile,
            placement=place.placement,
            address=sensor.address,
            serial=serial or None,
        )
        self._bound[place.sensor] = (sensor, bound)
        self._desk.say(f"Good. {_name(sensor)} belongs to the {place.placement.replace('_', ' ').upper()}.")
        for warning in _warnings(sensor):
            self._desk.say(f"  Note: {warning}")

    async def _agreed(self, question: str) -> bool:
        return (await self._desk.ask(question)).lower() in ("y", "yes")

    def _describe(self, sensor: NearbySensor) -> str:
        if not sensor.ready:
            return f"{_name(sensor)}: {sensor.problem or 'It does not answer.'}"
        known = next(
            (
                each.placement
                for each in self._settings.sensors
                if each.address is not None and each.address.lower() == sensor.address.lower()
            ),
            None,
        )
        battery = "" if sensor.battery is None else f", battery {sensor.battery:.0%}"
        place = "" if known is None else f", worn at the {known.replace('_', ' ')} so far"
        return f"{_name(sensor)}{battery}{place}"


async def _ask_place(desk: Desk) -> Place:
    """Neither options nor settings say which sensor is meant."""
    placement = (await desk.ask("Where will the sensor be worn (thigh, left_wrist, ...)?")).lower()
    number = await desk.ask("Which number has the clinic given for it?")
    try:
        checked = SensorSettings(sensor=UUID(number), placement=placement.replace(" ", "_"))
    except (ValueError, ValidationError) as error:
        raise SetupError("This is no body place and number that the clinic gives.") from error
    return Place(checked.sensor, checked.placement)


def _warnings(sensor: NearbySensor) -> list[str]:
    warnings = []
    if sensor.battery is not None and sensor.battery < BATTERY_LOW:
        warnings.append(f"its battery is low ({sensor.battery:.0%}); charge it before the first exercise.")
    if not sensor.encrypted:
        warnings.append(
            "its radio link is not encrypted: somebody near by could listen to its movements. No name is sent."
        )
    if sensor.identity is not None and not sensor.identity.serial:
        warnings.append("it does not say who it is; it is known by its address alone.")
    return warnings


def _name(sensor: NearbySensor) -> str:
    return f"{sensor.name} ({DRIVERS[sensor.profile].title})"


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
