"""bleak's public API over the bumble back end, with real bumble peripherals at the other end."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from bleak import BleakClient
from bleak.exc import BleakBluetoothNotAvailableError, BleakError, BleakGATTProtocolError
from bumble.gatt import Characteristic, Service
from hypothesis import given, settings
from hypothesis import strategies as st

from rtm_gateway.advertising import parse_advertising
from rtm_gateway.drivers import recognise
from rtm_gateway.radio import BumbleRadio, NativeRadio, open_radio

SERVICE = "f0a10000-5a00-4b00-9c00-0a1b2c3d4e5f"
OPEN, SECRET, STREAM = (f"f0a1000{i}-5a00-4b00-9c00-0a1b2c3d4e5f" for i in (1, 2, 3))
Permissions = Characteristic.Permissions
Properties = Characteristic.Properties


def gadget(kit: SimpleNamespace, air: Any, *, mtu: int = 247) -> Any:
    """A peripheral with an open, an encrypted and a notifying characteristic."""
    both = Permissions.READABLE | Permissions.WRITEABLE
    encrypted = Permissions.READABLE | Permissions.READ_REQUIRES_ENCRYPTION
    characteristics = [
        Characteristic(OPEN, Properties.READ | Properties.WRITE, both, b"hello"),
        Characteristic(SECRET, Properties.READ, encrypted, b"key"),
        Characteristic(STREAM, Properties.NOTIFY, Permissions.READABLE, b""),
    ]
    advertising = kit.advertisement("Gadget", SERVICE)
    peripheral = kit.Peripheral(air, "C0:00:00:00:00:09", advertising, [Service(SERVICE, characteristics)])
    peripheral.device.gatt_server.max_mtu = mtu
    peripheral.stream = characteristics[2]
    return peripheral


def play(
    kit: SimpleNamespace,
    story: Callable[[Any, Any, BumbleRadio], Awaitable[None]],
    state: Path | None = None,
    mtu: int = 247,
) -> None:
    async def run() -> None:
        async with kit.open_air() as air:
            peripheral = gadget(kit, air, mtu=mtu)
            await peripheral.open()
            radio = open_radio(air.moniker, state)
            assert isinstance(radio, BumbleRadio)
            try:
                await story(air, peripheral, radio)
            finally:
                await radio.close()

    asyncio.run(run())


async def connected(radio: BumbleRadio, **options: Any) -> BleakClient:
    found = await radio.find("C0:00:00:00:00:09", 5)
    assert found is not None
    return await radio.connect(found[0], **options)


@pytest.mark.parametrize("mtu", [23, 65, 247])
def test_reads_writes_and_notifications(radio_kit: SimpleNamespace, mtu: int) -> None:
    async def story(_air: Any, peripheral: Any, radio: BumbleRadio) -> None:
        client = await connected(radio)
        got: list[bytes] = []
        await client.start_notify(STREAM, lambda _, data: got.append(bytes(data)))
        await client.write_gatt_char(OPEN, b"x" * 60, response=True)
        assert await client.read_gatt_char(OPEN) == b"x" * 60
        size = client.services.get_characteristic(OPEN)
        assert size is not None
        assert size.max_write_without_response_size == mtu - 3 == client.mtu_size - 3
        for i in range(50):
            await peripheral.notify(peripheral.stream, bytes((i,)) * (mtu - 3))
        for _ in range(300):
            if len(got) == 50:
                break
            await asyncio.sleep(0.01)
        assert got == [bytes((i,)) * (mtu - 3) for i in range(50)]
        await client.stop_notify(STREAM)
        await client.disconnect()
        assert not client.is_connected

    play(radio_kit, story, mtu=mtu)


def test_encryption_is_asked_for_and_a_bond_is_used_again(radio_kit: SimpleNamespace, tmp_path: Path) -> None:
    """Over a restart of the gateway too: our address and our half of the bond are kept."""

    async def story(air: Any, _peripheral: Any, radio: BumbleRadio) -> None:
        client = await connected(radio)
        with pytest.raises(BleakGATTProtocolError) as refused:
            await client.read_gatt_char(SECRET)
        assert refused.value.code == 0x0F
        await client.pair()
        assert await client.read_gatt_char(SECRET) == b"key"
        await client.disconnect()
        await radio.close()
        await asyncio.sleep(0.1)  # bumble's TCP server has one sink: the old connection must be seen to end
        again = open_radio(air.moniker, tmp_path)
        assert isinstance(again, BumbleRadio)
        client = await connected(again)
        assert await client.read_gatt_char(SECRET) == b"key"
        await client.unpair()
        client = await connected(again)
        with pytest.raises(BleakGATTProtocolError):
            await client.read_gatt_char(SECRET)
        await again.close()

    play(radio_kit, story, tmp_path)
    assert (tmp_path / "radio_address").read_text(encoding="ascii").count(":") == 5


def test_what_is_pending_when_the_link_drops_fails_in_plain_words(radio_kit: SimpleNamespace) -> None:
    async def story(air: Any, _peripheral: Any, radio: BumbleRadio) -> None:
        gone = asyncio.Event()
        client = await connected(radio, on_disconnected=lambda _: gone.set())
        pending = [asyncio.create_task(client.read_gatt_char(OPEN)) for _ in range(3)]
        await asyncio.sleep(0)
        await air.drop()
        results = await asyncio.gather(*pending, return_exceptions=True)
        assert any(isinstance(result, BleakError) for result in results)
        assert all(isinstance(result, BleakError | bytearray) for result in results)
        await asyncio.wait_for(gone.wait(), 5)
        with pytest.raises(BleakError):  # bleak's own words: its services are gone
            await client.read_gatt_char(OPEN)

    play(radio_kit, story)


def test_connecting_to_nobody_times_out_and_leaves_the_radio_usable(radio_kit: SimpleNamespace) -> None:
    async def story(_air: Any, peripheral: Any, radio: BumbleRadio) -> None:
        found = await radio.find("C0:00:00:00:00:09", 5)
        assert found is not None
        await peripheral.device.stop_advertising()
        with pytest.raises((TimeoutError, BleakError)):
            await radio.connect(found[0], timeout=1.0)
        await peripheral.device.start_advertising()
        client = await connected(radio)
        await client.disconnect()

    play(radio_kit, story)


def test_a_radio_that_is_not_there_is_named() -> None:
    async def story() -> None:
        radio = open_radio("bumble:tcp-client:127.0.0.1:9")
        with pytest.raises(BleakBluetoothNotAvailableError, match="cannot be reached"):
            await radio.scan(0.1)

    asyncio.run(story())
    assert isinstance(open_radio("native"), NativeRadio)
    for wrong in ("bumble", "bumble:", "wifi", ""):
        with pytest.raises(ValueError, match="unknown radio"):
            open_radio(wrong)


def test_a_hundred_advertisers_with_rubbish_among_them(radio_kit: SimpleNamespace) -> None:
    async def story(air: Any, _peripheral: Any, radio: BumbleRadio) -> None:
        rng = random.Random(1)
        for i in range(99):
            rubbish = rng.randbytes(rng.randrange(32)) if i % 3 else radio_kit.advertisement(f"Speaker {i}")
            other = radio_kit.Peripheral(air, f"C1:00:00:00:00:{i:02X}", rubbish, [], interval_ms=500)
            await other.open()
        found = await radio.scan(1.5)
        assert len(found) == 100
        assert [recognise(data) for _, data in found] == [None] * 100
        client = await connected(radio)
        await client.disconnect()

    play(radio_kit, story)


@settings(max_examples=300)
@given(st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=40)), max_size=8))
def test_advertising_structures_of_any_length(structures: list[tuple[int, bytes]]) -> None:
    fields = parse_advertising(structures)
    assert all(len(uuid) == 36 for uuid in fields.service_uuids)
