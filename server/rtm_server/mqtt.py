"""Connecting to the broker: MQTT 5, acknowledgement by hand, reconnecting for ever."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote, urlsplit

import structlog
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from rtm_server import metrics
from rtm_server.errors import ServerError

log = structlog.get_logger(__name__)

RECEIVE_MAXIMUM = 50  # messages the broker hands over before the first is acknowledged: the back-pressure
_KEEP_ALIVE_S = 30
_PORTS = {"mqtt": 1883, "mqtts": 8883}


def connect(
    url: str,
    client_id: str,
    *,
    on_connect: Callable[[Client], None] | None = None,
    on_message: Callable[[Client, MQTTMessage], None] | None = None,
) -> Client:
    """A client that connects in the background once `loop_start` is called, and again whenever it must.

    on_connect: called at every successful connection (subscribe there). on_message: must lead to `client.ack`.
    url: `mqtt://user:password@host:port` or `mqtts://`.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS[parts.scheme]
    except (ValueError, KeyError):
        parts = None
    if parts is None or not parts.hostname:
        raise ServerError("the broker's URL is not of the form mqtt://user:password@host:port")
    client = Client(
        CallbackAPIVersion.VERSION2, client_id=client_id, protocol=MQTTProtocolVersion.MQTTv5, manual_ack=True
    )
    if parts.username is not None:
        client.username_pw_set(unquote(parts.username), unquote(parts.password or ""))
    if parts.scheme == "mqtts":
        client.tls_set()
    client.reconnect_delay_set(1, 30)

    told = threading.Event()  # once an outage: paho tries again for ever

    def connected(client: Client, _data: Any, _flags: Any, reason: ReasonCode, _properties: Any) -> None:
        if reason.is_failure:
            log.error("the broker refused the connection", reason=str(reason))
            return
        told.clear()
        if on_connect is not None:
            on_connect(client)

    def away(*_: object) -> None:
        metrics.BROKER_AWAY.inc()
        if not told.is_set():
            told.set()
            log.warning("the broker does not answer; trying again until it does")

    def disconnected(_client: Client, _data: Any, _flags: Any, reason: ReasonCode, _properties: Any) -> None:
        if reason.is_failure:
            away()

    client.on_connect = connected
    client.on_connect_fail = away
    client.on_disconnect = disconnected
    if on_message is not None:
        client.on_message = lambda client, _data, message: on_message(client, message)
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho leaves it untyped
    properties.ReceiveMaximum = RECEIVE_MAXIMUM
    # No session is kept: in a shared subscription an absent worker's session would swallow messages, and what a
    # gateway gets no ack for it sends again.
    client.connect_async(
        parts.hostname,
        port,
        keepalive=_KEEP_ALIVE_S,
        clean_start=True,
        properties=properties,
    )
    return client
