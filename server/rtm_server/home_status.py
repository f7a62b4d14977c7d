"""What a gateway says of its home, from the status topic to the therapist's page.

A heartbeat may be lost without harm: the next one says the same. So nothing here waits or is tried again, and what
cannot be read is dropped. A warning is kept from the heartbeat that first tells it until one that does not.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

from psycopg.types.json import Jsonb

from rtm_server.store import Store, Tx
from rtm_signal.wire import WireError

LARGEST_MESSAGE: Final = 64 << 10
"""Bytes. A heartbeat of two sensors has about six hundred."""
MOST: Final = 50
"""Sensors, and warnings, read of one heartbeat: a home has two to five."""
LONGEST: Final = 200
"""Characters of a warning."""
SILENT_AFTER: Final = timedelta(minutes=5)
"""Ten heartbeats missed: the gateway is not heard any more, whatever it said last."""


@dataclass(frozen=True, slots=True)
class SensorStatus:
    """One sensor at home. battery: 0 to 1, None where it is not known."""

    sensor: UUID
    placement: str
    connected: bool
    battery: float | None


@dataclass(frozen=True, slots=True)
class Warned:
    """One warning of a heartbeat. sensor: None where several are meant. kind: battery, refused, worn, ..."""

    sensor: UUID | None
    kind: str
    what: str


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """What a status message says. lag_s: age of the oldest item that waits; full_share: of the outbox's limit."""

    waiting_items: int
    refused_items: int
    lag_s: float
    full_share: float
    sensors: tuple[SensorStatus, ...]
    warnings: tuple[Warned, ...]


@dataclass(frozen=True, slots=True)
class HomeStatus:
    """A gateway as it was last heard. online: it has said nothing else and was heard within SILENT_AFTER."""

    gateway: UUID
    heard_at: datetime
    online: bool
    waiting_items: int
    refused_items: int
    lag_s: float
    full_share: float
    sensors: tuple[SensorStatus, ...]


@dataclass(frozen=True, slots=True)
class HomeWarning:
    """A warning in its time. ended_at: None while it stands. what: one sentence, written for the person at home."""

    gateway: UUID
    sensor: UUID | None
    kind: str
    what: str
    began_at: datetime
    ended_at: datetime | None


_UPSERT = """
INSERT INTO gateway_status (tenant_id, gateway_id, heard_at, online, waiting_items, refused_items, lag_s, full_share,
                            sensors)
VALUES (%s, %s, %s, true, %s, %s, %s, %s, %s)
ON CONFLICT (tenant_id, gateway_id) DO UPDATE
SET heard_at = excluded.heard_at, online = true, waiting_items = excluded.waiting_items,
    refused_items = excluded.refused_items, lag_s = excluded.lag_s, full_share = excluded.full_share,
    sensors = excluded.sensors
"""
_OFFLINE = "UPDATE gateway_status SET online = false WHERE tenant_id = %s AND gateway_id = %s AND online"
_STANDING = """
SELECT warning_id, sensor_id, kind, what FROM home_warning
WHERE tenant_id = %s AND gateway_id = %s AND ended_at IS NULL FOR UPDATE
"""
_BEGIN = """
INSERT INTO home_warning (tenant_id, warning_id, gateway_id, sensor_id, kind, what, began_at, heard_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING
"""
_AGAIN = "UPDATE home_warning SET heard_at = %s, what = %s WHERE tenant_id = %s AND warning_id = %s"
_END = "UPDATE home_warning SET ended_at = %s WHERE tenant_id = %s AND warning_id = %s"

# A home's gateway may serve two people: of sensors, only those that this episode wears or wore through it.
_HOMES = """
SELECT g.*, (SELECT array_agg(a.sensor_id) FROM assignment a
             WHERE a.tenant_id = g.tenant_id AND a.gateway_id = g.gateway_id AND a.episode_id = %(episode)s) AS worn
FROM gateway_status g
WHERE g.tenant_id = %(tenant)s AND g.gateway_id IN (
    SELECT a.gateway_id FROM assignment a WHERE a.tenant_id = g.tenant_id AND a.episode_id = %(episode)s
       AND a.assigned_from <= %(now)s AND (a.assigned_to IS NULL OR a.assigned_to > %(now)s))
ORDER BY g.gateway_id
"""
_WARNINGS = """
SELECT DISTINCT w.gateway_id, w.sensor_id, w.kind, w.what, w.began_at, w.ended_at
FROM home_warning w
JOIN assignment a ON a.tenant_id = w.tenant_id AND a.gateway_id = w.gateway_id AND a.episode_id = %(episode)s
 AND (w.sensor_id IS NULL OR w.sensor_id = a.sensor_id)
 AND (a.assigned_to IS NULL OR a.assigned_to > w.began_at)
 AND (w.ended_at IS NULL OR w.ended_at > a.assigned_from)
WHERE w.tenant_id = %(tenant)s AND (w.ended_at IS NULL OR w.ended_at >= %(since)s)
ORDER BY w.began_at DESC, w.kind
"""


