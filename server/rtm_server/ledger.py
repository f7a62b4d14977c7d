"""From the database to the case of `rtm bill`, and from there to `rtm_billing.evaluate`.

Everything that could be evidence goes in; what counts is for the rules to say. Nothing here knows a code or a rule.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from rtm_billing import evaluate
from rtm_server import zone_hops
from rtm_server.errors import ServerError
from rtm_server.store import Tx

_LAST_YEAR = 2198  # of a case, wherever on earth (docs/reference/billing-cases.md)

_EPISODE = """
SELECT e.*, t.timezone AS clinic_zone, t.payer_profile, t.bill_settings, t.simulated_counts
FROM episode e JOIN tenant t USING (tenant_id) WHERE e.tenant_id = %s AND e.episode_id = %s
"""

# Recordings in which something was counted, each its own datum, so that every day opens its evidence. Those that are
# no data day by themselves (`kind` is NULL) go in with their doubts; what a clinician set aside does not. The newest
# result by a lateral join: the view `analysis_current` would be computed for the whole clinic.
_DATA = """
SELECT a.first_at, a.zone, a.kind, a.doubts, coalesce(a.kind = 'test', r.simulated) AS test, r.received_at, r.place
FROM recording r
CROSS JOIN LATERAL (
    SELECT * FROM analysis n WHERE n.tenant_id = r.tenant_id AND n.recording_id = r.recording_id
    ORDER BY n.analysis_no DESC LIMIT 1) a
WHERE r.tenant_id = %s AND r.episode_id = %s AND r.artefact_reason IS NULL
  AND a.first_at IS NOT NULL AND (a.kind IS NOT NULL OR a.doubts <> '{}')
ORDER BY a.first_at, r.recording_id
"""

_SENT = """
SELECT l.code, l.service_date, c.number FROM claim_line l JOIN claim c USING (tenant_id, claim_id)
WHERE l.tenant_id = %s AND l.episode_id = %s AND l.state IN ('exported', 'accepted', 'paid', 'denied')
ORDER BY l.service_date, l.code, c.number
"""


@dataclass(frozen=True, slots=True)
class Doubtful:
    """A local date with readings none of which is to be trusted, the dates (UTC) they arrived on, and why."""

    on: date
    received: frozenset[date]
    why: str


def case(tx: Tx, tenant: UUID, episode: UUID, as_of: date) -> dict[str, Any]:
    """The case of an episode as the contract's JSON object. `as_of`: a date in the clinic's zone."""
    row = tx.execute(_EPISODE, (tenant, episode)).fetchone()
    if row is None:
        raise ServerError("there is no such episode")
    setup = (
        None
        if row["setup_on"] is None
        else {"on": _text(row["setup_on"]), "assistant_share": float(row["setup_assistant_share"])}
    )
    return {
        "as_of": as_of.isoformat(),
        "practice": {"timezone": row["clinic_zone"]},
        "payer": {"profile": row["payer_profile"]},
        "settings": row["bill_settings"],
        "patient": {"timezone": row["timezone"]},
        "episode": {
            "started": _text(row["started"]),
            "discharged": _text(row["discharged"]),
            "organ_system": row["organ_system"],
            "discipline": row["discipline"],
            "therapist_billed": row["therapist_billed"],
            "consent": _spans(tx, "consent", tenant, episode),
            "plan_of_care": _spans(tx, "plan_of_care", tenant, episode),
            "device_basis": row["device_basis"] is not None,
            "setup": setup,
            "setup_billed_before": row["setup_billed_before"],
        },
        "data": _data(tx, tenant, episode, simulated_counts=row["simulated_counts"]),
        "management": _management(tx, tenant, episode),
        "visits": _visits(tx, tenant, episode),
        "therapy_spend": _spend(tx, tenant, episode),
        "other_services": [
            each["detail"]
            for each in tx.execute(
                "SELECT detail FROM other_service WHERE tenant_id = %s AND episode_id = %s ORDER BY service_id",
                (tenant, episode),
            )
        ],
        "claims_sent": [
            {"code": each["code"], "service_date": _text(each["service_date"]), "claim_id": each["number"]}
            for each in tx.execute(_SENT, (tenant, episode))
        ],
    }


def evaluation(tx: Tx, tenant: UUID, episode: UUID, as_of: date) -> dict[str, Any]:
    """What the rules say about the whole episode: `lines`, `not_billable`, `open`, `warnings`, `rules_version`."""
    return dict(evaluate(case(tx, tenant, episode, as_of)))


def month(tx: Tx, tenant: UUID, episode: UUID, first_day: date, as_of: date) -> dict[str, Any]:
    """The same, of one calendar month: lines by their service date, the rest by any date in common with the month."""
    return of_month(evaluation(tx, tenant, episode, as_of), first_day)


def of_month(result: Mapping[str, Any], first_day: date) -> dict[str, Any]:
    """The part of an evaluation that belongs to a month."""
    first = first_day.replace(day=1)
    last = (first + timedelta(days=32)).replace(day=1) - timedelta(days=1)
    low, high = first.isoformat(), last.isoformat()

    def touches(item: Mapping[str, Any]) -> bool:
        start, end = item["period"]
        return (start is None or start <= high) and (end is None or end >= low)

    return {
        **result,
        "lines": [line for line in result["lines"] if low <= line["service_date"] <= high],
        "not_billable": [each for each in result["not_billable"] if touches(each)],
        "open": [each for each in result["open"] if touches(each)],
    }


def doubtful(data: Sequence[Mapping[str, Any]]) -> list[Doubtful]:
    """Days of a case's `data` on which nothing stands that is free of doubt, by date."""
    certain = {_date(each["at"]) for each in data if "doubt" not in each}
    found: dict[date, tuple[set[date], set[str]]] = {}
    for each in data:
        if "doubt" in each and (on := _date(each["at"])) not in certain:
            received, why = found.setdefault(on, (set(), set()))
            received.add(_date(each["received_at"]))
            why.add(each["doubt"])
    return [
        Doubtful(on, frozenset(received), "; ".join(sorted(why)))
        for on, (received, why) in sorted(found.items())
    ]


