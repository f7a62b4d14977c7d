"""Advertising data as bleak reports it, parsed without trust in its lengths."""

from __future__ import annotations

import struct
import uuid
from typing import Any

_BASE_UUID = "-0000-1000-8000-00805f9b34fb"


class AdvertisingFields:
    """The parts of an advertisement bleak reports."""

    def __init__(self) -> None:
        self.name: str | None = None
        self.manufacturer_data: dict[int, bytes] = {}
        self.service_data: dict[str, bytes] = {}
        self.service_uuids: list[str] = []
        self.tx_power: int | None = None


def _uuid16(value: bytes) -> str:
    return f"0000{int.from_bytes(value, 'little'):04x}{_BASE_UUID}"


def _uuid128(value: bytes) -> str:
    return str(uuid.UUID(bytes=bytes(reversed(value))))


def parse_advertising(structures: list[tuple[Any, bytes]]) -> AdvertisingFields:
    """Fields of the AD structures (type, value); structures of an impossible length are left out.

    Types: Bluetooth Assigned Numbers, section 2.3.
    """
    fields = AdvertisingFields()
    for kind, value in structures:
        size = len(value)
        match int(kind):
            case 0x08 | 0x09:
                fields.name = value.decode("utf-8", "replace")
            case 0x02 | 0x03:
                fields.service_uuids += [_uuid16(value[i : i + 2]) for i in range(0, size - 1, 2)]
            case 0x06 | 0x07:
                fields.service_uuids += [_uuid128(value[i : i + 16]) for i in range(0, size - 15, 16)]
            case 0x0A if size == 1:
                fields.tx_power = struct.unpack("b", value)[0]
            case 0x16 if size >= 2:
                fields.service_data[_uuid16(value[:2])] = bytes(value[2:])
            case 0x21 if size >= 16:
                fields.service_data[_uuid128(value[:16])] = bytes(value[16:])
            case 0xFF if size >= 2:
                fields.manufacturer_data[int.from_bytes(value[:2], "little")] = bytes(value[2:])
    return fields
