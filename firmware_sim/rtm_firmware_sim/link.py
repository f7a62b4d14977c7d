"""The air between controllers: bumble's link, with time, loss and range, and bumble's defects patched.

`SimLink()` is perfect: every packet arrives at once, which is what plain use and most tests want. With
`RadioConditions` each connection gets a connection interval, a number of link-layer packets an event,
retransmission of what was lost, a queue, and a supervision timeout. A Bluetooth LE link layer is reliable and
ordered: what is lost is time, and in the end the connection, never a packet out of the middle.

Patched defects of bumble 0.0.236: finding a controller costs controllers x connections; every advertisement
is handed to every controller; data from a central with a public address finds no connection;
LE_Create_Connection_Cancel is a stub; 27-byte ACL packets; HCI_Reset leaves connections behind.
"""

from __future__ import annotations

import asyncio
import logging
import random
import zlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

from bumble import core, hci, ll
from bumble.controller import Connection, Controller
from bumble.host import Host
from bumble.link import LocalLink

logger = logging.getLogger(__name__)

ACL_BYTES = 251
"""LE data length extension: the largest link-layer payload (Core 5.x, Vol 6, Part B, 4.5.10)."""
L2CAP_HEADER_BYTES = 4


@dataclass(frozen=True, slots=True)
class RadioConditions:
    """What the radio does to a connection.

    interval_s: connection interval (7.5 ms to 4 s). loss: probability that a link-layer packet needs another
    event. packets_per_event: link-layer packets in one direction an event. supervision_s: silence after which
    both ends drop the connection.
    """

    interval_s: float = 0.030
    loss: float = 0.0
    packets_per_event: int = 4
    supervision_s: float = 2.0


@dataclass(slots=True)
class _Item:
    """One thing on its way: link-layer packets still to be sent, and what happens when the last one arrived."""

    packets: int
    deliver: Callable[[], None]


@dataclass(slots=True)
class _Direction:
    queue: deque[_Item] = field(default_factory=deque)
    timer: asyncio.TimerHandle | None = None


class SimController(Controller):
    """bumble's virtual controller with an honest connection cancel, reset, ACL size and flow control."""

    le_acl_data_packet_length = ACL_BYTES
    supported_max_tx_octets = ACL_BYTES
    supported_max_rx_octets = ACL_BYTES
    suggested_max_tx_octets = ACL_BYTES

    def on_hci_le_create_connection_cancel_command(
        self, _command: hci.HCI_LE_Create_Connection_Cancel_Command
    ) -> hci.HCI_StatusReturnParameters:
        """Core Vol 4, Part E, 7.8.13: the cancelled connection completes with `unknown connection
        identifier`."""
        pending, self.pending_le_connection = self.pending_le_connection, None
        if pending is None:
            return hci.HCI_StatusReturnParameters(hci.HCI_ErrorCode.COMMAND_DISALLOWED_ERROR)
        self.send_hci_packet(
            hci.HCI_LE_Connection_Complete_Event(
                status=hci.HCI_ErrorCode.UNKNOWN_CONNECTION_IDENTIFIER_ERROR,
                connection_handle=0,
                role=hci.Role.CENTRAL,
                peer_address_type=pending.peer_address.address_type,
                peer_address=pending.peer_address,
                connection_interval=0,
                peripheral_latency=0,
                supervision_timeout=0,
                central_clock_accuracy=0,
            )
        )
        return hci.HCI_StatusReturnParameters(hci.HCI_ErrorCode.SUCCESS)

    def on_hci_reset_command(self, command: hci.HCI_Reset_Command) -> hci.HCI_StatusReturnParameters:
        """A reset host has no connections: the peers see the link time out."""
        self.forget_everything()
        return super().on_hci_reset_command(command)

    def forget_everything(self) -> None:
        """Stop scanning, advertising and connecting; peers of open connections see a supervision timeout."""
        self.pending_le_connection = None
        self.le_scan_enable = False
        for advertising in self.advertising_sets.values():
            advertising.stop()
        self.le_legacy_advertiser.stop()
        for connection in list(self.le_connections.values()):
            if isinstance(self.link, SimLink):
                self.link.lose_peer(connection)
        self.le_connections.clear()

    # bumble writes out every packet, in colours, for a log that is off: more than half of a busy room's time.

    def on_hci_packet(self, packet: hci.HCI_Packet) -> None:
        """From the host; data on the short way."""
        if isinstance(packet, hci.HCI_AclDataPacket):
            self.on_hci_acl_data_packet(packet)
        else:
            super().on_hci_packet(packet)

    def send_hci_packet(self, packet: hci.HCI_Packet) -> None:
        """To the host."""
        if self.host:
            asyncio.get_running_loop().call_soon(self.host.on_packet, bytes(packet))

    def on_hci_acl_data_packet(self, packet: hci.HCI_AclDataPacket) -> None:
        if not isinstance(self.link, SimLink) or self.link.conditions is None:
            super().on_hci_acl_data_packet(packet)
            return
        connection = self.find_connection_by_handle(packet.connection_handle)
        if connection is not None:
            # Completed only when the link has carried it: the host's queue then fills as a real one does.
            self.link.packets_of_pdu += 1
            connection.assembler.feed_packet(packet)

    def completed(self, connection: Connection, packets: int) -> None:
        """Give the host its buffers back."""
        if connection.peer_address in self.le_connections:
            self.send_hci_packet(
                hci.HCI_Number_Of_Completed_Packets_Event(
                    connection_handles=[connection.handle], num_completed_packets=[packets]
                )
            )


