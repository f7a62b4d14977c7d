"""The life of a link, over real bumble parts."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from rtm_gateway.drivers import SampleBlock
from rtm_gateway.drivers.driver import Flag
from rtm_gateway.drivers.homestretch import HomestretchDriver
from rtm_gateway.link import Event, LinkEvent, LinkPolicy, SensorLink, boots_by_clock
from rtm_gateway.radio import Radio, open_radio
from rtm_gateway.rate import RateWatch, contradicts_itself

QUICK = LinkPolicy(
    silence_s=1.0,
    first_wait_s=0.05,
    longest_wait_s=0.2,
    find_s=2.0,
    connect_s=5.0,
    exchange_every_s=30.0,
    resync_every_s=0.3,
    settle_s=0.1,
)


class Owner:
    """Collects what a link tells, as the gateway's application does."""

    def __init__(self, kit: SimpleNamespace) -> None:
        self.kit = kit
        self.blocks: list[SampleBlock] = []
        self.events: list[LinkEvent] = []

    def kinds(self) -> list[Event]:
        return [event.kind for event in self.events]

    def samples(self, boot: int = 7) -> dict[int, tuple[int, ...]]:
        """Index -> values; fails on a sample that came twice."""
        got: dict[int, tuple[int, ...]] = {}
        for block in self.blocks:
            if block.boot != boot:
                continue
            for offset, row in enumerate(block.values.tolist()):
                assert block.first + offset not in got, "a sample was delivered twice"
                got[block.first + offset] = tuple(row)
        return got

    async def until(self, done: Callable[[], bool], seconds: float = 60.0) -> None:
        async with asyncio.timeout(seconds):
            while not done():
                await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def linked(owner: Owner, sensor: Any, radio: Radio, **options: Any) -> AsyncIterator[SensorLink]:
    found = await radio.find(sensor.device.random_address.to_string(False), 5)
    assert found is not None
    arguments: dict[str, Any] = {"policy": QUICK, "rng": random.Random(1), **options}
    link = SensorLink(
        found[0],
        options.pop("driver", None) or HomestretchDriver(),
        radio=radio,
        on_block=owner.blocks.append,
        on_event=owner.events.append,
        **{key: value for key, value in arguments.items() if key != "driver"},
    )
    task = asyncio.create_task(link.run())
    try:
        yield link
    finally:
        await link.stop()
        await asyncio.wait_for(task, 10)


def run_with_sensor(
    kit: SimpleNamespace, story: Callable[[Owner, Any, Any, Radio], Any], **options: Any
) -> None:
    """Open the air with one sensor and play the story."""

    async def play() -> None:
        async with kit.open_air() as air:
            sensor = kit.HomestretchSensor(air, **options)
            await sensor.open()
            radio = open_radio(air.moniker)
            try:
                await story(Owner(kit), air, sensor, radio)
            finally:
                await radio.close()

    asyncio.run(play())


def expected(sensor: Any, boot: int, count: int) -> dict[int, tuple[int, ...]]:
    return {i: sensor.value(boot, i) for i in range(count)}


def test_pairs_streams_and_compares_clocks(radio_kit: SimpleNamespace) -> None:
    async def story(owner: Owner, _air: Any, sensor: Any, radio: Radio) -> None:
        async with linked(owner, sensor, radio) as link:
            await owner.until(lambda: sensor.streaming)
            await sensor.sample(200)
            await owner.until(lambda: len(owner.samples()) == 200)
            assert link.identity is not None
            assert link.identity.serial == "TEST0001"
            assert link.identity.simulated
            assert sensor.connection.is_encrypted
            assert sensor.connection.att_mtu == 247
            await owner.until(lambda: Event.BATTERY in owner.kinds())
        assert owner.samples() == expected(sensor, 7, 200)
        assert owner.kinds().count(Event.CLOCK) == QUICK.exchanges_at_start
        assert [e.value for e in owner.events if e.kind is Event.BATTERY] == [0.87]

    run_with_sensor(radio_kit, story)


def test_samples_taken_while_the_link_was_lost_come_from_flash(radio_kit: SimpleNamespace) -> None:
    async def story(owner: Owner, air: Any, sensor: Any, radio: Radio) -> None:
        async with linked(owner, sensor, radio):
            await owner.until(lambda: sensor.streaming)
            for _ in range(3):
                await sensor.sample(50)
                await air.drop()
                await sensor.sample(300)
                await owner.until(lambda: sensor.streaming)
            await sensor.sample(50)
            await owner.until(lambda: len(owner.samples()) == 1100)
        assert owner.samples() == expected(sensor, 7, 1100)
        assert owner.kinds().count(Event.CONNECTED) == 4

    run_with_sensor(radio_kit, story)


