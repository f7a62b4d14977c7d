"""Are the patient's sensors there? What the gateway said last, as sentences for the patient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from rtm_server.home_status import HomeStatus, SensorStatus, homes_of
from rtm_server.store import Tx
from rtm_server.web.enrolment import homes
from rtm_server.web.enrolment.homes import Wears
from rtm_server.web.wording import body_part

LOW = 0.2
"""Share of a full battery; the gateway warns below the same."""


@dataclass(frozen=True, slots=True)
class Readiness:
    """problem: why nothing can be measured now, one sentence; None where it can. notes: what is worth knowing."""

    problem: str | None
    notes: Sequence[str] = ()


def of(tx: Tx, tenant: UUID, episode: UUID, now: datetime) -> Readiness:
    """The sensors of an episode as last heard."""
    worn = [each for each in homes.worn(tx, tenant, episode, now) if each.gateway is not None]
    return ready([each for each in worn if each.since <= now], homes_of(tx, tenant, episode, now))


def ready(worn: Sequence[Wears], heard: Sequence[HomeStatus]) -> Readiness:
    """What stands in the way, the first thing first: one sentence at a time is enough to act on."""
    if not worn:
        return Readiness("No sensor is assigned to you yet. Please call your clinic.")
    known = {each.gateway: each for each in heard}
    notes: list[str] = []
    for each in worn:
        home = None if each.gateway is None else known.get(each.gateway)
        if home is None or not home.online:
            return Readiness(
                "The gateway in your home is not in touch. Check that it has power and the internet, and try again."
            )
        place = body_part(each.placement)
        said = next((one for one in home.sensors if one.sensor == each.sensor), None)
        if said is None or said.placement != each.placement:
            return Readiness(
                f"Your gateway does not know yet that a sensor is on your {place}. Wait a minute and try again;"
                " if it stays so, please call your clinic."
            )
        if not said.connected:
            return Readiness(
                f"The sensor on your {place} is not in touch. Move it to wake it, keep it near the gateway, charge it"
                " if it stays dark, and try again."
            )
        notes += _battery(said, place)
    return Readiness(None, tuple(notes))


def _battery(said: SensorStatus, place: str) -> list[str]:
    if said.battery is None or said.battery >= LOW:
        return []
    return [
        f"The battery of the sensor on your {place} is low ({said.battery:.0%}). Charge it when you have finished."
    ]
