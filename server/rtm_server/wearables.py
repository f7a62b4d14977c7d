"""What the server needs to know of a wearable's make: its name in words, and whether its radio link is encrypted.

The drivers know more; they live in the home. A test holds this table to them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Wearable:
    """One make. encrypted: the link must be paired and encrypted before anything can be read."""

    name: str
    encrypted: bool


WEARABLES: Mapping[str, Wearable] = {
    "homestretch": Wearable("Homestretch open profile", encrypted=True),
    "polar-pmd": Wearable("Polar H10 and Verity Sense (PMD)", encrypted=False),
    "movesense-gsp": Wearable("Movesense (GATT sensor data service)", encrypted=False),
    "witmotion": Wearable("WitMotion WT901BLE and BWT901BLE5.0", encrypted=False),
    "capture2go": Wearable("Capture2Go", encrypted=False),
}

OPEN_LINK = "radio link not encrypted"
"""What stands beside a sensor whose link anybody near by could have listened to."""


def link_note(profile: str) -> str:
    """`OPEN_LINK`, or nothing where the link is encrypted. A make nobody described counts as open."""
    known = WEARABLES.get(profile)
    return "" if known is not None and known.encrypted else OPEN_LINK