def test_a_restarted_gateway_fetches_only_what_it_lacks(radio_kit: SimpleNamespace) -> None:
    async def story(owner: Owner, _air: Any, sensor: Any, radio: Radio) -> None:
        await sensor.sample(500)
        have = {("imu", 7): [(0, 200), (300, 350)]}
        async with linked(owner, sensor, radio, have=have):
            await owner.until(lambda: Event.RESYNCED in owner.kinds())
        wanted = [*range(200, 300), *range(350, 500)]
        assert owner.samples() == {i: sensor.value(7, i) for i in wanted}

    run_with_sensor(radio_kit, story)


def test_a_reboot_is_a_new_boot_and_loses_nothing(radio_kit: SimpleNamespace) -> None:
    async def story(owner: Owner, air: Any, sensor: Any, radio: Radio) -> None:
        async with linked(owner, sensor, radio):
            await owner.until(lambda: sensor.streaming)
            await sensor.sample(100)
            sensor.mute = True
            await sensor.sample(50)
            sensor.mute = False
            sensor.reboot()
            await air.drop()
            await owner.until(lambda: sensor.streaming)
            await sensor.sample(80)
            await owner.until(lambda: len(owner.samples(8)) == 80 and len(owner.samples(7)) == 150)
        assert owner.samples(7) == expected(sensor, 7, 150)
        assert owner.samples(8) == expected(sensor, 8, 80)
        assert Event.REBOOTED in owner.kinds()

    run_with_sensor(radio_kit, story)


def test_a_half_open_link_is_noticed(radio_kit: SimpleNamespace) -> None:
    async def story(owner: Owner, _air: Any, sensor: Any, radio: Radio) -> None:
        async with linked(owner, sensor, radio):
            await owner.until(lambda: sensor.streaming)
            await owner.until(lambda: Event.STALLED in owner.kinds())
            await owner.until(lambda: owner.kinds().count(Event.CONNECTED) == 2)

    run_with_sensor(radio_kit, story)


@pytest.mark.parametrize("side", ["sensor", "gateway"])
def test_a_lost_bond_is_made_anew(radio_kit: SimpleNamespace, side: str) -> None:
    async def story(owner: Owner, air: Any, sensor: Any, radio: Any) -> None:
        async with linked(owner, sensor, radio):
            await owner.until(lambda: sensor.streaming)
            store = sensor.device.keystore if side == "sensor" else radio.adapter.keystore
            await store.delete_all()
            await air.drop()
            await owner.until(lambda: sensor.connection is None)
            await owner.until(lambda: sensor.streaming, 20)
            await sensor.sample(10)
            await owner.until(lambda: len(owner.samples()) == 10)
        assert (Event.BOND_LOST in owner.kinds()) == (side == "sensor")

    run_with_sensor(radio_kit, story)


def test_somebody_elses_sensor_is_refused_in_plain_words(radio_kit: SimpleNamespace) -> None:
    async def story(owner: Owner, _air: Any, sensor: Any, radio: Radio) -> None:
        async with linked(owner, sensor, radio, bound="OTHER999"):
            await owner.until(lambda: Event.REFUSED in owner.kinds())
        refused = [event for event in owner.events if event.kind is Event.REFUSED]
        assert "somebody else" in refused[0].what
        assert owner.blocks == []

    run_with_sensor(radio_kit, story)


def test_freeing_and_stopping(radio_kit: SimpleNamespace) -> None:
    async def story(owner: Owner, _air: Any, sensor: Any, radio: Radio) -> None:
        async with linked(owner, sensor, radio) as link:
            await owner.until(lambda: sensor.streaming)
            await sensor.sample(100)
            await owner.until(lambda: len(owner.samples()) == 100)
            assert await link.free(7, 60)
            assert sensor.freed == [(7, 60)]
            assert await link.blink(2)
            link.set_streaming(False)
            await owner.until(lambda: not sensor.sampling)

    run_with_sensor(radio_kit, story)


def test_two_sensors_with_one_address_are_told_apart(radio_kit: SimpleNamespace) -> None:
    """The second one appears when the first is gone; its serial number gives it away."""

    async def story(owner: Owner, air: Any, sensor: Any, radio: Radio) -> None:
        async with linked(owner, sensor, radio):
            await owner.until(lambda: sensor.streaming)
            await sensor.sample(20)
            await owner.until(lambda: len(owner.samples()) == 20)
            sensor.serial = "TEST0002"
            await air.drop()
            await owner.until(lambda: Event.REFUSED in owner.kinds())
        refused = [event for event in owner.events if event.kind is Event.REFUSED]
        assert "TEST0002" in refused[0].what
        assert "TEST0001" in refused[0].what

    run_with_sensor(radio_kit, story)


def test_a_device_that_lies_about_its_rate_is_named() -> None:
    watch = RateWatch(100.0)
    values = np.zeros((1, 6), np.int16)
    said = []
    for i in range(2000):
        block = SampleBlock("imu", 1, i, values, i * 630, 32768.0, i * 19_000_000)
        said.append(watch.observe(block))
    (measured,) = [rate for rate in said if rate is not None]
    assert measured == pytest.approx(52.0, abs=0.2)
    assert said.index(measured) > 1000, "one window alone may be the radio's"
    honest = RateWatch(52.0)
    assert all(
        honest.observe(SampleBlock("imu", 1, i, values, None, 52.0, i * 19_231_000)) is None
        for i in range(2000)
    )