def read_heartbeat(payload: bytes) -> Heartbeat | None:
    """The message of the status topic; None for a goodbye. Raises WireError for anything else.

    Keys that are not known are passed over: a newer gateway may say more.
    """
    if len(payload) > LARGEST_MESSAGE:
        raise WireError(f"A status is at most {LARGEST_MESSAGE} bytes.")
    try:
        said = json.loads(payload)
        if not said["online"]:
            return None
        outbox = said["outbox"]
        return Heartbeat(
            waiting_items=_count(outbox["items"]),
            refused_items=_count(outbox["refused"]),
            lag_s=_number(outbox["lag_s"]),
            full_share=min(_number(outbox["bytes"]) / max(_number(outbox["limit_bytes"]), 1.0), 1.0),
            sensors=tuple(_sensor(each) for each in _many(said["sensors"])),
            warnings=tuple(_warning(each) for each in _many(said["warnings"])),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise WireError("The status is not one.") from error


def keep(store: Store, tenant: UUID, gateway: UUID, heartbeat: Heartbeat | None, now: datetime) -> None:
    """Store what a gateway said last; None: it is gone. Raises Unavailable."""
    with store.tenant_tx(tenant) as tx:
        if heartbeat is None:
            tx.execute(_OFFLINE, (tenant, gateway))
            return
        tx.execute(
            _UPSERT,
            (
                tenant,
                gateway,
                now,
                heartbeat.waiting_items,
                heartbeat.refused_items,
                heartbeat.lag_s,
                heartbeat.full_share,
                Jsonb([_plain(each) for each in heartbeat.sensors]),
            ),
        )
        _keep_warnings(tx, tenant, gateway, heartbeat.warnings, now)


def homes_of(tx: Tx, tenant: UUID, episode: UUID, now: datetime) -> list[HomeStatus]:
    """The gateways that the episode's sensors are assigned to now and that have ever been heard."""
    found = []
    for row in tx.execute(_HOMES, {"tenant": tenant, "episode": episode, "now": now}):
        sensors = tuple(_sensor(each) for each in row["sensors"])
        found.append(
            HomeStatus(
                row["gateway_id"],
                row["heard_at"],
                row["online"] and now - row["heard_at"] < SILENT_AFTER,
                row["waiting_items"],
                row["refused_items"],
                row["lag_s"],
                row["full_share"],
                tuple(each for each in sensors if each.sensor in row["worn"]),
            )
        )
    return found


def warnings_of(tx: Tx, tenant: UUID, episode: UUID, since: datetime) -> list[HomeWarning]:
    """Warnings of the episode's gateways and sensors that stand, or ended after `since`; the newest first."""
    rows = tx.execute(_WARNINGS, {"tenant": tenant, "episode": episode, "since": since})
    return [
        HomeWarning(
            row["gateway_id"], row["sensor_id"], row["kind"], row["what"], row["began_at"], row["ended_at"]
        )
        for row in rows
    ]


def _keep_warnings(tx: Tx, tenant: UUID, gateway: UUID, told: tuple[Warned, ...], now: datetime) -> None:
    """Begin what is new, end what is not told any more."""
    standing = {
        (row["sensor_id"], row["kind"]): row for row in tx.execute(_STANDING, (tenant, gateway)).fetchall()
    }
    for warned in told:
        row = standing.pop((warned.sensor, warned.kind), None)
        if row is not None:
            tx.execute(_AGAIN, (now, warned.what, tenant, row["warning_id"]))
        else:
            values = (tenant, uuid4(), gateway, warned.sensor, warned.kind, warned.what, now, now)
            tx.execute(_BEGIN, values)
    for row in standing.values():
        tx.execute(_END, (now, tenant, row["warning_id"]))


def _sensor(said: Mapping[str, Any]) -> SensorStatus:
    battery = said["battery"]
    return SensorStatus(
        UUID(said["sensor"]),
        _text(said["placement"], 64),
        bool(said["connected"]),
        None if battery is None else min(_number(battery), 1.0),
    )


def _warning(said: Mapping[str, Any]) -> Warned:
    sensor = said["sensor"]
    return Warned(
        None if sensor is None else UUID(sensor), _text(said["kind"], 40), _text(said["what"], LONGEST)
    )


def _plain(each: SensorStatus) -> dict[str, Any]:
    return {
        "sensor": str(each.sensor),
        "placement": each.placement,
        "connected": each.connected,
        "battery": each.battery,
    }


def _many(value: object) -> Iterator[Any]:
    if not isinstance(value, list):
        raise TypeError("not a list")
    yield from value[:MOST]


def _text(value: object, longest: int) -> str:
    """Printable and short: it is shown to people. PostgreSQL holds no NUL."""
    if not isinstance(value, str):
        raise TypeError("not a text")
    return "".join(letter for letter in value if letter.isprintable())[:longest]


def _count(value: object) -> int:
    return min(round(_number(value)), (1 << 31) - 1)


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise ValueError("not a number from 0 on")
    return min(float(value), 1e30)
