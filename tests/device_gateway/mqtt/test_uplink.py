"""The uplink over real brokers: whatever a broker forgets, the outbox still has."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import numpy as np
import pytest

from rtm_gateway import outbox as outbox_module
from rtm_gateway import uplink as uplink_module
from rtm_gateway.outbox import Entry, Outbox
from rtm_gateway.uplink import Broker, Uplink, UplinkError
from rtm_signal.chunk import Channel, Chunk, encode, stream_id
from rtm_signal.wire import CHUNK, Command, ack_topic, cmd_topic

GATEWAY, TENANT, SENSOR = UUID(int=11), UUID(int=12), UUID(int=13)


def entry(number: int, n: int = 20) -> Entry:
    values = np.random.default_rng(number).integers(-(2**15), 2**15, (n, 6)).astype(np.int16)
    chunk = Chunk(
        tenant=TENANT,
        stream=stream_id(SENSOR, "imu"),
        boot=1,
        first=number * n,
        n=n,
        t_key=number,
        channels=tuple(Channel(name, "g", 1.0) for name in ("ax", "ay", "az"))
        + tuple(Channel(name, "rad/s", 1.0) for name in ("gx", "gy", "gz")),
        rate_hz=100.0,
        start_us=0,
        period_ns=1e7,
        values=values,
    )
    return Entry(str(chunk.key), CHUNK, encode(chunk))


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    box = Outbox(tmp_path / "outbox.db", bytes(32), limit_bytes=1 << 28)
    yield box
    box.close()


@contextlib.asynccontextmanager
async def running(uplink: Uplink) -> AsyncIterator[Uplink]:
    task = asyncio.create_task(uplink.run())
    try:
        yield uplink
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def make(url: str, outbox: Outbox, kind: type[Uplink] = Uplink, **options: Any) -> Uplink:
    return kind(Broker.from_url(url), GATEWAY, outbox, **options)


def test_everything_arrives_once_and_the_outbox_is_empty(
    broker: Any, outbox: Outbox, kit: SimpleNamespace
) -> None:
    server = kit.server(broker)
    entries = [entry(n) for n in range(1200)]
    outbox.put(entries[:1000])

    async def scenario() -> None:
        async with running(make(broker.url, outbox)):
            await kit.eventually(lambda: len(server.committed) > 100)
            outbox.put(entries[1000:])
            await kit.eventually(lambda: outbox.pending() == 0)

    asyncio.run(scenario())
    assert server.committed == {each.key: each.data for each in entries}
    assert server.doubled == 0


def test_a_broker_that_dies_and_forgets_loses_nothing(
    broker: Any, outbox: Outbox, kit: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a broker took while nobody was subscribed again is gone, and comes again when it is overdue."""
    monkeypatch.setattr(outbox_module, "RESEND_AFTER_S", 1.0)
    server = kit.server(broker)
    entries = [entry(n) for n in range(900)]

    async def scenario() -> None:
        async with running(make(broker.url, outbox)) as uplink:
            for start in range(0, 900, 300):
                outbox.put(entries[start : start + 300])
                await kit.eventually(lambda start=start: len(server.committed) > start)
                await asyncio.to_thread(broker.kill)
                await asyncio.to_thread(broker.start)
            await kit.eventually(lambda: outbox.pending() == 0)
            assert uplink.connections >= 2

    asyncio.run(scenario())
    assert server.committed == {each.key: each.data for each in entries}


class TrustsThePuback(Uplink):
    """The negative control: deletes what the broker has acknowledged."""

    batches: dict[int, list[str]]

    async def _send_one(self) -> bool:
        before = set(self._unacked)
        taken: list[str] = []
        take = self._outbox.take

        def noting(max_bytes: int, now: float) -> list[Entry]:
            entries = take(max_bytes, now)
            taken.extend(each.key for each in entries)
            return entries

        self._outbox.take = noting  # type: ignore[method-assign]  # to see which keys a batch holds
        sent = await super()._send_one()
        for mid in self._unacked - before:
            self.__dict__.setdefault("batches", {})[mid] = taken
        return sent

    def _made_room(self, mid: int) -> None:
        super()._made_room(mid)
        self._outbox.committed(self.__dict__.get("batches", {}).pop(mid, []))


@pytest.mark.parametrize(("kind", "loses"), [(Uplink, False), (TrustsThePuback, True)])
def test_a_puback_is_not_durability(
    iotcore_broker: Any, outbox: Outbox, kit: SimpleNamespace, kind: type[Uplink], loses: bool
) -> None:
    """While no server listens, the broker takes everything; then it is killed."""
    entries = [entry(n) for n in range(200)]
    outbox.put(entries)

    async def scenario() -> int:
        async with running(make(iotcore_broker.url, outbox, kind)) as uplink:
            # The broker has all of it: the one uplink waits for the server's word, the other has deleted it.
            await kit.eventually(lambda: outbox.pending() == 0 if loses else outbox.status().in_flight == 200)
            await kit.eventually(lambda: not uplink._unacked)
            await asyncio.to_thread(iotcore_broker.kill)
            await asyncio.to_thread(iotcore_broker.start)
            server = await asyncio.to_thread(kit.server, iotcore_broker)
            await kit.eventually(lambda: outbox.pending() == 0)
            return len(entries) - len(server.committed)

    lost = asyncio.run(scenario())
    assert (lost > 0) is loses


