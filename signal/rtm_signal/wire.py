"""What gateway and server say to each other over MQTT: topics, batches, manifests, acks and commands.

`docs/reference/mqtt.md` gives the topics and the JSON; everything read from the wire is bounded and strict.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple, TypeVar
from uuid import UUID

CHUNK: Final = 1
MANIFEST: Final = 2
MAX_BATCH_BYTES: Final = 16 << 20
INGEST_FILTER: Final = "$share/ingest/rtm/v1/+/up"
"""What ingest workers subscribe to: the broker gives each batch to one of them."""
STATUS_FILTER: Final = "$share/status/rtm/v1/+/status"
"""The same for heartbeats, by a group of its own: iotcore loses messages where one group has two filters. A shared
subscription gets no retained ones: the next is half a minute away."""

_MAGIC: Final = b"HSB1"
_COUNT: Final = struct.Struct("<H")
_ITEM: Final = struct.Struct("<BI")
_MAX_JSON_BYTES: Final = 4 << 20
_MAX_WHY: Final = 300
_COMMANDS: Final = frozenset({"start", "stop", "calibrate", "assign", "blink", "settings"})
_CLOSED_BY: Final = frozenset({"stop", "idle", "removal"})

T = TypeVar("T")


class WireError(ValueError):
    """A message that is not what its topic promises; the message is one plain sentence."""


class Item(NamedTuple):
    """One entry of a batch: kind CHUNK or MANIFEST, and its bytes."""

    kind: int
    data: bytes


def up_topic(gateway: UUID) -> str:
    """Batches from a gateway, QoS 1."""
    return f"rtm/v1/{gateway}/up"


def ack_topic(gateway: UUID) -> str:
    """Committed and refused keys, from the server, QoS 1."""
    return f"rtm/v1/{gateway}/ack"


def cmd_topic(gateway: UUID) -> str:
    """Commands from the server, QoS 1."""
    return f"rtm/v1/{gateway}/cmd"


def live_topic(gateway: UUID) -> str:
    """The live count and angle, QoS 0: may be lost without harm."""
    return f"rtm/v1/{gateway}/live"


def status_topic(gateway: UUID) -> str:
    """Heartbeat, retained, QoS 1."""
    return f"rtm/v1/{gateway}/status"


def gateway_of(topic: str) -> UUID:
    """The gateway that a topic `rtm/v1/{gateway}/...` belongs to."""
    parts = topic.split("/")
    if len(parts) != 4 or parts[:2] != ["rtm", "v1"]:
        raise WireError("The topic is not one of rtm/v1/{gateway}/{what}.")
    return _uuid(parts[2], "gateway")


def pack_batch(items: Iterable[tuple[int, bytes]]) -> bytes:
    """`HSB1`, u16 count, then per item u8 kind, u32 length, bytes; little-endian."""
    parts: list[bytes] = []
    for kind, data in items:
        if kind not in (CHUNK, MANIFEST):
            raise WireError(f"A batch cannot hold an item of kind {kind}.")
        parts += (_ITEM.pack(kind, len(data)), data)
    count = len(parts) // 2
    if not 1 <= count <= 0xFFFF:
        raise WireError("A batch holds 1 to 65535 items.")
    batch = b"".join((_MAGIC, _COUNT.pack(count), *parts))
    if len(batch) > MAX_BATCH_BYTES:
        raise WireError(f"A batch is at most {MAX_BATCH_BYTES} bytes.")
    return batch


def unpack_batch(data: bytes) -> list[Item]:
    """The items of a batch, in order. An item of a kind not known here is returned as it stands."""
    if len(data) > MAX_BATCH_BYTES:
        raise WireError(f"A batch is at most {MAX_BATCH_BYTES} bytes.")
    at = len(_MAGIC) + _COUNT.size
    if len(data) < at or data[:4] != _MAGIC:
        raise WireError("This is not a batch.")
    items: list[Item] = []
    for _ in range(_COUNT.unpack_from(data, 4)[0]):
        if at + _ITEM.size > len(data):
            raise WireError("The batch ends before its last item.")
        kind, size = _ITEM.unpack_from(data, at)
        at += _ITEM.size
        if at + size > len(data):
            raise WireError("The batch ends before its last item.")
        items.append(Item(kind, bytes(data[at : at + size])))
        at += size
    if at != len(data) or not items:
        raise WireError("The batch is empty or longer than its items.")
    return items


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestStream:
    """What one stream holds of a recording: sample indices first..last and lost spans, ends included."""

    sensor: UUID
    stream: UUID
    name: str
    placement: str
    boot: int
    first: int
    last: int
    lost: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.boot < 1 << 32 or not 0 <= self.first <= self.last < 1 << 64:
            raise WireError("A stream of the manifest has no valid boot, first and last index.")
        at = self.first
        for low, high in self.lost:
            if not at <= low <= high <= self.last:
                raise WireError("The lost spans of a stream are not in order within it.")
            at = high + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a recording consists of: complete when every index of every stream is stored or declared lost."""

    tenant: UUID
    recording: UUID
    revision: int
    gateway: UUID
    exercise: str | None
    opened_at: datetime
    closed_at: datetime
    closed_by: str
    streams: tuple[ManifestStream, ...] = ()
    calibration: bool = False
    """Supervised repetitions that the exercise's later recordings are measured against."""

    def __post_init__(self) -> None:
        if self.closed_by not in _CLOSED_BY:
            raise WireError("A recording is closed by stop, idle or removal.")
        if self.opened_at.utcoffset() is None or self.closed_at.utcoffset() is None:
            raise WireError("A time of the manifest has no zone.")
        if self.revision < 1:
            raise WireError("The revision of a manifest is a number from 1.")

    @property
    def key(self) -> str:
        """`m:{recording}:{revision}`."""
        return f"m:{self.recording}:{self.revision}"

    def to_json(self) -> bytes:
        """The manifest as it travels."""
        return _dump(
            {
                "v": 1,
                "tenant": str(self.tenant),
                "recording": str(self.recording),
                "revision": self.revision,
                "gateway": str(self.gateway),
                "exercise": self.exercise,
                "opened_at": self.opened_at.isoformat(),
                "closed_at": self.closed_at.isoformat(),
                "closed_by": self.closed_by,
                "streams": [
                    {
                        "sensor": str(each.sensor),
                        "stream": str(each.stream),
                        "name": each.name,
                        "placement": each.placement,
                        "boot": each.boot,
                        "first": each.first,
                        "last": each.last,
                        "lost": [list(span) for span in each.lost],
                    }
                    for each in self.streams
                ],
                **({"calibration": True} if self.calibration else {}),
            }
        )

    @staticmethod
    def from_json(data: bytes) -> Manifest:
        """The manifest in `data`: every field there (but `calibration`, where false), of its type, and no other."""
        raw = _load(data, "manifest")
        if _typed(raw.pop("v", None), int, "v") != 1:
            raise WireError("The manifest's version is not known.")
        exercise = raw.pop("exercise", "")
        manifest = Manifest(
            tenant=_uuid(raw.pop("tenant", None), "tenant"),
            recording=_uuid(raw.pop("recording", None), "recording"),
            revision=_typed(raw.pop("revision", None), int, "revision"),
            gateway=_uuid(raw.pop("gateway", None), "gateway"),
            exercise=None if exercise is None else _name(exercise, "exercise"),
            opened_at=_time(raw.pop("opened_at", None), "opened_at"),
            closed_at=_time(raw.pop("closed_at", None), "closed_at"),
            closed_by=_name(raw.pop("closed_by", None), "closed_by"),
            streams=tuple(_stream(each) for each in _typed(raw.pop("streams", None), list, "streams")),
            calibration=_typed(raw.pop("calibration", False), bool, "calibration"),
        )
        return _exact(manifest, raw)


