"""The wearables this gateway can read: one file each, one shape (`driver.Driver`).

May import: numpy, bleak's types, `rtm_signal.chunk`. Never the simulator, never the network.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from bleak.backends.scanner import AdvertisementData

from rtm_gateway.drivers.capture2go import Capture2GoDriver
from rtm_gateway.drivers.driver import (
    Counters,
    Decoder,
    Driver,
    Flag,
    FourStamp,
    Identity,
    SampleBlock,
    StoredRun,
    StreamSpec,
    WrongDeviceError,
)
from rtm_gateway.drivers.homestretch import HomestretchDriver
from rtm_gateway.drivers.movesense import MovesenseDriver
from rtm_gateway.drivers.polar_pmd import PolarDriver
from rtm_gateway.drivers.port import NoAnswerError, Port
from rtm_gateway.drivers.reply import Reply
from rtm_gateway.drivers.witmotion import WitMotionDriver

__all__ = [
    "DRIVERS",
    "Counters",
    "Decoder",
    "Driver",
    "Flag",
    "FourStamp",
    "Identity",
    "NoAnswerError",
    "Port",
    "Reply",
    "SampleBlock",
    "StoredRun",
    "StreamSpec",
    "WrongDeviceError",
    "create",
    "recognise",
]

_KINDS: tuple[type[Driver], ...] = (
    HomestretchDriver,
    PolarDriver,
    MovesenseDriver,
    WitMotionDriver,
    Capture2GoDriver,
)

DRIVERS: Final[Mapping[str, type[Driver]]] = MappingProxyType({kind.profile: kind for kind in _KINDS})
"""Profile -> driver class."""


def create(profile: str) -> Driver:
    """A driver for one sensor. Raises ValueError naming the profiles there are."""
    try:
        return DRIVERS[profile]()
    except KeyError:
        raise ValueError(f"unknown wearable profile {profile!r}; known are {', '.join(DRIVERS)}") from None


def recognise(advertisement: AdvertisementData) -> str | None:
    """The profile of whoever sent this advertisement, None when no driver reads it."""
    return next((name for name, kind in DRIVERS.items() if kind.matches(advertisement)), None)
