"""The set-up over real bumble parts: the sensor that is waved gets the place, nobody is guessed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData

from rtm_gateway import setup
from rtm_gateway.drivers.homestretch import SERVICE
from rtm_gateway.keys import load_or_create_key
from rtm_gateway.outbox import Outbox
from rtm_gateway.radio import BumbleRadio, Found
from rtm_gateway.settings import GatewaySettings, SensorSettings
from rtm_gateway.setup import Place, SetupError, places_from

WRIST, THIGH = UUID(int=10), UUID(int=11)
ADDRESSES = ("C0:00:00:00:00:01", "C0:00:00:00:00:02")
SERIALS = ("TEST0001", "TEST0002")


class Scene:
    """Two sensors that are still, and a person who is told what to do and what to answer."""

    def __init__(self, moves: Callable[[str, int], set[int]], answers: list[str]) -> None:
        self.said: list[str] = []
        self.questions: list[str] = []
        self.moving: set[int] = set()
        self._moves = moves
        self._answers = answers
        self._asked = 0

    def say(self, text: str) -> None:
        self.said.append(text)
        if "Move the sensor" in text:
            self._asked += 1
            self.moving = self._moves(text, self._asked)

    async def ask(self, question: str) -> str:
        self.questions.append(question)
        return self._answers.pop(0)

    def value(self, number: int) -> Callable[[int, int], tuple[int, ...]]:
        """What sensor `number` feels: 4.8 m/s2 of waving at 2 Hz, or gravity alone."""

        def feel(_boot: int, index: int) -> tuple[int, ...]:
            wave = round(1000 * math.sin(2 * math.pi * 2 * index / 100)) if number in self.moving else 0
            return (wave, 0, 2043, 0, 0, 0)

        return feel


def play(
    kit: SimpleNamespace,
    folder: Path,
    scene: Scene,
    places: list[Place],
    *,
    bound: tuple[SensorSettings, ...] = (),
    yes: bool = True,
    sensors: int = 2,
    patience_s: float = 2.0,
) -> tuple[SensorSettings, ...]:
    """Run the set-up in this scene; samples come five times as fast as in a room."""

    async def act() -> tuple[SensorSettings, ...]:
        async with kit.open_air() as air:
            worn: list[Any] = []
            for number in range(sensors):
                sensor = kit.HomestretchSensor(air, ADDRESSES[number], SERIALS[number])
                sensor.value = scene.value(number)
                await sensor.open()
                worn.append(sensor)

            async def live() -> None:
                while True:
                    for sensor in worn:
                        if sensor.sampling:
                            await sensor.sample(10)
                    await asyncio.sleep(0.02)

            settings = GatewaySettings(
                tenant=UUID(int=1), gateway=UUID(int=2), data_dir=folder, radio=air.moniker, sensors=bound
            )
            samples = asyncio.create_task(live())
            try:
                return await setup.run(
                    settings,
                    places,
                    yes=yes,
                    desk=scene,
                    path=folder / "rtm.toml",
                    patience_s=patience_s,
                    look_s=0.3,
                )
            finally:
                samples.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await samples
                assert not any(sensor.sampling for sensor in worn), "the sensors are switched off again"

    return asyncio.run(act())


def by_place(text: str, _asked: int) -> set[int]:
    return {1} if "THIGH" in text else {0}


def test_each_place_gets_the_sensor_that_was_waved(radio_kit: SimpleNamespace, tmp_path: Path) -> None:
    scene = Scene(by_place, [])
    path = tmp_path / "rtm.toml"
    path.write_text("# ours\noutbox_limit_mb = 9\n")
    places = [Place(THIGH, "thigh"), Place(WRIST, "left_wrist")]
    sensors = play(radio_kit, tmp_path, scene, places)
    assert [(each.sensor, each.placement, each.address, each.serial) for each in sensors] == [
        (THIGH, "thigh", ADDRESSES[1], SERIALS[1]),
        (WRIST, "left_wrist", ADDRESSES[0], SERIALS[0]),
    ]
    assert path.read_text().startswith("# ours\noutbox_limit_mb = 9\n")
    written = tomllib.loads(path.read_text())["sensors"]
    assert [SensorSettings(**each) for each in written] == list(sensors)
    assert any("LEFT WRIST" in text for text in scene.said)
    assert scene.questions == []
    box = Outbox(tmp_path / "outbox.db", load_or_create_key(tmp_path / "outbox.key"), limit_bytes=1 << 20)
    kept = json.loads(box.recall(f"kept:{WRIST}") or b"[]")
    box.close()
    ((stream, boot, ((first, end),)),) = kept
    assert (stream, boot, first) == ("imu", 7, 0)
    assert end >= 300, "what was waved is never fetched as an exercise"


def test_two_that_move_are_asked_again_and_a_no_is_obeyed(radio_kit: SimpleNamespace, tmp_path: Path) -> None:
    scene = Scene(lambda _text, asked: {0, 1} if asked == 1 else {asked % 2}, ["no", "yes"])
    (sensor,) = play(radio_kit, tmp_path, scene, [Place(WRIST, "wrist")], yes=False)
    assert any("More than one sensor moved" in text for text in scene.said)
    assert len(scene.questions) == 2
    assert sensor.serial == SERIALS[1], "the second answer was yes"


def test_nobody_moves_and_nothing_is_written(radio_kit: SimpleNamespace, tmp_path: Path) -> None:
    scene = Scene(lambda _text, _asked: set(), [])
    with pytest.raises(SetupError, match="nothing was changed"):
        play(radio_kit, tmp_path, scene, [Place(WRIST, "wrist")], sensors=1, patience_s=0.8)
    assert not (tmp_path / "rtm.toml").exists()
    assert sum("Please try again" in text for text in scene.said) == setup.ATTEMPTS


@pytest.mark.parametrize(
    ("place", "bound", "why"),
    [
        (Place(WRIST, "wrist", serial="OTHER"), (), "may be somebody else's"),
        (
            Place(WRIST, "wrist"),
            (SensorSettings(sensor=THIGH, placement="thigh", address=ADDRESSES[0]),),
            "is the sensor of the thigh",
        ),
        (
            Place(WRIST, "wrist"),
            (SensorSettings(sensor=THIGH, placement="thigh", serial=SERIALS[0]),),
            "is the sensor of the thigh",
        ),
    ],
)
def test_somebody_elses_sensor_is_refused(
    radio_kit: SimpleNamespace,
    tmp_path: Path,
    place: Place,
    bound: tuple[SensorSettings, ...],
    why: str,
) -> None:
    scene = Scene(lambda _text, _asked: {0}, [])
    with pytest.raises(SetupError):
        play(radio_kit, tmp_path, scene, [place], bound=bound, sensors=1)
    assert any(why in text for text in scene.said)
    assert not (tmp_path / "rtm.toml").exists()


def test_an_empty_room_is_said(radio_kit: SimpleNamespace, tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="No sensor is in range"):
        play(radio_kit, tmp_path, Scene(by_place, []), [Place(WRIST, "wrist")], sensors=0)


class Crowd(BumbleRadio):
    """A radio that hears many sensors and must not be asked to connect to any."""

    async def scan(self, timeout: float = 5.0) -> list[Found]:  # noqa: ARG002 - as the radio names it
        return [
            (
                BLEDevice(f"C0:00:00:00:01:{number:02X}", None, None),
                AdvertisementData("HS", {}, {}, [SERVICE], None, -60, ()),
            )
            for number in range(100)
        ]


def test_a_hundred_advertisers_are_too_many_to_tell_apart(tmp_path: Path) -> None:
    settings = GatewaySettings(tenant=UUID(int=1), gateway=UUID(int=2), data_dir=tmp_path)
    scene = Scene(by_place, [])
    started = setup.run(
        settings, [Place(WRIST, "wrist")], desk=scene, radio=Crowd("nowhere"), path=tmp_path / "rtm.toml"
    )
    with pytest.raises(SetupError, match="100 sensors are in range, more than can be told apart"):
        asyncio.run(started)


def test_what_is_to_be_bound() -> None:
    fresh = SensorSettings(sensor=WRIST, placement="wrist", serial="S1")
    bound = SensorSettings(sensor=THIGH, placement="thigh", address="C0", serial="S2")

    def settings(*sensors: SensorSettings) -> GatewaySettings:
        return GatewaySettings(tenant=UUID(int=1), gateway=UUID(int=2), sensors=sensors)

    assert places_from([], [], settings(fresh, bound)) == [Place(WRIST, "wrist", serial="S1")]
    assert places_from([], [], settings(bound)) == [Place(THIGH, "thigh")], "binding anew may bring another"
    assert places_from([THIGH], ["shank"], settings(bound)) == [Place(THIGH, "shank", serial="S2")]
    with pytest.raises(SetupError, match="one --placement for each"):
        places_from([THIGH], [], settings())
