"""What bleak leaves to others on Linux: to agree to a pairing, and to see that a sensor has forgotten its bond.

bluetoothd asks an agent before it pairs with anybody, even where nothing has to be typed or compared, and refuses
where there is none (org.bluez.AgentManager in BlueZ's documentation). A gateway without a screen has none, so it
is the agent itself, for as long as it connects to one sensor, and for that sensor alone: whoever else would like
to pair meanwhile is turned down. An agent of the desktop's stays the default one and hears of it first.

A bond that the sensor has forgotten ends the connecting like a weak radio does, and would be tried for ever.
A late BlueZ (5.87 documents it, 5.82 does not have it) tells the reason in `Device1.Disconnected`. Without it, what
can be seen is a link of a bonded device that comes up and falls again and again before its services are known:
encryption is the first thing tried on it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

from bleak.backends.bluezdbus.manager import get_global_bluez_manager
from bleak.backends.bluezdbus.utils import get_dbus_authenticator
from bleak.exc import BleakError
from dbus_fast import BusType, Message, MessageType
from dbus_fast.aio import MessageBus

from rtm_gateway.bond import BondLostError, PairingRefusedError

_log = logging.getLogger(__name__)

_BLUEZ: Final = "org.bluez"
AGENT_PATH: Final = "/org/homestretch/agent"
AGENT: Final = "org.bluez.Agent1"
_MANAGER: Final = "org.bluez.AgentManager1"
_DEVICE: Final = "org.bluez.Device1"
_REJECTED: Final = "org.bluez.Error.Rejected"
_NO_COMMON_KEY: Final = "org.bluez.Reason.Authentication"
_FALLS: Final = 5
"""Links in a row that came up and fell, where no reason is told; more than a weak radio gives, and harmless if not:
the sensor is paired anew."""
_AGREE: Final = frozenset({"RequestConfirmation", "RequestAuthorization"})
"""What is asked where neither side has keys or a display; a passkey could not be given by anybody here."""
_NOTED: Final = frozenset({"Release", "Cancel"})
_REASON_S: Final = 1.0
"""The signal and the failed call reach us on two connections to the bus, in any order."""


class PairingDesk:
    """Answers bluetoothd about one device and notes when its link ended for want of a common key."""

    def __init__(self, device: str, *, bonded: bool) -> None:
        self.device = device
        self.bonded = bonded
        self._falls = 0
        self._was_up = False
        self._tells_why = False
        self.refused = asyncio.Event()
        self.on_refused: Callable[[], None] = lambda: None

    async def was_refused(self, error: Exception) -> bool:
        """Whether the connecting failed for want of a common key; a moment is given to whoever says so."""
        if "AuthenticationFailed" in str(error):
            return True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_REASON_S):
                await self.refused.wait()
        return self.refused.is_set()

    def on_message(self, message: Message) -> Message | None:
        """A handler of `dbus_fast.MessageBus`: the answer to a question, None to what is none."""
        if message.message_type is MessageType.SIGNAL:
            self._on_signal(message)
        elif message.message_type is MessageType.METHOD_CALL and message.interface == AGENT:
            return self._answer(message)
        return None

    def _on_signal(self, message: Message) -> None:
        if message.path != self.device or not message.body:
            return
        if (message.interface, message.member) == (_DEVICE, "Disconnected"):
            self._tells_why = True
            if message.body[0] == _NO_COMMON_KEY:
                self._refuse()
        elif message.member == "PropertiesChanged" and message.body[0] == _DEVICE:
            self._on_change({name: value.value for name, value in message.body[1].items()})

    def _on_change(self, changed: dict[str, Any]) -> None:
        up = changed.get("Connected")
        if changed.get("ServicesResolved"):
            self._falls = 0
        if up is False and self._was_up:
            self._falls += 1
        if up is not None:
            self._was_up = bool(up)
        if self.bonded and self._falls >= _FALLS and not self._tells_why:
            self._refuse()

    def _refuse(self) -> None:
        self.refused.set()
        self.on_refused()

    def _answer(self, message: Message) -> Message:
        ours = bool(message.body) and message.body[0] == self.device
        if message.member in _NOTED or (message.member in _AGREE and ours):
            return Message.new_method_return(message)
        return Message.new_error(message, _REJECTED, "This gateway pairs with its own sensors only.")


@contextlib.asynccontextmanager
async def pairing_with(device: str) -> AsyncIterator[None]:
    """While connecting to the device at this D-Bus path, agree to its pairing.

    Raises BondLostError instead of bleak's errors when the device no longer knows its key, PairingRefusedError
    when it did not let itself be paired. Where the bus cannot be reached, bleak says so.
    """
    desk = PairingDesk(device, bonded=(await get_global_bluez_manager()).is_paired(device))
    bus = await _agent_of(desk)
    try:
        async with asyncio.timeout(None) as limit:
            loop = asyncio.get_running_loop()
            desk.on_refused = lambda: limit.reschedule(loop.time())
            yield
    except (BleakError, TimeoutError) as error:
        desk.on_refused = lambda: None
        if not await desk.was_refused(error):
            raise
        if desk.bonded:
            raise BondLostError("the sensor has forgotten its bond with this gateway") from error
        raise PairingRefusedError("the sensor does not let itself be paired") from error
    finally:
        desk.on_refused = lambda: None
        if bus is not None:
            bus.disconnect()  # with it goes the agent


async def _agent_of(desk: PairingDesk) -> MessageBus | None:
    """A connection of our own, on which the desk is bluetoothd's agent; None where there is no bus."""
    bus = MessageBus(bus_type=BusType.SYSTEM, auth=get_dbus_authenticator())
    try:
        await bus.connect()
    except (OSError, EOFError, ValueError) as error:
        bus.disconnect()
        _log.debug("no agent: %s", error)
        return None
    bus.add_message_handler(desk.on_message)
    freedesktop = "org.freedesktop.DBus"
    match = f"type='signal',sender='{_BLUEZ}',path='{desk.device}'"
    await _call(bus, freedesktop, "/org/freedesktop/DBus", freedesktop, "AddMatch", "s", [match])
    body = [AGENT_PATH, "NoInputNoOutput"]
    await _call(bus, _BLUEZ, "/org/bluez", _MANAGER, "RegisterAgent", "os", body)
    return bus


async def _call(
    bus: MessageBus, to: str, path: str, interface: str, member: str, signature: str, body: list[Any]
) -> None:
    """Call, and log a refusal: pairing may still succeed by somebody else's agent."""
    message = Message(
        destination=to, path=path, interface=interface, member=member, signature=signature, body=body
    )
    reply = await bus.call(message)
    if reply.message_type is MessageType.ERROR:
        _log.warning("bluetoothd refuses %s: %s", member, reply.error_name)
