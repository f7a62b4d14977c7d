"""Writing down minutes and contacts: append only, no overlaps, undone by an entry that takes one back."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

from rtm_billing.rules import MANAGEMENT_CODES
from rtm_server.enrol import user_name
from rtm_server.store import Store, Tx
from rtm_server.web.clinic import Clinic
from rtm_server.web.errors import ConflictError, InvalidError, NotFoundError
from rtm_server.web.patient.repository import overlap_words
from rtm_server.web.policy import Actor

LONG_MINUTES = 60.0  # longer needs a reason
LONGEST_MINUTES = 480.0  # a working day
CLOCK_SKEW = timedelta(minutes=1)

# What the form offers -> (words, activity, contact). A voicemail is time, but no contact.
ACTIVITIES: dict[str, tuple[str, str, str | None]] = {
    "phone": ("Phone call", "call", "phone"),
    "video": ("Video call", "call", "video"),
    "in_person": ("In person", "call", "in_person"),
    "voicemail": ("Voicemail", "call", "voicemail"),
    "review": ("Data review", "data_review", None),
    "plan": ("Plan change", "programme_change", None),
}

_OVERLAP = """
SELECT t.started_at, t.ended_at, t.author_id, u.name_enc
FROM time_entry_current t JOIN app_user u ON u.tenant_id = t.tenant_id AND u.user_id = t.author_id
WHERE t.tenant_id = %(tenant)s AND NOT t.idle AND (t.author_id = %(author)s OR t.episode_id = %(episode)s)
  AND t.started_at < %(end)s AND t.ended_at > %(start)s
ORDER BY t.started_at LIMIT 1
"""
_INSERT = """
INSERT INTO time_entry (tenant_id, entry_id, episode_id, author_id, role, started_at, ended_at, activity,
                        contact, note_enc, idle, entered_at)
SELECT %(tenant)s, %(entry)s, %(episode)s, %(author)s, u.practice_role, %(start)s, %(end)s, %(activity)s,
       %(contact)s, %(note)s, %(idle)s, %(now)s
FROM app_user u WHERE u.tenant_id = %(tenant)s AND u.user_id = %(author)s
"""
_FOUND = """
SELECT t.*,
       EXISTS (SELECT 1 FROM time_entry s
               WHERE s.tenant_id = t.tenant_id AND s.supersedes = t.entry_id) AS gone,
       EXISTS (SELECT 1 FROM claim_line l WHERE l.tenant_id = t.tenant_id AND l.episode_id = t.episode_id
               AND l.code = ANY(%(codes)s) AND l.state NOT IN ('rejected', 'withdrawn')
               AND (t.started_at AT TIME ZONE %(zone)s)::date BETWEEN l.period_from AND l.period_to
              ) AS claimed
FROM time_entry t
WHERE t.tenant_id = %(tenant)s AND t.entry_id = %(entry)s AND t.episode_id = %(episode)s
"""
_TAKE_BACK = """
INSERT INTO time_entry (tenant_id, entry_id, episode_id, author_id, role, started_at, ended_at, activity,
                        contact, entered_at, supersedes, voided)
SELECT t.tenant_id, %(new)s, t.episode_id, %(author)s, u.practice_role, t.started_at, t.ended_at, t.activity,
       t.contact, %(now)s, t.entry_id, true
FROM time_entry t JOIN app_user u ON u.tenant_id = t.tenant_id AND u.user_id = %(author)s
WHERE t.tenant_id = %(tenant)s AND t.entry_id = %(entry)s
"""


@dataclass(frozen=True, slots=True)
class Work:
    """A checked entry, UTC. idle: how long the timer ran before it while nobody did anything."""

    start: datetime
    end: datetime
    activity: str
    contact: str | None
    note: str
    idle: timedelta = timedelta()


def checked(
    activity: str, minutes: str, ended: str, note: str, zone: str, now: datetime, *, idle: str = ""
) -> Work:
    """The form's words as an entry, or InvalidError with what to mend. `ended` is the clinic's local time."""
    if activity not in ACTIVITIES:
        raise InvalidError("Choose what you did.")
    try:
        length = float(minutes.strip().replace(",", "."))
        unused = float(idle.strip() or 0.0)
        local = datetime.strptime(ended.strip()[:16], "%Y-%m-%dT%H:%M").replace(tzinfo=ZoneInfo(zone))
    except ValueError:
        raise InvalidError("Give the minutes as a number and the time it ended.") from None
    if not math.isfinite(length) or not 0 < length <= LONGEST_MINUTES:
        raise InvalidError(f"Minutes must be more than 0 and at most {LONGEST_MINUTES:.0f}.")
    if not math.isfinite(unused) or not 0 <= unused <= LONGEST_MINUTES:
        raise InvalidError(f"Idle minutes must be at least 0 and at most {LONGEST_MINUTES:.0f}.")
    if length > LONG_MINUTES and len(note.strip()) < 4:
        raise InvalidError(f"More than {LONG_MINUTES:.0f} minutes need a reason in the note.")
    end = local.astimezone(UTC)
    if end > now + CLOCK_SKEW:
        raise InvalidError("The end lies in the future.")
    if end < now - timedelta(days=365):
        raise InvalidError("The end lies more than a year back.")
    _, kind, contact = ACTIVITIES[activity]
    start = end - timedelta(minutes=length)
    return Work(start, end, kind, contact, note.strip(), timedelta(minutes=unused))


def log(
    store: Store, tx: Tx, at: Clinic, who: Actor, patient: UUID, episode: UUID, work: Work, now: datetime
) -> UUID:
    """Store the entry; ConflictError when it overlaps with one of this person or of this patient."""
    for key in (who.user, episode):  # one at a time per person, then per episode, always in this order
        tx.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"time|{key}",))
    values = {
        "tenant": at.tenant,
        "author": who.user,
        "episode": episode,
        "start": work.start,
        "end": work.end,
        "now": now,
        "entry": uuid4(),
        "activity": work.activity,
        "contact": work.contact,
        "idle": False,
        "note": store.seal_text(tx, at.tenant, patient, "note_enc", work.note) if work.note else None,
    }
    clash = tx.execute(_OVERLAP, values).fetchone()
    if clash is not None:
        by = user_name(store, tx, at.tenant, clash["author_id"], clash["name_enc"])
        raise ConflictError(overlap_words(clash, at.zone, by))
    tx.execute(_INSERT, values)
    if work.idle:  # shown, and marked as what no rule counts; it stands in nobody's way
        idle = {"entry": uuid4(), "start": work.start - work.idle, "end": work.start, "idle": True}
        tx.execute(_INSERT, {**values, **idle, "contact": None, "note": None})
    return UUID(str(values["entry"]))


def take_back(tx: Tx, at: Clinic, who: Actor, episode: UUID, entry: UUID, now: datetime) -> None:
    """Undo: the entry stays readable and no longer counts. Refused once a claim line stands on it."""
    values = {
        "tenant": at.tenant,
        "episode": episode,
        "entry": entry,
        "codes": sorted(MANAGEMENT_CODES),
        "zone": at.zone,
        "author": who.user,
        "now": now,
        "new": uuid4(),
    }
    tx.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"undo|{entry}",))
    found = tx.execute(_FOUND, values).fetchone()
    if found is None or found["voided"]:
        raise NotFoundError
    if found["gone"]:
        raise ConflictError("This entry has been taken back already.")
    if found["claimed"]:
        raise ConflictError(
            "A released claim line stands on this month's minutes. Ask billing to withdraw it first."
        )
    tx.execute(_TAKE_BACK, values)