class SimHost(Host):
    """bumble's host without the writing out of packets."""

    def on_hci_packet(self, packet: hci.HCI_Packet) -> None:
        """From the controller."""
        if isinstance(packet, hci.HCI_Event):
            self.on_hci_event_packet(packet)
        elif isinstance(packet, hci.HCI_AclDataPacket):
            self.on_hci_acl_data_packet(packet)
        else:
            super().on_hci_packet(packet)

    def send_hci_packet(self, packet: hci.HCI_Packet) -> None:
        """To the controller."""
        if self.snooper is not None:
            super().send_hci_packet(packet)
        elif self.hci_sink is not None:
            self.hci_sink.on_packet(bytes(packet))


class SimLink(LocalLink):
    """Controllers in one room. `conditions` None: perfect. `seed` makes the losses repeatable."""

    def __init__(self, conditions: RadioConditions | None = None, *, seed: int = 0) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # bumble's own __init__ has no annotations
        self.conditions = conditions
        self.packets_of_pdu = 0
        self._random = random.Random(seed)  # noqa: S311 - radio losses, not secrets
        self._by_address: dict[hci.Address, Controller] = {}
        self._directions: dict[tuple[hci.Address, hci.Address], _Direction] = {}
        self._out_of_range: dict[hci.Address, asyncio.TimerHandle] = {}

    # Who is who

    def add_controller(self, controller: Controller) -> None:
        super().add_controller(controller)
        self._by_address.clear()

    def remove_controller(self, controller: Controller) -> None:
        """Take a controller off the air; unknown ones are ignored."""
        self.controllers.discard(controller)
        self._by_address.clear()

    def on_address_changed(self, controller: Controller) -> None:
        """Forget the index: a controller has another address now."""
        super().on_address_changed(controller)  # type: ignore[no-untyped-call]  # bumble is not typed
        self._by_address.clear()

    def find_le_controller(self, address: hci.Address) -> Controller | None:
        """The controller of an address; remembered, checked before use."""
        known = self._by_address.get(address)
        if known is not None and address in (known.random_address, known.public_address):
            return known
        found = super().find_le_controller(address)
        if found is not None:
            self._by_address[address] = found
        return found

    # What travels

    def send_advertising_pdu(self, sender_controller: Controller, packet: ll.AdvertisingPdu) -> None:
        """To those who listen: the addressed one, scanners, and those waiting to connect."""
        if self._is_out_of_range(sender_controller):
            return
        loop = asyncio.get_running_loop()
        if isinstance(packet, ll.ConnectInd):
            target = self.find_le_controller(packet.advertiser_address)
            if target is not None and not self._is_out_of_range(target):
                loop.call_soon(target.on_ll_advertising_pdu, packet)
            return
        for controller in self.controllers:
            listens = controller.le_scan_enable or controller.pending_le_connection is not None
            if controller is not sender_controller and listens and not self._is_out_of_range(controller):
                loop.call_soon(controller.on_ll_advertising_pdu, packet)

    def send_acl_data(
        self,
        sender_controller: Controller,
        destination_address: hci.Address,
        transport: core.PhysicalTransport,
        data: bytes,
    ) -> None:
        """An L2CAP packet over an LE connection: at once, or through the connection's events."""
        if transport != core.PhysicalTransport.LE:
            super().send_acl_data(sender_controller, destination_address, transport, data)
            return
        connection = sender_controller.le_connections.get(destination_address)
        receiver = self.find_le_controller(destination_address)
        if connection is None or receiver is None:
            return
        source = connection.self_address

        def deliver() -> None:
            if source in receiver.le_connections:
                receiver.on_link_acl_data(source, transport, data)

        if self.conditions is None:
            if self._is_out_of_range(sender_controller) or self._is_out_of_range(receiver):
                return  # the range loss drops the connection; see lose_range
            asyncio.get_running_loop().call_soon(deliver)
            return
        completed, self.packets_of_pdu = self.packets_of_pdu, 0

        def deliver_and_complete() -> None:
            deliver()
            cast(SimController, sender_controller).completed(connection, completed)

        packets = -(-(len(data)) // ACL_BYTES)
        self._enqueue(source, destination_address, _Item(packets, deliver_and_complete))

    def send_ll_control_pdu(
        self, sender_address: hci.Address, receiver_address: hci.Address, packet: ll.ControlPdu
    ) -> None:
        """Link-layer control (encryption, updates, terminate), in order with the data."""
        receiver = self.find_le_controller(receiver_address)
        if receiver is None:
            return

        def deliver() -> None:
            if sender_address in receiver.le_connections:
                receiver.on_ll_control_pdu(sender_address, packet)

        if self.conditions is None:
            asyncio.get_running_loop().call_soon(deliver)
        else:
            self._enqueue(sender_address, receiver_address, _Item(1, deliver))

    # Connection events

    def _enqueue(self, source: hci.Address, destination: hci.Address, item: _Item) -> None:
        direction = self._directions.setdefault((source, destination), _Direction())
        direction.queue.append(item)
        if direction.timer is None:
            self._wait_for_event(source, destination, direction)

    def _wait_for_event(self, source: hci.Address, destination: hci.Address, direction: _Direction) -> None:
        conditions = self.conditions or RadioConditions(interval_s=0.0)
        loop = asyncio.get_running_loop()
        # Events lie on a grid of their own for each pair of radios, wherever the packet falls in it.
        phase = zlib.crc32(bytes(source) + bytes(destination)) / 2**32
        now = loop.time()
        interval = max(conditions.interval_s, 1e-4)
        wait = (phase - now / interval) % 1.0 * interval
        direction.timer = loop.call_at(now + max(wait, 1e-5), self._event, source, destination, direction)

    def _event(self, source: hci.Address, destination: hci.Address, direction: _Direction) -> None:
        direction.timer = None
        conditions = self.conditions or RadioConditions()
        if source not in self._out_of_range and destination not in self._out_of_range:
            for _ in range(conditions.packets_per_event):
                if not direction.queue:
                    break
                if self._random.random() < conditions.loss:
                    break  # not acknowledged: the event closes, the packet is sent again in the next one
                item = direction.queue[0]
                item.packets -= 1
                if item.packets <= 0:
                    direction.queue.popleft()
                    item.deliver()
        if direction.queue:
            self._wait_for_event(source, destination, direction)

    # Faults

    def drop(self, address: hci.Address) -> None:
        """End every connection of the controller at once, as a supervision timeout of both ends."""
        controller = self.find_le_controller(address)
        for connection in list(controller.le_connections.values()) if controller else []:
            self.lose_peer(connection)
            _time_out(cast(Controller, controller), connection.peer_address)

    def lose_peer(self, connection: Connection) -> None:
        """Tell the far end of a connection that it timed out; forget what was still queued."""
        for key in (
            (connection.self_address, connection.peer_address),
            (connection.peer_address, connection.self_address),
        ):
            direction = self._directions.pop(key, None)
            if direction is not None and direction.timer is not None:
                direction.timer.cancel()
        peer = self.find_le_controller(connection.peer_address)
        if peer is not None:
            _time_out(peer, connection.self_address)

    def lose_range(self, address: hci.Address, seconds: float) -> None:
        """The controller is out of range: nothing passes, not even advertisements; back after `seconds`.

        Longer than the supervision timeout: the connections drop after that timeout.
        """
        loop = asyncio.get_running_loop()
        if (pending := self._out_of_range.pop(address, None)) is not None:
            pending.cancel()
        supervision = (self.conditions or RadioConditions()).supervision_s
        if seconds > supervision:
            loop.call_later(supervision, self._supervise, address)
        elif self.conditions is None:
            # A perfect link has no queue to hold what is sent meanwhile: losing it is a lost connection.
            loop.call_soon(self.drop, address)
        self._out_of_range[address] = loop.call_later(seconds, self._out_of_range.pop, address, None)

    def _supervise(self, address: hci.Address) -> None:
        if address in self._out_of_range:
            self.drop(address)

    def _is_out_of_range(self, controller: Controller) -> bool:
        return bool(self._out_of_range) and (
            controller.random_address in self._out_of_range or controller.public_address in self._out_of_range
        )

    def close(self) -> None:
        """Cancel every timer."""
        for handle in self._out_of_range.values():
            handle.cancel()
        for direction in self._directions.values():
            if direction.timer is not None:
                direction.timer.cancel()
        self._out_of_range.clear()
        self._directions.clear()


def _time_out(controller: Controller, peer: hci.Address) -> None:
    connection = controller.le_connections.get(peer)
    if connection is not None:
        controller.on_le_disconnected(connection, hci.HCI_ErrorCode.CONNECTION_TIMEOUT_ERROR)