@dataclass(frozen=True, slots=True)
class Ack:
    """The server's word after COMMIT: keys committed, and keys refused, each with one sentence why."""

    committed: tuple[str, ...] = ()
    refused: tuple[tuple[str, str], ...] = ()

    def to_json(self) -> bytes:
        """The ack as it travels."""
        refused = [{"key": key, "why": why[:_MAX_WHY]} for key, why in self.refused]
        return _dump({"committed": list(self.committed), "refused": refused})

    @staticmethod
    def from_json(data: bytes) -> Ack:
        """The ack in `data`."""
        raw = _load(data, "ack")
        committed = tuple(
            _typed(key, str, "committed") for key in _typed(raw.pop("committed", None), list, "committed")
        )
        refused: list[tuple[str, str]] = []
        for entry in _typed(raw.pop("refused", None), list, "refused"):
            fields = dict(_typed(entry, dict, "refused"))
            pair = (_typed(fields.pop("key", None), str, "key"), _typed(fields.pop("why", None), str, "why"))
            refused.append(_exact(pair, fields))
        return _exact(Ack(committed, tuple(refused)), raw)


@dataclass(frozen=True, slots=True)
class Command:
    """What the server asks of a gateway: `do`, and what belongs to it."""

    do: str
    args: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> bytes:
        """The command as it travels."""
        return _dump({"do": self.do, **self.args})

    @staticmethod
    def from_json(data: bytes) -> Command:
        """The command in `data`; what it carries is checked by whoever carries it out."""
        raw = _load(data, "command")
        do = _typed(raw.pop("do", None), str, "do")
        if do not in _COMMANDS:
            raise WireError(f"The command is none of {', '.join(sorted(_COMMANDS))}.")
        return Command(do, raw)