@pytest.mark.parametrize(("ack_first", "loses"), [(False, False), (True, True)])
def test_a_server_that_acknowledges_before_its_commit_is_seen_to_lose(
    iotcore_broker: Any, outbox: Outbox, kit: SimpleNamespace, ack_first: bool, loses: bool
) -> None:
    server = kit.server(iotcore_broker, ack_first=ack_first)
    entries = [entry(n) for n in range(100)]
    outbox.put(entries)

    async def scenario() -> None:
        async with running(make(iotcore_broker.url, outbox)):
            await kit.eventually(lambda: outbox.pending() == 0)

    asyncio.run(scenario())
    assert (len(server.committed) < len(entries)) is loses


def test_without_acks_no_more_than_the_window_is_sent(
    broker: Any, outbox: Outbox, kit: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uplink_module, "WINDOW_BYTES", 200_000)
    monkeypatch.setattr(uplink_module, "BATCH_BYTES", 20_000)
    server = kit.server(broker, acks=False)
    outbox.put([entry(n) for n in range(3000)])

    async def scenario() -> None:
        async with running(make(broker.url, outbox)):
            await kit.eventually(lambda: server.received_bytes > 150_000)
            await asyncio.sleep(0.5)

    asyncio.run(scenario())
    assert server.received_bytes < 220_000
    assert outbox.pending() == 3000


def test_refused_items_are_kept_aside_and_bad_messages_dropped(
    broker: Any, outbox: Outbox, kit: SimpleNamespace
) -> None:
    server = kit.server(broker)
    entries = [entry(n) for n in range(20)]
    server.refuse = {entries[3].key}
    outbox.put(entries)
    commands: list[Command] = []

    async def scenario() -> None:
        async with running(make(broker.url, outbox, on_command=commands.append)) as uplink:
            await kit.eventually(lambda: outbox.pending() == 0)
            for bad in (b"", b"\xff\xfe", b'{"committed":[1],"refused":[]}'):
                await asyncio.to_thread(server.publish, ack_topic(GATEWAY), bad)
            await asyncio.to_thread(server.publish, cmd_topic(GATEWAY), b'{"do":"explode"}')
            await asyncio.to_thread(
                server.publish, cmd_topic(GATEWAY), Command("start", {"exercise": "squat"}).to_json()
            )
            await kit.eventually(lambda: bool(commands))
            assert uplink.malformed == 4

    asyncio.run(scenario())
    assert outbox.refused() == [(entries[3].key, "Not for this clinic.")]
    assert commands == [Command("start", {"exercise": "squat"})]


def test_the_heartbeat_says_what_waits_and_the_last_word_is_offline(
    broker: Any, outbox: Outbox, kit: SimpleNamespace
) -> None:
    server = kit.server(broker)

    async def scenario() -> None:
        async with running(make(broker.url, outbox, status=lambda: {"sensors": []})):
            await kit.eventually(lambda: bool(server.seen))

    asyncio.run(scenario())
    first = json.loads(server.seen[0][1])
    assert server.seen[0][0] == "status"
    assert first["online"] is True
    assert first["outbox"]["items"] == 0
    assert first["sensors"] == []
    kit.wait_until(lambda: json.loads(server.seen[-1][1]) == {"online": False})


def test_an_item_larger_than_the_broker_accepts_stops_nobody(
    broker: Any, outbox: Outbox, kit: SimpleNamespace
) -> None:
    server = kit.server(broker)

    async def scenario() -> None:
        async with running(make(broker.url, outbox)) as uplink:
            await kit.eventually(lambda: uplink.connected)
            uplink._max_packet = 4000
            outbox.put([entry(1), entry(2, 800), entry(3)])
            await kit.eventually(lambda: outbox.pending() == 0)

    asyncio.run(scenario())
    assert len(server.committed) == 2
    assert [why for _, why in outbox.refused()] == ["It is larger than the broker accepts."]


@pytest.mark.parametrize("url", ["", "http://host", "mqtt://", "mqtt://host:port", "host:1883"])
def test_an_address_that_is_none_is_one_sentence(url: str) -> None:
    with pytest.raises(UplinkError):
        Broker.from_url(url)


def test_addresses() -> None:
    assert Broker.from_url("mqtt://host") == Broker("host", 1883)
    assert Broker.from_url("mqtts://a%40b:c%2Fd@host:99") == Broker("host", 99, True, "a@b", "c/d")
