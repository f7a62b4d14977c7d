"""What can be wrong with a bond, whichever back end found it out."""

from __future__ import annotations

from bleak.exc import BleakError


class BondLostError(BleakError):
    """The sensor no longer knows the key of our bond; forget it with `unpair()` and pair again."""


class PairingRefusedError(BleakError):
    """There is no bond, and the sensor did not agree to one."""
