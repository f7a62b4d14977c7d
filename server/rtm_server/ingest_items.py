"""What an item of a batch is, before any database is asked: pure decoding and checking.

A refusal carries a word for the counters and one plain sentence for the gateway.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from rtm_signal import chunk as chunks
from rtm_signal import wire

_BATCH: Final = b"HSB1"  # how a batch begins (docs/reference/mqtt.md)
# Indices and times are stored as signed 64-bit integers (docs/reference/database.md).
_MAX_INDEX: Final = (1 << 63) - 1
# A wrong clock is stored and flagged (1970, +40 days); what is no calendar date at all cannot be.
_EARLIEST, _LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Message:
    """One MQTT message of a gateway."""

    gateway: UUID
    payload: bytes


@dataclass(frozen=True, slots=True)
class ChunkItem:
    """A chunk that is whole and belongs to the tenant of its gateway."""

    gateway: UUID
    key: chunks.ChunkKey
    data: bytes
    sha256: bytes
    codec: int


@dataclass(frozen=True, slots=True)
class ManifestItem:
    """A manifest that is whole and belongs to its gateway."""

    gateway: UUID
    manifest: wire.Manifest
    data: bytes
    sha256: bytes


@dataclass(frozen=True, slots=True)
class Refusal:
    """An item that is not accepted; kept in quarantine. key: as the gateway knows it, if it can be read."""

    gateway: UUID
    key: str
    reason: str
    why: str
    data: bytes


Read = ChunkItem | ManifestItem | Refusal


def read_message(message: Message, tenant: UUID) -> list[Read]:
    """Every item of a message, each accepted so far or refused."""
    try:
        items = wire.unpack_batch(message.payload)
    except wire.WireError as error:
        return [_unreadable(message.gateway, message.payload, "corrupt_batch", str(error))]
    return [_read_item(message.gateway, tenant, item) for item in items]


def read_kept(gateway: UUID, tenant: UUID, data: bytes) -> list[Read]:
    """An item as quarantine keeps it: by itself, or a whole message that was no batch."""
    if data.startswith(_BATCH):
        return read_message(Message(gateway, data), tenant)
    kind = wire.MANIFEST if data.startswith(b"{") else wire.CHUNK
    return [_read_item(gateway, tenant, wire.Item(kind, data))]


def unreadable_key(data: bytes) -> str:
    """How an item is called whose own key cannot be read: by its bytes, which the gateway has too."""
    return f"x:{hashlib.sha256(data).hexdigest()}"


def _read_item(gateway: UUID, tenant: UUID, item: wire.Item) -> Read:
    if item.kind == wire.CHUNK:
        return _read_chunk(gateway, tenant, item.data)
    if item.kind == wire.MANIFEST:
        return _read_manifest(gateway, tenant, item.data)
    return _unreadable(gateway, item.data, "unknown_kind", f"Items of kind {item.kind} are not known here.")


def _read_chunk(gateway: UUID, tenant: UUID, data: bytes) -> Read:
    try:
        chunk = chunks.decode(data)  # all of it: what is stored can be read again
    except chunks.ChunkError as error:
        return _unreadable(gateway, data, "corrupt", str(error))
    key = str(chunk.key)
    if chunk.tenant != tenant:
        return Refusal(
            gateway, key, "wrong_tenant", "The chunk belongs to another clinic than its gateway.", data
        )
    if chunk.first + chunk.n > _MAX_INDEX:
        return Refusal(
            gateway, key, "out_of_range", "The chunk's sample index is too large to be true.", data
        )
    codec = {"int16": 1, "float32": 2}[chunk.values.dtype.name]
    return ChunkItem(gateway, chunk.key, data, hashlib.sha256(data).digest(), codec)


def _read_manifest(gateway: UUID, tenant: UUID, data: bytes) -> Read:
    try:
        manifest = wire.Manifest.from_json(data)
    except (wire.WireError, ValueError, OverflowError) as error:
        return _unreadable(gateway, data, "corrupt", str(error))
    why = _manifest_fault(manifest, gateway, tenant)
    if why is not None:
        return Refusal(gateway, manifest.key, *why, data)
    return ManifestItem(gateway, manifest, data, hashlib.sha256(data).digest())


def _manifest_fault(manifest: wire.Manifest, gateway: UUID, tenant: UUID) -> tuple[str, str] | None:
    """(reason, sentence) of the first thing wrong with a manifest that reads well."""
    streams = [(each.stream, each.boot) for each in manifest.streams]
    times = (manifest.opened_at, manifest.closed_at)
    too_large = manifest.revision > 0x7FFF_FFFF or any(each.last >= _MAX_INDEX for each in manifest.streams)
    strange = any(each.stream != chunks.stream_id(each.sensor, each.name) for each in manifest.streams)
    faults = (
        (
            manifest.tenant != tenant,
            "wrong_tenant",
            "The manifest belongs to another clinic than its gateway.",
        ),
        (manifest.gateway != gateway, "wrong_gateway", "The manifest names another gateway than its sender."),
        (not streams, "no_stream", "The manifest names no sensor."),
        (len(set(streams)) != len(streams), "stream_twice", "The manifest names a stream twice."),
        (strange, "unknown_stream", "A stream of the manifest is not one of its sensor."),
        (too_large, "out_of_range", "A number of the manifest is too large to be true."),
        (
            not all(_EARLIEST <= at <= _LATEST for at in times),
            "out_of_range",
            "A time of the manifest is no date of this era.",
        ),
        (times[1] < times[0], "out_of_range", "The manifest was closed before it was opened."),
    )
    return next(((reason, why) for wrong, reason, why in faults if wrong), None)


def _unreadable(gateway: UUID, data: bytes, reason: str, why: str) -> Refusal:
    return Refusal(gateway, unreadable_key(data), reason, why, data)