def test_a_sensor_whose_index_lies_is_refused_in_plain_words(radio_kit: SimpleNamespace) -> None:
    """It says 100 Hz; by its own clock it counts 50 samples a second, so no time of it can be trusted."""

    async def story(owner: Owner, _air: Any, sensor: Any, radio: Radio) -> None:
        sensor.tick = lambda index: 1000 + index * sensor.TICK_HZ // 50
        async with linked(owner, sensor, radio) as link:
            await owner.until(lambda: link.connected and sensor.streaming)
            for _ in range(60):
                await sensor.sample(25)
            await owner.until(lambda: Event.REFUSED in owner.kinds())
        (event,) = [e for e in owner.events if e.kind is Event.REFUSED]
        assert event.what == (
            "This sensor is refused: it sends 50.0 samples a second instead of 100,"
            " and nobody can say when they were taken."
        )

    run_with_sensor(radio_kit, story)


@pytest.mark.parametrize(
    ("flags", "tick", "refused"),
    [(Flag.GATEWAY_INDEX, 5, False), (Flag.GATEWAY_INDEX, None, False), (Flag.NONE, 5, True)],
)
def test_only_who_counts_and_has_a_clock_contradicts_itself(
    flags: Flag, tick: int | None, refused: bool
) -> None:
    block = SampleBlock("imu", 1, 0, np.zeros((1, 6), np.int16), tick, 1000.0, 0, flags)
    assert contradicts_itself(block) == refused


def test_a_stop_does_not_wait_for_a_sensor_that_is_not_there(radio_kit: SimpleNamespace) -> None:
    async def story(owner: Owner, _air: Any, sensor: Any, radio: Radio) -> None:
        patient = LinkPolicy(find_s=600.0, connect_s=600.0, first_wait_s=0.01)
        found = await radio.find(sensor.device.random_address.to_string(False), 5)
        assert found is not None
        sensor.visible = False
        await sensor.device.stop_advertising()
        driver = HomestretchDriver()
        link = SensorLink(
            found[0],
            driver,
            radio=radio,
            on_block=owner.blocks.append,
            on_event=owner.events.append,
            policy=patient,
        )
        task = asyncio.create_task(link.run())
        await asyncio.sleep(0.3)
        await link.stop()
        await asyncio.wait_for(task, 10)  # 600 s otherwise
        await sensor.device.start_advertising()
        sensor.visible = True
        async with linked(owner, sensor, radio):  # the radio is usable after the interrupted attempt
            await owner.until(lambda: sensor.streaming)

    run_with_sensor(radio_kit, story)


def test_boot_numbers_do_not_repeat_where_the_clock_does(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = boots_by_clock()
    rising = [numbers() for _ in range(5)]
    assert sorted(set(rising)) == rising
    monkeypatch.setattr(time, "time_ns", lambda: 30_000_000_000)  # 1970, as after every power cut
    earlier = {numbers() for _ in range(5)}
    again = boots_by_clock(earlier)  # a restart, the clock set back to before them
    assert {again() for _ in range(5)}.isdisjoint(earlier)
    fresh = {boots_by_clock()() for _ in range(50)}
    assert len(fresh) == 50
    assert all(number >> 31 == 1 for number in fresh)


def test_a_radio_that_comes_and_goes(radio_kit: SimpleNamespace) -> None:
    async def story(owner: Owner, air: Any, sensor: Any, radio: Radio) -> None:
        async with linked(owner, sensor, radio):
            await owner.until(lambda: sensor.streaming)
            await sensor.sample(10)
            await owner.until(lambda: len(owner.samples()) == 10)
            air._transport.sink.transport.close()  # the adapter is pulled out
            await air.drop()
            await sensor.sample(30)
            await owner.until(lambda: sensor.streaming, 20)
            await sensor.sample(10)
            await owner.until(lambda: len(owner.samples()) == 50)
        assert owner.samples() == expected(sensor, 7, 50)

    run_with_sensor(radio_kit, story)


@pytest.mark.parametrize("knows_tick", [True, False])
def test_what_a_memory_holds_since_days_keeps_its_whole_tick(
    radio_kit: SimpleNamespace, knows_tick: bool
) -> None:
    """A frame has 32 bits of it, 36.4 hours; a sensor from before TICK tells no more."""
    days = 5 << 32

    async def story(owner: Owner, _air: Any, sensor: Any, radio: Radio) -> None:
        sensor.knows_tick, sensor.ticks_at_start = knows_tick, days
        await sensor.sample(50)
        async with linked(owner, sensor, radio):
            await owner.until(lambda: len(owner.samples()) == 50)
        stored = [block for block in owner.blocks if block.flags & Flag.FLASH]
        assert stored
        for block in stored:
            assert block.tick == sensor.tick(block.first) - (0 if knows_tick else days)

    run_with_sensor(radio_kit, story)
