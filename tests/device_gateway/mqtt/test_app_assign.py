"""`assign` and `calibrate`, carried out by a whole gateway: without a restart, and remembered over one."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from rtm_gateway import sensors
from rtm_gateway.settings import GatewaySettings, SensorSettings
from rtm_signal.wire import Command, Manifest, cmd_topic

GATEWAY, TENANT, ONE, TWO, FIRST, SECOND = (UUID(int=n) for n in range(61, 67))
ADDRESSES = {ONE: "C0:00:00:00:00:01", TWO: "C0:00:00:00:00:02"}


def make_settings(air: Any, broker: Any, folder: Path) -> GatewaySettings:
    return GatewaySettings(
        tenant=TENANT,
        gateway=GATEWAY,
        mqtt_url=None if broker is None else broker.url,
        data_dir=folder,
        radio=air.moniker,
        open_on_motion=False,
        sensors=(SensorSettings(sensor=ONE, placement="wrist", address=ADDRESSES[ONE]),),
    )


def manifests(server: Any) -> dict[UUID, Manifest]:
    told = [Manifest.from_json(data) for key, data in list(server.committed.items()) if key.startswith("m:")]
    return {each.recording: each for each in told}


def placements(server: Any) -> dict[str, str]:
    """What the newest heartbeat says."""
    said = [json.loads(payload) for what, payload in list(server.seen) if what == "status"]
    return {each["sensor"]: each["placement"] for each in (said[-1].get("sensors", []) if said else [])}


async def command(server: Any, do: str, **arguments: Any) -> None:
    await asyncio.to_thread(server.publish, cmd_topic(GATEWAY), Command(do, arguments).to_json())


def test_a_sensor_worn_elsewhere_ends_the_recording_and_the_next_one_knows_its_place(
    iotcore_broker: Any, kit: SimpleNamespace, radio_kit: SimpleNamespace, tmp_path: Path
) -> None:
    server = kit.server(iotcore_broker)

    async def scenario() -> None:
        async with radio_kit.open_air() as air:
            sensor = radio_kit.HomestretchSensor(air)
            await sensor.open()
            settings = make_settings(air, iotcore_broker, tmp_path)
            async with kit.running(settings) as gateway:
                await kit.eventually(lambda: sensor.streaming)
                await command(server, "start", recording=str(FIRST))
                await kit.eventually(lambda: gateway.recorder.recording == FIRST)
                await sensor.sample(100)
                await kit.eventually(lambda: gateway._status()["sensors"][0]["samples"] == 100)
                await command(server, "assign", sensor=str(ONE), placement="left_thigh", exercise="squat")
                await kit.eventually(lambda: FIRST in manifests(server))
                await kit.eventually(lambda: placements(server) == {str(ONE): "left_thigh"})
                assert sensor.streaming, "the link goes on"
                await command(server, "start", recording=str(SECOND), exercise="bridge")
                await kit.eventually(lambda: gateway.recorder.recording == SECOND)
                await sensor.sample(100)
                await kit.eventually(lambda: gateway._status()["sensors"][0]["samples"] == 200)
                await command(server, "stop", recording=str(FIRST))  # another's, late
                await command(server, "stop", recording=str(SECOND))
                await kit.eventually(lambda: SECOND in manifests(server))
            async with kit.running(settings) as again:  # the settings still say wrist
                assert again._status()["sensors"][0]["placement"] == "left_thigh"
                assert again.recorder.open("button", sensor=ONE) != SECOND
                assert again.recorder.exercise == "squat", "what this sensor opens by itself"

    asyncio.run(scenario())
    first, second = manifests(server)[FIRST], manifests(server)[SECOND]
    assert (first.closed_by, first.exercise, first.streams[0].placement) == ("removal", None, "wrist")
    assert (second.closed_by, second.exercise, second.streams[0].placement) == (
        "stop",
        "bridge",
        "left_thigh",
    )
    assert not second.calibration


def test_a_new_sensor_is_found_and_an_old_one_let_go_without_a_restart(
    iotcore_broker: Any, kit: SimpleNamespace, radio_kit: SimpleNamespace, tmp_path: Path
) -> None:
    server = kit.server(iotcore_broker)

    async def scenario() -> None:
        async with radio_kit.open_air() as air:
            old = radio_kit.HomestretchSensor(air)
            new = radio_kit.HomestretchSensor(air, ADDRESSES[TWO], "TEST0002")
            await old.open()
            await new.open()
            async with kit.running(make_settings(air, iotcore_broker, tmp_path)) as gateway:
                await kit.eventually(lambda: old.streaming)
                gateway.recorder.open("start", recording=FIRST)
                await old.sample(50)
                await kit.eventually(lambda: gateway._status()["sensors"][0]["samples"] == 50)
                await command(server, "assign", sensor=str(TWO), placement="thigh", address=ADDRESSES[TWO])
                await kit.eventually(lambda: new.streaming)
                assert gateway.recorder.recording == FIRST, "one more sensor ends nothing"
                await new.sample(50)
                await command(server, "assign", sensor=str(ONE), placement=None)
                await kit.eventually(lambda: old.connection is None and new.streaming)
                await kit.eventually(lambda: FIRST in manifests(server))
                await kit.eventually(lambda: placements(server) == {str(TWO): "thigh"})

    asyncio.run(scenario())
    assert manifests(server)[FIRST].closed_by == "removal"
    assert {each.sensor for each in manifests(server)[FIRST].streams} == {ONE, TWO}


def test_what_cannot_be_assigned_changes_nothing(
    iotcore_broker: Any, kit: SimpleNamespace, radio_kit: SimpleNamespace, tmp_path: Path
) -> None:
    server = kit.server(iotcore_broker)

    async def scenario() -> None:
        async with (
            radio_kit.open_air() as air,
            kit.running(make_settings(air, iotcore_broker, tmp_path)) as gateway,
        ):
            await kit.eventually(lambda: bool(placements(server)))
            for wrong in ({}, {"sensor": 7}, {"sensor": str(TWO)}, {"sensor": str(ONE), "placement": "?"}):
                await command(server, "assign", **wrong)
            await command(server, "calibrate", recording=str(FIRST))  # of what?
            await command(server, "start", recording=str(SECOND))
            await kit.eventually(lambda: gateway.recorder.recording == SECOND)
            assert gateway._assigned.sensors == gateway._settings.sensors

    asyncio.run(scenario())


def test_a_calibration_is_a_recording_of_its_own_that_says_so(
    iotcore_broker: Any, kit: SimpleNamespace, radio_kit: SimpleNamespace, tmp_path: Path
) -> None:
    server = kit.server(iotcore_broker)

    async def scenario() -> None:
        async with radio_kit.open_air() as air:
            sensor = radio_kit.HomestretchSensor(air)
            await sensor.open()
            settings = make_settings(air, iotcore_broker, tmp_path)
            async with kit.running(settings) as gateway:
                await kit.eventually(lambda: sensor.streaming)
                await command(server, "start", recording=str(FIRST), exercise="squat")
                await kit.eventually(lambda: gateway.recorder.recording == FIRST)
                await sensor.sample(100)
                await kit.eventually(lambda: gateway._status()["sensors"][0]["samples"] == 100)
                await command(server, "calibrate", recording=str(SECOND), exercise="squat")
                await kit.eventually(lambda: gateway.recorder.recording == SECOND)
                await sensor.sample(100)
                await kit.eventually(lambda: gateway._status()["sensors"][0]["samples"] == 200)
                await gateway.recorder.store()
            async with kit.running(settings) as again:  # it goes on, still a calibration
                assert again.recorder.recording == SECOND
                await command(server, "stop")
                await kit.eventually(lambda: SECOND in manifests(server))
                await command(server, "calibrate", recording=str(SECOND), exercise="squat")  # comes twice
                await command(server, "start", recording=str(FIRST))  # comes late
                await command(server, "settings", watched=True)
                await kit.eventually(lambda: again.recorder._sealer._chunk_s == 1.0)
                assert again.recorder.recording is None

    asyncio.run(scenario())
    assert not manifests(server)[FIRST].calibration
    assert manifests(server)[SECOND].calibration
    assert manifests(server)[SECOND].exercise == "squat"


def test_whoever_was_seen_first_is_the_sensor_after_a_restart_too(
    radio_kit: SimpleNamespace, kit: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No serial number in the settings: it is bound at first sight, until the settings mean another device."""
    monkeypatch.setattr(sensors, "_REFUSED_AGAIN_S", 0.2)

    async def scenario() -> None:
        async with radio_kit.open_air() as air:
            sensor = radio_kit.HomestretchSensor(air)
            await sensor.open()
            settings = make_settings(air, None, tmp_path)
            name = f"bound:{ONE}"
            async with kit.running(settings) as gateway:
                await kit.eventually(lambda: gateway.outbox.recall(name) is not None)
            await kit.eventually(lambda: sensor.connection is None)
            own, sensor.serial = sensor.serial, "OTHER999"
            async with kit.running(settings) as gateway:
                await kit.eventually(
                    lambda: [each["kind"] for each in gateway._warnings.current()] == ["refused"]
                )
                assert not sensor.streaming
                sensor.serial = own
                await kit.eventually(lambda: sensor.streaming)

    asyncio.run(scenario())
