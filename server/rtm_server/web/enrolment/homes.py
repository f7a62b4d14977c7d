"""A clinic's gateways and sensors, and what one patient wears: SQL of the enrolment and of the devices page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from rtm_server.home_status import HomeStatus, HomeWarning, SensorStatus
from rtm_server.store import Tx
from rtm_server.wearables import WEARABLES, link_note

_GATEWAYS = """
SELECT gateway_id, label FROM gateway WHERE tenant_id = %s AND revoked_at IS NULL ORDER BY created_at, gateway_id
"""
_STOCK = """
SELECT s.sensor_id, s.profile, s.serial FROM sensor s
WHERE s.tenant_id = %s AND NOT s.simulated AND EXISTS (
    SELECT 1 FROM assignment a WHERE a.tenant_id = s.tenant_id AND a.sensor_id = s.sensor_id)
  AND NOT EXISTS (
    SELECT 1 FROM assignment a WHERE a.tenant_id = s.tenant_id AND a.sensor_id = s.sensor_id
      AND (a.assigned_to IS NULL OR a.assigned_to > %s))
ORDER BY s.profile, s.serial, s.sensor_id
"""
_WORN = """
SELECT a.sensor_id, a.placement, a.exercise, a.gateway_id, a.assigned_from, s.profile, s.serial, s.simulated, g.label
FROM assignment a
JOIN sensor s ON s.tenant_id = a.tenant_id AND s.sensor_id = a.sensor_id
LEFT JOIN gateway g ON g.tenant_id = a.tenant_id AND g.gateway_id = a.gateway_id
WHERE a.tenant_id = %s AND a.episode_id = %s AND (a.assigned_to IS NULL OR a.assigned_to > %s)
ORDER BY a.placement, s.profile, s.sensor_id
"""


@dataclass(frozen=True, slots=True)
class Wears:
    """One sensor that the patient wears. exercise: of recordings it opens by itself, None for free exercise."""

    sensor: UUID
    placement: str
    profile: str
    serial: str
    simulated: bool
    since: datetime
    gateway: UUID | None
    gateway_label: str
    exercise: str | None = None

    @property
    def make(self) -> str:
        """What it is, in words."""
        known = WEARABLES.get(self.profile)
        return self.profile if known is None else known.name

    @property
    def link(self) -> str:
        """A note where its radio link is not encrypted."""
        return link_note(self.profile)


@dataclass(frozen=True, slots=True)
class Devices:
    """The devices of one patient. gateways: in use, in the order of their first sensor."""

    worn: Sequence[Wears]
    homes: Sequence[HomeStatus]
    warnings: Sequence[HomeWarning]

    @property
    def gateways(self) -> list[tuple[UUID, str]]:
        """(id, label) of the gateways that the sensors talk to."""
        found = {each.gateway: each.gateway_label for each in self.worn if each.gateway is not None}
        return list(found.items())

    def home(self, gateway: UUID) -> HomeStatus | None:
        """A gateway as last heard."""
        return next((each for each in self.homes if each.gateway == gateway), None)

    def said(self, worn: Wears) -> SensorStatus | None:
        """What its gateway last said of a sensor that is worn here; None where it does not know of it."""
        every = (each for home in self.homes if home.gateway == worn.gateway for each in home.sensors)
        return next((e for e in every if (e.sensor, e.placement) == (worn.sensor, worn.placement)), None)


def gateways(tx: Tx, tenant: UUID) -> dict[UUID, str]:
    """The clinic's gateways by id, with a label that tells them apart."""
    return {
        row["gateway_id"]: f"{row['label'] or 'without a label'}, {str(row['gateway_id'])[:8]}"
        for row in tx.execute(_GATEWAYS, (tenant,))
    }


def stock(tx: Tx, tenant: UUID, now: datetime) -> dict[UUID, str]:
    """Sensors that were returned and that nobody wears."""
    return {
        row["sensor_id"]: " ".join(part for part in (row["profile"], row["serial"]) if part)
        or str(row["sensor_id"])[:8]
        for row in tx.execute(_STOCK, (tenant, now))
    }


def worn(tx: Tx, tenant: UUID, episode: UUID, now: datetime) -> list[Wears]:
    """What a patient wears now, or from a later day on."""
    return [
        Wears(
            row["sensor_id"], row["placement"], row["profile"], row["serial"], row["simulated"],
            row["assigned_from"], row["gateway_id"], row["label"] or "", row["exercise"],
        )
        for row in tx.execute(_WORN, (tenant, episode, now))
    ]  # fmt: skip
