"""The practitioner's time behind a management line: when, how long, who, and when it was entered. Never a note."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from typing import Any
from uuid import UUID

from rtm_server.enrol import user_name
from rtm_server.store import Store, Tx
from rtm_server.web.billing.views import EvidenceItem
from rtm_server.web.clinic import Clinic
from rtm_server.web.wording import as_of, plural

_ENTRIES = """
SELECT t.started_at, t.ended_at, t.activity, t.contact, t.idle, t.billed_elsewhere, t.entered_at, t.role,
       u.user_id, u.name_enc
FROM time_entry_current t JOIN app_user u ON u.tenant_id = t.tenant_id AND u.user_id = t.author_id
WHERE t.tenant_id = %(tenant)s AND t.episode_id = %(episode)s
  AND (t.started_at AT TIME ZONE %(zone)s)::date <= %(last)s AND (t.ended_at AT TIME ZONE %(zone)s)::date >= %(first)s
ORDER BY t.started_at, t.entry_id
"""
_LATER = timedelta(days=1)
"""An entry made later than this after its end says so; from when on that is a doubt is the rules' to say."""


def entries(store: Store, tx: Tx, at: Clinic, episode: UUID, period: tuple[date, date]) -> list[EvidenceItem]:
    """Every entry that touches the period, in time; what does not count says why."""
    values = {
        "tenant": at.tenant,
        "episode": episode,
        "zone": at.zone,
        "first": period[0],
        "last": period[1],
    }
    return [
        EvidenceItem("Time", as_of(row["started_at"], at.zone), ", ".join(_words(store, tx, at, row)))
        for row in tx.execute(_ENTRIES, values).fetchall()
    ]


def _words(store: Store, tx: Tx, at: Clinic, row: Mapping[str, Any]) -> Iterable[str]:
    yield f"{round((row['ended_at'] - row['started_at']) / timedelta(minutes=1), 1):g} min"
    yield row["activity"].replace("_", " ")
    if row["contact"]:
        yield row["contact"].replace("_", " ")
    yield f"by {user_name(store, tx, at.tenant, row['user_id'], row['name_enc'])} ({row['role'].replace('_', ' ')})"
    later = row["entered_at"] - row["ended_at"]
    if later > _LATER:
        yield f"entered {plural(later.days, 'day')} later"
    if row["idle"]:
        yield "idle, not counted"
    if row["billed_elsewhere"]:
        yield "billed elsewhere, not counted"