def _stream(entry: object) -> ManifestStream:
    raw = dict(_typed(entry, dict, "streams"))
    lost: list[tuple[int, int]] = []
    for span in _typed(raw.pop("lost", None), list, "lost"):
        if not isinstance(span, list) or len(span) != 2:
            raise WireError("A lost span of the manifest is not a pair of indices.")
        lost.append((_typed(span[0], int, "lost"), _typed(span[1], int, "lost")))
    stream = ManifestStream(
        sensor=_uuid(raw.pop("sensor", None), "sensor"),
        stream=_uuid(raw.pop("stream", None), "stream"),
        name=_name(raw.pop("name", None), "name"),
        placement=_name(raw.pop("placement", None), "placement"),
        boot=_typed(raw.pop("boot", None), int, "boot"),
        first=_typed(raw.pop("first", None), int, "first"),
        last=_typed(raw.pop("last", None), int, "last"),
        lost=tuple(lost),
    )
    return _exact(stream, raw)


def _dump(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _load(data: bytes, what: str) -> dict[str, Any]:
    if len(data) > _MAX_JSON_BYTES:
        raise WireError(f"The {what} is larger than {_MAX_JSON_BYTES} bytes.")
    try:
        raw = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise WireError(f"The {what} is not JSON.") from error
    return dict(_typed(raw, dict, what))


def _typed(value: object, kind: type[T], name: str) -> T:
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise WireError(f"The field {name} is missing or not of type {kind.__name__}.")
    return value


def _name(value: object, name: str) -> str:
    text = _typed(value, str, name)
    if not 1 <= len(text) <= 64 or not text.replace("_", "").isalnum() or not text.isascii():
        raise WireError(f"The field {name} is not a short name of letters, digits and underscores.")
    return text


def _uuid(value: object, name: str) -> UUID:
    try:
        return UUID(_typed(value, str, name))
    except ValueError as error:
        raise WireError(f"The field {name} is not a UUID.") from error


def _time(value: object, name: str) -> datetime:
    try:
        return datetime.fromisoformat(_typed(value, str, name))
    except ValueError as error:
        raise WireError(f"The field {name} is not a time.") from error


def _exact(value: T, rest: Mapping[str, Any]) -> T:
    if rest:
        raise WireError(f"A message carries a field that is not known: {sorted(rest)[0][:40]!a}.")
    return value
