"""What several pages ask of the store: the clinic, its day, its episodes, doses and done work."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from rtm_billing.rules import OrganSystem
from rtm_server.enrol import identifiers
from rtm_server.errors import CryptoError
from rtm_server.store import Store, Tx
from rtm_server.web.adherence import Done, Dose
from rtm_server.web.errors import NotFoundError

LIVE_CONTACTS = (
    "phone",
    "video",
    "in_person",
)  # docs/reference/billing-rules.md: voicemail and messages are not live

_CLINIC = "SELECT name, timezone, simulated_counts, practice FROM tenant WHERE tenant_id = %(tenant)s"

_EPISODES = """
SELECT DISTINCT ON (e.patient_id)
       e.patient_id, e.episode_id, e.timezone, e.started, e.discharged, e.organ_system, e.title_enc,
       p.identifiers_enc
FROM episode e
JOIN patient p ON p.tenant_id = e.tenant_id AND p.patient_id = e.patient_id
WHERE e.tenant_id = %(tenant)s AND p.erased_at IS NULL
  AND (%(patient)s::uuid IS NULL OR e.patient_id = %(patient)s)
  AND (%(patient)s::uuid IS NOT NULL OR e.discharged IS NULL OR e.discharged >= %(today)s)
ORDER BY e.patient_id, e.started DESC, e.episode_id
"""

_DOSES = """
SELECT episode_id, exercise, sets, repetitions, holds, minutes, weekdays, valid_from, valid_to
FROM prescription
WHERE tenant_id = %(tenant)s AND episode_id = ANY(%(episodes)s)
ORDER BY valid_from, exercise
"""

# Days of simulated sensors are `test`: they count in the demo's clinic only.
_DONE = """
SELECT d.episode_id, d.local_day, d.exercise,
       sum(d.repetitions)::int AS repetitions, sum(d.holds)::int AS holds, sum(d.minutes) AS minutes
FROM daily d
WHERE d.tenant_id = %(tenant)s AND d.episode_id = ANY(%(episodes)s) AND d.local_day >= %(since)s
  AND (d.kind = 'sensor' OR %(test_counts)s)
GROUP BY d.episode_id, d.local_day, d.exercise
"""

# Minutes are united, clipped to the month and summed unrounded, as the rules want them.
_MINUTES = """
WITH worked AS (
    SELECT episode_id,
           range_agg(tstzrange(started_at, ended_at) * tstzrange(%(month_from)s, %(month_to)s)) AS spans,
           bool_or(contact = ANY(%(live)s)) AS contact
    FROM time_entry_current
    WHERE tenant_id = %(tenant)s AND episode_id = ANY(%(episodes)s)
      AND started_at < %(month_to)s AND ended_at > %(month_from)s
      AND NOT idle AND NOT billed_elsewhere AND role <> 'unlicensed'
    GROUP BY episode_id
)
SELECT episode_id, contact,
       (SELECT sum(extract(epoch FROM upper(span) - lower(span))) / 60.0
        FROM unnest(spans) AS span) AS minutes
FROM worked
"""


@dataclass(frozen=True, slots=True)
class Clinic:
    """The tenant as pages need it."""

    tenant: UUID
    name: str
    zone: str
    test_counts: bool
    phone: str | None

    def today(self, now: datetime) -> date:
        """The clinic's calendar day."""
        return now.astimezone(ZoneInfo(self.zone)).date()

    def month(self, today: date) -> tuple[datetime, datetime]:
        """First moment of the month and of the next, by the clinic's clock."""
        first = today.replace(day=1)
        zone = ZoneInfo(self.zone)
        following = (first + timedelta(days=32)).replace(day=1)
        return tuple(datetime.combine(day, time(), zone).astimezone(UTC) for day in (first, following))  # type: ignore[return-value]  # two


@dataclass(frozen=True, slots=True)
class Episode:
    """The current episode of a patient with the identifiers that name the patient on a page."""

    patient: UUID
    episode: UUID
    zone: str
    started: date
    discharged: date | None
    organ_system: OrganSystem
    condition: str
    name: str
    born: date
    record_number: str

    def today(self, now: datetime) -> date:
        """The patient's local day."""
        return now.astimezone(ZoneInfo(self.zone)).date()

    def week(self, today: date) -> int:
        """Week of the episode, from 1."""
        return max((today - self.started).days, 0) // 7 + 1


