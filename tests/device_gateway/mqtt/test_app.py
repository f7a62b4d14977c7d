"""The gateway whole: a sensor on the air, the outbox, a real broker, and a server that commits and
acknowledges.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import numpy as np
import pytest

from rtm_gateway.app import Gateway, GatewayError
from rtm_gateway.settings import GatewaySettings, GatewaySettingsError, SensorSettings
from rtm_signal.chunk import ChunkKey, decode, stream_id
from rtm_signal.wire import Command, Manifest, cmd_topic

GATEWAY, TENANT, SENSOR, RECORDING = (UUID(int=n) for n in range(21, 25))
ADDRESS = "C0:00:00:00:00:01"


def make_settings(air: Any, broker: Any, folder: Path, **more: Any) -> GatewaySettings:
    return GatewaySettings(
        tenant=TENANT,
        gateway=GATEWAY,
        mqtt_url=broker.url,
        data_dir=folder,
        radio=air.moniker,
        sensors=(SensorSettings(sensor=SENSOR, placement="wrist", address=ADDRESS),),
        **more,
    )


def manifests(server: Any) -> list[Manifest]:
    return [Manifest.from_json(data) for key, data in list(server.committed.items()) if key.startswith("m:")]


def count(server: Any) -> int:
    """How many samples of boot 7 were committed, by their keys alone."""
    keys = [ChunkKey.parse(key) for key in list(server.committed) if key.startswith("c:")]
    return sum(key.n for key in keys if key.boot == 7)


def samples(server: Any, sensor: Any) -> dict[int, dict[int, tuple[int, ...]]]:
    """boot -> index -> values of what was committed; a sample that came twice fails."""
    found: dict[int, dict[int, tuple[int, ...]]] = {}
    for key, data in list(server.committed.items()):
        if key.startswith("c:"):
            chunk = decode(data)
            assert chunk.stream == stream_id(SENSOR, "imu")
            held = found.setdefault(chunk.boot, {})
            for index, row in enumerate(chunk.values.tolist(), chunk.first):
                assert index not in held, "a sample was stored twice"
                assert tuple(row) == sensor.value(chunk.boot, index), "a sample was altered"
                held[index] = tuple(row)
    return found


async def command(server: Any, do: str, **arguments: Any) -> None:
    await asyncio.to_thread(server.publish, cmd_topic(GATEWAY), Command(do, arguments).to_json())


def test_start_exercise_stop(
    iotcore_broker: Any, kit: SimpleNamespace, radio_kit: SimpleNamespace, tmp_path: Path
) -> None:
    server = kit.server(iotcore_broker)

    async def scenario() -> tuple[Manifest, dict[int, tuple[int, ...]]]:
        async with radio_kit.open_air() as air:
            sensor = radio_kit.HomestretchSensor(air)
            await sensor.open()
            async with kit.running(
                make_settings(air, iotcore_broker, tmp_path, open_on_motion=False)
            ) as gateway:
                await kit.eventually(lambda: sensor.streaming)
                await sensor.sample(700)
                await kit.eventually(lambda: gateway._status()["sensors"][0]["samples"] == 700)
                await gateway.recorder.store()
                assert gateway.outbox.pending() == 0
                assert not server.committed, "nothing is recorded before Start"
                await command(server, "start", recording=str(RECORDING), exercise="squat")
                await kit.eventually(lambda: gateway.recorder.recording == RECORDING)
                await sensor.sample(800)
                await kit.eventually(lambda: count(server) >= 1000)
                await command(server, "stop")
                await kit.eventually(lambda: bool(manifests(server)) and gateway.outbox.pending() == 0)
            (manifest,) = manifests(server)
            return manifest, samples(server, sensor)[7]

    manifest, stored = asyncio.run(scenario())
    assert (manifest.recording, manifest.exercise, manifest.closed_by) == (RECORDING, "squat", "stop")
    assert (manifest.tenant, manifest.gateway, manifest.revision) == (TENANT, GATEWAY, 1)
    (stream,) = manifest.streams
    assert (stream.sensor, stream.name, stream.placement, stream.boot) == (SENSOR, "imu", "wrist", 7)
    assert stream.lost == ()
    assert sorted(stored) == list(range(stream.first, stream.last + 1))
    assert 150 <= stream.first <= 200, "five seconds before Start are kept"
    assert stream.last == 1499


def test_motion_opens_a_recording_and_the_memory_fills_what_the_link_lost(
    iotcore_broker: Any, kit: SimpleNamespace, radio_kit: SimpleNamespace, tmp_path: Path
) -> None:
    server = kit.server(iotcore_broker)

    async def scenario() -> list[int]:
        async with radio_kit.open_air() as air:
            sensor = radio_kit.HomestretchSensor(air)
            await sensor.open()
            async with kit.running(make_settings(air, iotcore_broker, tmp_path)) as gateway:
                await kit.eventually(lambda: sensor.streaming)
                await sensor.sample(600)
                await kit.eventually(lambda: gateway.recorder.recording is not None)
                await air.drop()
                await sensor.sample(400)
                await kit.eventually(lambda: sensor.streaming)
                await sensor.sample(300)
                await kit.eventually(lambda: count(server) == 1300)
                gateway.recorder.close("stop")
                await kit.eventually(lambda: bool(manifests(server)))
            return sorted(samples(server, sensor)[7])

    assert asyncio.run(scenario()) == list(range(1300))
    (manifest,) = manifests(server)
    assert [(each.first, each.last, each.lost) for each in manifest.streams] == [(0, 1299, ())]


CHILD = """
import asyncio, sys
from rtm_gateway import app
from rtm_gateway.settings import GatewaySettings
asyncio.run(app.run(GatewaySettings()))
"""


@contextlib.asynccontextmanager
async def child(settings: GatewaySettings) -> AsyncIterator[asyncio.subprocess.Process]:
    """`rtm gateway` in a process of its own, told by its environment alone."""
    environment = {
        **os.environ,
        "RTM_TENANT": str(settings.tenant),
        "RTM_GATEWAY": str(settings.gateway),
        "RTM_MQTT_URL": str(settings.mqtt_url),
        "RTM_DATA_DIR": str(settings.data_dir),
        "RTM_RADIO": settings.radio,
        "RTM_SENSORS": json.dumps([each.model_dump(mode="json") for each in settings.sensors]),
    }
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", CHILD, env=environment)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGKILL)
        await process.wait()


def test_kill_9_in_mid_recording_loses_nothing_and_still_leads_to_a_manifest(
    iotcore_broker: Any, kit: SimpleNamespace, radio_kit: SimpleNamespace, tmp_path: Path
) -> None:
    server = kit.server(iotcore_broker)
    pause = np.random.default_rng().uniform(0.0, 0.4)
    print(f"killed {pause:.3f} s after the first chunk")

    async def scenario() -> dict[int, dict[int, tuple[int, ...]]]:
        async with radio_kit.open_air() as air:
            sensor = radio_kit.HomestretchSensor(air)
            await sensor.open()
            settings = make_settings(air, iotcore_broker, tmp_path)
            async with child(settings):
                await kit.eventually(lambda: sensor.streaming, 60)
                await sensor.sample(900)
                await kit.eventually(lambda: count(server) > 100, 60)
                await asyncio.sleep(pause)
            await air.drop()
            await sensor.sample(50)
            async with kit.running(settings) as gateway:
                await kit.eventually(lambda: sensor.streaming, 30)
                assert gateway.recorder.recording is not None, "the recording goes on"
                await kit.eventually(lambda: count(server) == sensor.index, 30)
                gateway.recorder.close("stop")
                await kit.eventually(lambda: bool(manifests(server)) and gateway.outbox.pending() == 0)
            return samples(server, sensor)

    stored = asyncio.run(scenario())
    (manifest,) = manifests(server)
    (stream,) = manifest.streams
    assert sorted(stored[7]) == list(range(stream.first, stream.last + 1))
    assert (stream.first, stream.last, stream.lost) == (0, 949, ())


def test_the_sensor_forgets_only_what_the_outbox_has_synced(
    iotcore_broker: Any, kit: SimpleNamespace, radio_kit: SimpleNamespace, tmp_path: Path
) -> None:
    synced = 0  # samples from the first on; how many a first "forget" covers depends on the machine

    async def scenario() -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        async with radio_kit.open_air() as air:
            sensor = radio_kit.HomestretchSensor(air)
            await sensor.open()
            settings = make_settings(air, iotcore_broker, tmp_path)
            async with kit.running(settings) as gateway:
                await kit.eventually(lambda: sensor.streaming)
                put = gateway.outbox.put

                def watched(entries: Any, state: Any = None) -> bool:
                    nonlocal synced
                    done = bool(put(entries, state))
                    if done:
                        keys = [ChunkKey.parse(entry.key) for entry in entries if entry.key.startswith("c:")]
                        synced += sum(key.n for key in keys)
                    return done

                gateway.outbox.put = lambda *_: False
                await sensor.sample(1100)
                await asyncio.sleep(0.8)
                before = list(sensor.freed)
                gateway.outbox.put = watched
                await kit.eventually(lambda: bool(sensor.freed))
            return before, sensor.freed

    before, after = asyncio.run(scenario())
    assert before == []
    boot, up_to = after[0]
    assert boot == 7
    assert 0 < up_to <= min(synced, 1100)


def test_a_data_folder_that_cannot_be_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(GatewayError, match="RTM_DATA_DIR"):
        Gateway(GatewaySettings(tenant=TENANT, gateway=GATEWAY, data_dir=tmp_path / "file" / "data"))


@pytest.mark.parametrize(
    "wrong",
    [
        {"RTM_TENANT": "nobody"},
        {"RTM_SENSORS": "not json"},
        {"RTM_SENSORS": '[{"placement": "wrist"}]'},
        {"RTM_SENSORS": json.dumps([{"sensor": str(SENSOR), "placement": "wrist"}] * 2)},
        {"RTM_OUTBOX_LIMIT_MB": "0"},
    ],
)
def test_settings_that_cannot_be_are_refused(monkeypatch: pytest.MonkeyPatch, wrong: dict[str, str]) -> None:
    for name, value in {"RTM_TENANT": str(TENANT), "RTM_GATEWAY": str(GATEWAY), **wrong}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(GatewaySettingsError) as refused:
        GatewaySettings()
    assert "\n" not in str(refused.value)
