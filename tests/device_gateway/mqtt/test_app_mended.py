"""The gateway whole, where the fault campaign found it wanting: what the status says and when, and what may fail."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from bleak.exc import BleakError

from rtm_gateway import sensors
from rtm_gateway.app import Gateway
from rtm_gateway.live import Live
from rtm_gateway.settings import GatewaySettings, SensorSettings
from rtm_signal.chunk import ChunkKey
from rtm_signal.wire import Command, cmd_topic

GATEWAY, TENANT, SENSOR, RECORDING = (UUID(int=n) for n in range(51, 55))
ADDRESS = "C0:00:00:00:00:01"


def make_settings(air: Any, broker: Any, folder: Path, **sensor: Any) -> GatewaySettings:
    return GatewaySettings(
        tenant=TENANT,
        gateway=GATEWAY,
        mqtt_url=None if broker is None else broker.url,
        data_dir=folder,
        radio=air.moniker,
        open_on_motion=False,
        sensors=(SensorSettings(sensor=SENSOR, placement="wrist", address=ADDRESS, **sensor),),
    )


def statuses(server: Any) -> list[dict[str, Any]]:
    return [json.loads(payload) for what, payload in list(server.seen) if what == "status"]


def test_the_status_says_at_once_who_is_connected_and_what_is_recorded(
    iotcore_broker: Any, kit: SimpleNamespace, radio_kit: SimpleNamespace, tmp_path: Path
) -> None:
    """All within one heartbeat's interval: the pages and the demo wait for it."""
    server = kit.server(iotcore_broker)

    def said(condition: Any) -> bool:
        return any(condition(each) for each in statuses(server) if each["online"])

    async def command(do: str, **arguments: Any) -> None:
        await asyncio.to_thread(server.publish, cmd_topic(GATEWAY), Command(do, arguments).to_json())

    async def scenario() -> None:
        async with radio_kit.open_air() as air:
            sensor = radio_kit.HomestretchSensor(air)
            await sensor.open()
            async with kit.running(make_settings(air, iotcore_broker, tmp_path)):
                await kit.eventually(lambda: said(lambda s: s["sensors"][0]["connected"]))
                await command("start", recording=str(RECORDING))
                await kit.eventually(lambda: said(lambda s: s["recording"] == str(RECORDING)))
                server.seen.clear()
                await command("stop")
                await kit.eventually(lambda: said(lambda s: s["recording"] is None))
                server.seen.clear()
                await air.drop()
                await kit.eventually(lambda: said(lambda s: not s["sensors"][0]["connected"]))

    asyncio.run(scenario())


def test_a_live_count_that_fails_costs_no_sample(
    iotcore_broker: Any,
    kit: SimpleNamespace,
    radio_kit: SimpleNamespace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = kit.server(iotcore_broker)

    def broken(*_: object) -> None:
        raise TypeError("a mistake of ours")

    monkeypatch.setattr(Live, "on_block", broken)

    def stored() -> int:
        return sum(ChunkKey.parse(key).n for key in list(server.committed) if key.startswith("c:"))

    async def scenario() -> None:
        async with radio_kit.open_air() as air:
            sensor = radio_kit.HomestretchSensor(air)
            await sensor.open()
            async with kit.running(make_settings(air, iotcore_broker, tmp_path)) as gateway:
                gateway.recorder.open("start")
                await kit.eventually(lambda: sensor.streaming)
                await sensor.sample(600)
                await kit.eventually(lambda: stored() == 600)

    asyncio.run(scenario())


def test_a_radio_that_is_not_ready_yet_is_asked_again_soon(
    radio_kit: SimpleNamespace, kit: SimpleNamespace, tmp_path: Path
) -> None:
    async def scenario() -> int:
        async with radio_kit.open_air() as air:
            sensor = radio_kit.HomestretchSensor(air)
            await sensor.open()
            gateway = Gateway(make_settings(air, None, tmp_path))
            scan, failed = gateway._radio.scan, 0

            async def scanning(timeout: float = 5.0) -> Any:
                nonlocal failed
                if failed < 2:
                    failed += 1
                    raise BleakError("no adapter")
                return await scan(timeout)

            gateway._radio.scan = scanning  # type: ignore[method-assign]  # the fault
            task = asyncio.create_task(gateway.run())
            await kit.eventually(lambda: sensor.streaming)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            gateway.close()
            return failed

    assert asyncio.run(scenario()) == 2


def test_a_refused_sensor_is_looked_for_again(
    radio_kit: SimpleNamespace, kit: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sensor of another patient answered at the address; nothing of it is taken, and later ours is back."""
    monkeypatch.setattr(sensors, "_REFUSED_AGAIN_S", 0.3)

    async def scenario() -> tuple[int, int]:
        async with radio_kit.open_air() as air:
            sensor = radio_kit.HomestretchSensor(air)
            own, sensor.serial = sensor.serial, "OTHER999"
            await sensor.open()
            async with kit.running(make_settings(air, None, tmp_path, serial=own)) as gateway:
                await kit.eventually(lambda: sensor.connection is not None)
                await kit.eventually(lambda: sensor.connection is None)
                before = gateway._status()["sensors"][0]["samples"]
                sensor.serial = own
                await kit.eventually(lambda: sensor.streaming)
                await sensor.sample(100)
                await kit.eventually(lambda: gateway._status()["sensors"][0]["samples"] == 100)
            return before, 100

    assert asyncio.run(scenario()) == (0, 100)