def clinic(tx: Tx, tenant: UUID) -> Clinic:
    """The signed-in person's clinic."""
    row = tx.execute(_CLINIC, {"tenant": tenant}).fetchone()
    if row is None:
        raise NotFoundError
    phone = row["practice"].get("phone")
    return Clinic(
        tenant, row["name"], row["timezone"], row["simulated_counts"], None if phone is None else str(phone)
    )


def episodes(store: Store, tx: Tx, tenant: UUID, today: date) -> list[Episode]:
    """The newest open episode of every patient."""
    rows = tx.execute(_EPISODES, {"tenant": tenant, "patient": None, "today": today}).fetchall()
    return episodes_from(store, tx, tenant, rows)


def episodes_from(store: Store, tx: Tx, tenant: UUID, rows: Sequence[dict[str, Any]]) -> list[Episode]:
    """Rows with an episode's columns and `identifiers_enc`, decrypted; erased patients fall out."""
    store.fetch_keys(tx, tenant, {row["patient_id"] for row in rows})
    return [found for row in rows if (found := _episode(store, tx, tenant, row)) is not None]


def episode_of(store: Store, tx: Tx, tenant: UUID, patient: UUID) -> Episode:
    """A patient's newest episode; NotFoundError for an unknown patient and for another clinic's alike."""
    row = tx.execute(_EPISODES, {"tenant": tenant, "patient": patient, "today": date.max}).fetchone()
    found = None if row is None else _episode(store, tx, tenant, row)
    if found is None:
        raise NotFoundError
    return found


def _episode(store: Store, tx: Tx, tenant: UUID, row: dict[str, Any]) -> Episode | None:
    patient = row["patient_id"]
    try:
        who = identifiers(store, tx, tenant, patient, row["identifiers_enc"])
        title = row["title_enc"]
        condition = "" if title is None else store.open_text(tx, tenant, patient, "title_enc", title)
    except CryptoError:
        return None  # erased between two queries
    return Episode(
        patient=patient,
        episode=row["episode_id"],
        zone=row["timezone"],
        started=row["started"],
        discharged=row["discharged"],
        organ_system=row["organ_system"],
        condition=condition,
        name=str(who.get("name", "Name not recorded")),
        born=date.fromisoformat(str(who["birth_date"])),
        record_number=str(who.get("record_number", "not recorded")),
    )


def doses(tx: Tx, tenant: UUID, wanted: Sequence[UUID]) -> defaultdict[UUID, list[Dose]]:
    """Lines of the plan by episode, past ones too."""
    found: defaultdict[UUID, list[Dose]] = defaultdict(list)
    for row in tx.execute(_DOSES, {"tenant": tenant, "episodes": list(wanted)}):
        unit = next(name for name in ("repetitions", "holds", "minutes") if row[name] is not None)
        found[row["episode_id"]].append(
            Dose(
                row["exercise"],
                row["sets"],
                float(row[unit]),
                unit,
                frozenset(row["weekdays"]),
                row["valid_from"],
                row["valid_to"],
            )
        )
    return found


def done(tx: Tx, at: Clinic, wanted: Sequence[UUID], since: date) -> defaultdict[UUID, list[Done]]:
    """Counted work by episode from a day on."""
    found: defaultdict[UUID, list[Done]] = defaultdict(list)
    values = {"tenant": at.tenant, "episodes": list(wanted), "since": since, "test_counts": at.test_counts}
    for row in tx.execute(_DONE, values):
        found[row["episode_id"]].append(
            Done(row["local_day"], row["exercise"], row["repetitions"], row["holds"], float(row["minutes"]))
        )
    return found


def minutes(tx: Tx, at: Clinic, wanted: Sequence[UUID], today: date) -> dict[UUID, tuple[float, bool]]:
    """(minutes, live contact) of this month by episode; an episode without entries is left out."""
    month_from, month_to = at.month(today)
    values = {
        "tenant": at.tenant,
        "episodes": list(wanted),
        "month_from": month_from,
        "month_to": month_to,
        "live": list(LIVE_CONTACTS),
    }
    return {
        row["episode_id"]: (float(row["minutes"] or 0.0), bool(row["contact"]))
        for row in tx.execute(_MINUTES, values)
    }