def today(tx: Tx, tenant: UUID, now: datetime) -> date:
    """The date in the clinic's zone."""
    row = tx.execute("SELECT timezone FROM tenant WHERE tenant_id = %s", (tenant,)).fetchone()
    if row is None:
        raise ServerError("there is no such clinic")
    return now.astimezone(ZoneInfo(row["timezone"])).date()


def _data(tx: Tx, tenant: UUID, episode: UUID, *, simulated_counts: bool) -> list[dict[str, Any]]:
    """Days of simulated sensors are `test`, which no rule counts; in the demo's clinic they stand for real ones."""
    rows = tx.execute(_DATA, (tenant, episode)).fetchall()
    certain = [(each["first_at"], each["zone"]) for each in rows if each["kind"] is not None]
    hops = iter(zone_hops.gained(certain))
    data = []
    for each in rows:
        doubts = [] if each["kind"] is not None else list(each["doubts"])
        if each["kind"] is not None and next(hops):
            doubts.append(zone_hops.DOUBT)
        at = each["first_at"]
        if at.year > _LAST_YEAR:  # no date of any case: the day it arrived is what a person can look at
            doubts.append(f"the clock said {at:%Y}, so it is dated by its arrival")
            at = each["received_at"]
        datum = {
            "at": at.astimezone(ZoneInfo(each["zone"])).isoformat(),
            "zone": each["zone"],
            "received_at": each["received_at"].isoformat(),
            "kind": "sensor" if simulated_counts or not each["test"] else "test",
            "place": each["place"],
        }
        data.append({**datum, "doubt": "; ".join(doubts)} if doubts else datum)
    return data


def _management(tx: Tx, tenant: UUID, episode: UUID) -> list[dict[str, Any]]:
    return [
        {
            "start": each["started_at"].isoformat(),
            "end": each["ended_at"].isoformat(),
            "by": str(each["author_id"]),
            "role": each["role"],
            "contact": each["contact"],
            "billed_elsewhere": each["billed_elsewhere"],
            "entered_at": each["entered_at"].isoformat(),
            "idle": each["idle"],
        }
        for each in tx.execute(
            "SELECT * FROM time_entry_current WHERE tenant_id = %s AND episode_id = %s ORDER BY started_at, entry_id",
            (tenant, episode),
        )
    ]


def _visits(tx: Tx, tenant: UUID, episode: UUID) -> list[dict[str, Any]]:
    return [
        {
            "on": _text(each["visited_on"]),
            "services": each["services"],
            "start": None if each["started_at"] is None else each["started_at"].isoformat(),
            "end": None if each["ended_at"] is None else each["ended_at"].isoformat(),
        }
        for each in tx.execute(
            "SELECT visited_on, services, started_at, ended_at FROM visit WHERE tenant_id = %s AND episode_id = %s"
            " ORDER BY visited_on, visit_id",
            (tenant, episode),
        )
    ]


def _spend(tx: Tx, tenant: UUID, episode: UUID) -> list[dict[str, Any]]:
    return [
        {"on": _text(each["spent_on"]), "amount": str(each["amount"])}
        for each in tx.execute(
            "SELECT spent_on, amount FROM therapy_spend WHERE tenant_id = %s AND episode_id = %s"
            " ORDER BY spent_on, spend_id",
            (tenant, episode),
        )
    ]


def _spans(tx: Tx, table: str, tenant: UUID, episode: UUID) -> list[dict[str, str | None]]:
    rows = tx.execute(
        f"SELECT valid_from, valid_to FROM {table} WHERE tenant_id = %s AND episode_id = %s ORDER BY 1, 2",  # noqa: S608 - a table's name from this module
        (tenant, episode),
    )
    return [{"from": _text(each["valid_from"]), "to": _text(each["valid_to"])} for each in rows]


def _date(moment: str) -> date:
    return datetime.fromisoformat(moment).date()


def _text(day: date | None) -> str | None:
    return None if day is None else day.isoformat()
