"""What a link tells its owner, and the times it keeps."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from rtm_gateway.drivers.driver import FourStamp, Identity
from rtm_gateway.drivers.reply import Reply


class Event(StrEnum):
    """What a link tells its owner."""

    CONNECTED = "connected"
    DISCONNECTED = "disconnected"
    UNREACHABLE = "unreachable"
    STALLED = "stalled"
    """Connected by name, but nothing arrives: the link was half open."""
    REFUSED = "refused"
    """Not our sensor, or not a sensor we can read. The link has ended."""
    BOND_LOST = "bond_lost"
    REBOOTED = "rebooted"
    RESYNCED = "resynced"
    """The sensor's memory has been asked for everything missing; `spans` is what it no longer had."""
    FETCHED = "fetched"
    """A recording that the sensor made by itself has come whole; `file` is its name and bytes."""
    BATTERY = "battery"
    CLOCK = "clock"
    SENSOR = "sensor"
    """An event of the sensor itself (button, flash nearly full), in `reply`."""
    RADIO_GONE = "radio_gone"
    RATE = "rate"
    """The sensor does not send at the rate it promised; `value` is the measured one."""


class Span(NamedTuple):
    """Indices first..last of a stream's boot."""

    stream: str
    boot: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class LinkEvent:
    """kind, one plain sentence, the gateway's monotonic clock, and what the kind carries."""

    kind: Event
    what: str
    at_ns: int
    value: float | None = None
    stamps: FourStamp | None = None
    identity: Identity | None = None
    spans: tuple[Span, ...] = ()
    reply: Reply | None = None
    file: tuple[str, int] | None = None


@dataclass(frozen=True, slots=True)
class LinkPolicy:
    """Times in seconds."""

    silence_s: float = 5.0
    """Silence this long while streaming means a half-open link; a radio notices a lost one within 6 s."""
    first_wait_s: float = 0.5
    longest_wait_s: float = 30.0
    find_s: float = 15.0
    connect_s: float = 45.0
    exchange_every_s: float = 10.0
    """The promptest of n exchanges waited about 1/n of a connection interval (benchmarks/clock.py)."""
    exchanges_at_start: int = 4
    battery_every_s: float = 600.0
    resync_every_s: float = 60.0
    settle_s: float = 0.5
    """Live frames sent before the memory is listed arrive within this time."""
    steady_s: float = 10.0
    """A link that lived this long starts the waiting times anew."""
