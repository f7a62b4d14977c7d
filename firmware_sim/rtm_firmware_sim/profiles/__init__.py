"""The five wearables: one file a profile, and the table that makes one for a recorded sensor."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rtm_firmware_sim.peripheral import Peripheral
from rtm_firmware_sim.profiles import capture2go, homestretch, movesense_gsp, polar_pmd, witmotion
from rtm_firmware_sim.profiles.wearable import Order

PROFILES: Mapping[str, Callable[[Order], Peripheral]] = {
    "homestretch": homestretch.make,
    "polar-pmd": polar_pmd.make,
    "movesense-gsp": movesense_gsp.make,
    "witmotion": witmotion.make,
    "capture2go": capture2go.make,
}
"""Maker of each profile, by the name that `--wearable` takes."""

__all__ = ["PROFILES", "Order"]
