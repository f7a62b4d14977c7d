"""Who wears which sensor where: put on, worn elsewhere, returned, taken back; and the gateway is told.

The store comes first, the gateway after the commit: what it could not be told stands on the page and is told again
with one click. An earlier assignment is never rewritten: each change ends one and begins the next.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from rtm_server import enrol
from rtm_server.enrol import EnrolError
from rtm_server.store import Tx
from rtm_server.web import commands
from rtm_server.web.errors import ConflictError, NotFoundError, UnavailableError
from rtm_server.web.policy import Actor
from rtm_server.web.services import Services
from rtm_server.web.wording import sentence
from rtm_signal.wire import Command

SHORTEST = timedelta(milliseconds=1)  # an assignment has a length, also one that was a mistake

_HISTORY = """
SELECT a.placement, a.exercise, a.gateway_id, a.assigned_from, a.assigned_to, s.profile, s.serial, s.address
FROM assignment a JOIN sensor s ON s.tenant_id = a.tenant_id AND s.sensor_id = a.sensor_id
WHERE a.tenant_id = %s AND a.episode_id = %s AND a.sensor_id = %s
ORDER BY a.assigned_from DESC LIMIT 2
"""
_AT_PLACE = """
SELECT 1 FROM assignment
WHERE tenant_id = %s AND episode_id = %s AND placement = %s AND sensor_id <> %s
  AND (assigned_to IS NULL OR assigned_to > %s)
"""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a sensor is worn, and for what when it opens a recording by itself (None: free exercise)."""

    placement: str
    exercise: str | None


@dataclass(frozen=True, slots=True)
class Told:
    """What the gateway is to be told."""

    gateway: UUID | None
    command: Command

    def send(self, svc: Services) -> bool:
        """Tell it; False where it cannot be reached just now."""
        if self.gateway is None:
            return True
        try:
            svc.commands.send(self.gateway, self.command)
        except UnavailableError:
            return False
        return True


def wear(
    tx: Tx, who: Actor, episode: UUID, sensor: UUID, place: Place, gateway: UUID | None, at: datetime
) -> Told:
    """From `at` on the sensor is worn here. ConflictError where another is, or where somebody else wears this one."""
    taken = tx.execute(_AT_PLACE, (who.tenant, episode, place.placement, sensor, at)).fetchone()
    if taken is not None:
        raise ConflictError("A sensor is worn there already: return it first.")
    try:
        enrol.assign(
            tx, who.tenant, sensor, episode, place.placement, assigned_from=at, gateway=gateway,
            exercise=place.exercise,
        )  # fmt: skip
    except EnrolError as problem:
        raise ConflictError(f"{sentence(str(problem))}.") from None
    return tell(tx, who, episode, sensor)


def tell(tx: Tx, who: Actor, episode: UUID, sensor: UUID) -> Told:
    """What the gateway should know of a sensor of this episode."""
    newest, _ = _newest(tx, who, episode, sensor)
    if newest["assigned_to"] is not None:
        return Told(newest["gateway_id"], commands.let_go(sensor))
    known = {name: newest[name] for name in ("serial", "address") if newest[name]}
    told = {"placement": newest["placement"], "profile": newest["profile"], "exercise": newest["exercise"]}
    return Told(newest["gateway_id"], commands.wear(sensor, {**told, **known}))


def give_back(tx: Tx, who: Actor, episode: UUID, sensor: UUID, now: datetime) -> Told:
    """End the assignment. NotFoundError where the patient does not wear the sensor."""
    newest, _ = _newest(tx, who, episode, sensor)
    if newest["assigned_to"] is not None:
        raise NotFoundError
    enrol.return_sensor(tx, who.tenant, sensor, max(now, newest["assigned_from"] + SHORTEST))
    return Told(newest["gateway_id"], commands.let_go(sensor))


def move(tx: Tx, who: Actor, episode: UUID, sensor: UUID, place: Place, now: datetime) -> Told:
    """Worn elsewhere, or for something else, from now on."""
    newest, _ = _newest(tx, who, episode, sensor)
    if (newest["placement"], newest["exercise"]) == (place.placement, place.exercise):
        return tell(tx, who, episode, sensor)
    give_back(tx, who, episode, sensor, now)
    at = max(now, newest["assigned_from"] + SHORTEST)
    return wear(tx, who, episode, sensor, place, newest["gateway_id"], at)


def undo(tx: Tx, who: Actor, episode: UUID, sensor: UUID, now: datetime) -> Told:
    """As it was before the last change of this sensor: worn where it was, worn again, or returned."""
    newest, before = _newest(tx, who, episode, sensor)
    if newest["assigned_to"] is not None:
        at = max(now, newest["assigned_to"])
        return wear(tx, who, episode, sensor, _place(newest), newest["gateway_id"], at)
    if before is None or before["assigned_to"] != newest["assigned_from"]:
        return give_back(tx, who, episode, sensor, now)
    return move(tx, who, episode, sensor, _place(before), now)


def _place(row: dict[str, Any]) -> Place:
    return Place(row["placement"], row["exercise"])


def _newest(tx: Tx, who: Actor, episode: UUID, sensor: UUID) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """The newest assignment of the sensor in this episode, and the one before it."""
    rows = tx.execute(_HISTORY, (who.tenant, episode, sensor)).fetchall()
    if not rows:
        raise NotFoundError
    return rows[0], rows[1] if len(rows) > 1 else None
