"""The agent that bluetoothd asks, and what it makes of a link that ends: over a real D-Bus, with a small bluetoothd."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bleak.exc import BleakDBusError, BleakError

if sys.platform != "linux":
    pytest.skip("D-Bus and BlueZ are there on Linux only", allow_module_level=True)

from dbus_fast import BusType, Message, MessageType, Variant
from dbus_fast.aio import MessageBus

from rtm_gateway import bluez
from rtm_gateway.bluez import AGENT, PairingDesk, pairing_with
from rtm_gateway.bond import BondLostError, PairingRefusedError

OURS, OTHER = "/org/bluez/hci0/dev_C0_00_00_00_00_01", "/org/bluez/hci0/dev_C0_00_00_00_00_02"
DEVICE = "org.bluez.Device1"
Answer = tuple[MessageType, str | None]


def question(member: str, *body: Any) -> Message:
    return Message(
        destination=":1.1", path=bluez.AGENT_PATH, interface=AGENT, member=member, serial=1, sender=":1.2",
        signature="o" if body else "", body=list(body),
    )  # fmt: skip


def changed(device: str, **properties: bool) -> Message:
    body = [DEVICE, {name: Variant("b", value) for name, value in properties.items()}, []]
    return Message.new_signal(
        device, "org.freedesktop.DBus.Properties", "PropertiesChanged", "sa{sv}as", body
    )


def disconnected(device: str, reason: str) -> Message:
    return Message.new_signal(device, DEVICE, "Disconnected", "ss", [f"org.bluez.Reason.{reason}", "words"])


@pytest.mark.parametrize("member", ["RequestConfirmation", "RequestAuthorization"])
@pytest.mark.parametrize(("device", "agreed"), [(OURS, True), (OTHER, False)])
def test_the_sensor_being_connected_may_pair_and_nobody_else(member: str, device: str, agreed: bool) -> None:
    answer = PairingDesk(OURS, bonded=False).on_message(question(member, device))
    assert answer is not None
    assert (answer.message_type is MessageType.METHOD_RETURN) == agreed


@pytest.mark.parametrize("member", ["RequestPinCode", "RequestPasskey", "AuthorizeService", "Something"])
def test_what_cannot_be_answered_is_turned_down(member: str) -> None:
    answer = PairingDesk(OURS, bonded=False).on_message(question(member, OURS))
    assert answer is not None
    assert answer.error_name == "org.bluez.Error.Rejected"


def fall(desk: PairingDesk, times: int, device: str = OURS) -> None:
    for _ in range(times):
        desk.on_message(changed(device, Connected=True))
        desk.on_message(changed(device, Connected=False))


def test_a_bonded_device_whose_link_falls_again_and_again_has_forgotten_its_bond() -> None:
    desk = PairingDesk(OURS, bonded=True)
    fall(desk, 4)
    fall(desk, 20, OTHER)
    assert not desk.refused.is_set()
    fall(desk, 1)
    assert desk.refused.is_set()


@pytest.mark.parametrize("story", ["no bond", "services were found", "another reason was told"])
def test_falls_that_mean_something_else(story: str) -> None:
    desk = PairingDesk(OURS, bonded=story != "no bond")
    fall(desk, 4)
    if story == "services were found":
        desk.on_message(changed(OURS, Connected=True))
        desk.on_message(changed(OURS, ServicesResolved=True))
        fall(desk, 4)
    elif story == "another reason was told":
        desk.on_message(disconnected(OURS, "Timeout"))
        fall(desk, 20)
    else:
        fall(desk, 20)
    assert not desk.refused.is_set()


def test_the_reason_is_believed_where_it_is_told() -> None:
    desk = PairingDesk(OURS, bonded=True)
    desk.on_message(disconnected(OTHER, "Authentication"))
    desk.on_message(disconnected(OURS, "Remote"))
    assert not desk.refused.is_set()
    desk.on_message(disconnected(OURS, "Authentication"))
    assert desk.refused.is_set()


# Over a bus


@pytest.fixture
def bus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A bus daemon of our own, as the system's."""
    daemon = shutil.which("dbus-daemon")
    if daemon is None:
        pytest.skip("there is no dbus-daemon on this machine (Debian package dbus-daemon)")
    config = tmp_path / "bus.conf"
    config.write_text(
        f"<busconfig><listen>unix:path={tmp_path}/bus</listen><auth>EXTERNAL</auth><policy context='default'>"
        "<allow send_destination='*'/><allow eavesdrop='true'/><allow own='*'/></policy></busconfig>"
    )
    command = [daemon, f"--config-file={config}", "--nofork", "--print-address"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", process.stdout.readline().strip())
        try:
            yield
        finally:
            process.terminate()


class Bluetoothd:
    """Of bluetoothd only the agent's registration; asks the agent, tells of links."""

    def __init__(self, bus: MessageBus) -> None:
        self._bus = bus
        self.agents: list[tuple[str, str, str]] = []

    @staticmethod
    @contextlib.asynccontextmanager
    async def running() -> Any:
        bus = await MessageBus(bus_type=BusType.SYSTEM).connect()
        daemon = Bluetoothd(bus)
        bus.add_message_handler(daemon.on_message)
        await bus.request_name("org.bluez")
        try:
            yield daemon
        finally:
            bus.disconnect()

    def on_message(self, message: Message) -> Message | None:
        if message.message_type is MessageType.METHOD_CALL and message.member == "RegisterAgent":
            path, capability = message.body
            self.agents.append((str(message.sender), path, capability))
            return Message.new_method_return(message)
        return None

    async def ask(self, member: str, device: str) -> Answer:
        sender, path, _ = self.agents[-1]
        reply = await self._bus.call(
            Message(
                destination=sender,
                path=path,
                interface=AGENT,
                member=member,
                signature="o",
                body=[device],
            )
        )
        return reply.message_type, reply.error_name

    async def tell(self, signal: Message) -> None:
        await self._bus.send(signal)


class _Manager:
    def __init__(self, paired: bool) -> None:
        self._paired = paired

    def is_paired(self, _path: str) -> bool:
        return self._paired


def bonded(monkeypatch: pytest.MonkeyPatch, paired: bool) -> None:
    async def manager() -> _Manager:
        return _Manager(paired)

    monkeypatch.setattr(bluez, "get_global_bluez_manager", manager)


@pytest.mark.usefixtures("bus")
def test_bluetoothd_asks_our_agent_while_we_connect_and_only_then(monkeypatch: pytest.MonkeyPatch) -> None:
    bonded(monkeypatch, paired=False)

    async def story() -> list[Answer]:
        async with Bluetoothd.running() as daemon:
            async with pairing_with(OURS):
                answers = [await daemon.ask("RequestAuthorization", each) for each in (OURS, OTHER)]
            assert daemon.agents[0][2] == "NoInputNoOutput"
            return [*answers, await daemon.ask("RequestAuthorization", OURS)]

    during, other, after = asyncio.run(story())
    assert during[0] is MessageType.METHOD_RETURN
    assert other == (MessageType.ERROR, "org.bluez.Error.Rejected")
    assert after[0] is MessageType.ERROR, "the agent is gone"


@pytest.mark.usefixtures("bus")
@pytest.mark.parametrize("paired", [True, False])
def test_a_connecting_that_cannot_succeed_is_broken_off(
    monkeypatch: pytest.MonkeyPatch, paired: bool
) -> None:
    bonded(monkeypatch, paired)

    async def story() -> None:
        async with Bluetoothd.running() as daemon, pairing_with(OURS):
            await daemon.tell(disconnected(OURS, "Authentication"))
            await asyncio.sleep(3600)

    with pytest.raises(BondLostError if paired else PairingRefusedError):
        asyncio.run(story())


@pytest.mark.usefixtures("bus")
def test_other_failures_stay_what_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    bonded(monkeypatch, paired=True)
    monkeypatch.setattr(bluez, "_REASON_S", 0.05)

    async def story(error: Exception) -> None:
        async with Bluetoothd.running(), pairing_with(OURS):
            raise error

    for error in (TimeoutError("weak"), BleakError("weak"), ValueError("a mistake of ours")):
        with pytest.raises(type(error), match=str(error)):
            asyncio.run(story(error))
    with pytest.raises(BondLostError):
        asyncio.run(story(BleakDBusError("org.bluez.Error.AuthenticationFailed", [])))


def test_without_a_bus_bleak_says_what_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bonded(monkeypatch, paired=False)
    monkeypatch.setitem(os.environ, "DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path}/nobody")

    async def story() -> None:
        async with pairing_with(OURS):
            raise BleakError("what bleak says")

    monkeypatch.setattr(bluez, "_REASON_S", 0.05)
    with pytest.raises(BleakError, match="what bleak says"):
        asyncio.run(story())
