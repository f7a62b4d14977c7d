"""The worklist's rows: a handful of grouped queries over the whole clinic, none per patient."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from uuid import UUID

from rtm_server.store import Store, Tx
from rtm_server.web import adherence, clinic
from rtm_server.web.clinic import Clinic, Episode
from rtm_server.web.needs import management_need, supply_need
from rtm_server.web.worklist.rules import PainReport, PatientFacts, mean_adherence, reasons
from rtm_server.web.worklist.views import Row, Worklist

LOOK_BACK = timedelta(days=45)  # the rules look at 28 days, the sparkline at 30

# One pass over the counted days: the first of an episode gives its window, then the days inside are counted. A day
# counts when consent covers it; where that is doubtful the ledger says so on the month's page.
_WINDOWS = """
WITH counted AS (
    SELECT DISTINCT d.episode_id, d.local_day
    FROM daily d
    JOIN episode e ON e.tenant_id = d.tenant_id AND e.episode_id = d.episode_id AND d.local_day >= e.started
    JOIN consent c ON c.tenant_id = d.tenant_id AND c.episode_id = d.episode_id
     AND d.local_day BETWEEN c.valid_from AND coalesce(c.valid_to, 'infinity'::date)
    WHERE d.tenant_id = %(tenant)s AND d.episode_id = ANY(%(episodes)s)
      AND (d.kind = 'sensor' OR %(test_counts)s)
), anchored AS (
    SELECT episode_id, local_day, min(local_day) OVER (PARTITION BY episode_id) AS anchor FROM counted
), placed AS (
    SELECT a.episode_id, a.local_day, a.anchor + (greatest(now_of.today - a.anchor, 0) / 30) * 30 AS first
    FROM anchored a
    JOIN unnest(%(episodes)s::uuid[], %(todays)s::date[]) AS now_of(episode_id, today) USING (episode_id)
)
SELECT episode_id, first, count(*) FILTER (WHERE local_day BETWEEN first AND first + 29)::int AS days
FROM placed GROUP BY episode_id, first
"""

_LAST_DATA = """
SELECT episode_id, max(local_day) AS last FROM daily
WHERE tenant_id = %(tenant)s AND episode_id = ANY(%(episodes)s) GROUP BY episode_id
"""

_PAIN = """
SELECT episode_id, local_day, score FROM pain_report
WHERE tenant_id = %(tenant)s AND episode_id = ANY(%(episodes)s) AND local_day >= %(since)s
ORDER BY episode_id, reported_at
"""


def load(store: Store, tx: Tx, tenant: UUID, now: datetime) -> Worklist:
    """Every patient with an open episode."""
    at = clinic.clinic(tx, tenant)
    today = at.today(now)
    open_episodes = clinic.episodes(store, tx, tenant, today)
    ids = [item.episode for item in open_episodes]
    since = today - LOOK_BACK
    doses = clinic.doses(tx, tenant, ids)
    done = clinic.done(tx, at, ids, since)
    minutes = clinic.minutes(tx, at, ids, today)
    scope = {"tenant": tenant, "episodes": ids, "since": since, "test_counts": at.test_counts}
    current = windows(tx, at, ids, [item.today(now) for item in open_episodes])
    last_data = {row["episode_id"]: row["last"] for row in tx.execute(_LAST_DATA, scope)}
    pain: defaultdict[UUID, list[PainReport]] = defaultdict(list)
    for row in tx.execute(_PAIN, scope):
        pain[row["episode_id"]].append(PainReport(row["local_day"], row["score"]))
    rows = []
    for item in open_episodes:
        key = item.episode
        facts = facts_of(item, doses[key], done[key], pain[key], last_data.get(key), item.today(now))
        rows.append(_row(item, facts, current.get(key), minutes.get(key, (0.0, False))))
    return Worklist(tuple(rows), today, now, at.zone)


def windows(
    tx: Tx, at: Clinic, wanted: Sequence[UUID], todays: Sequence[date]
) -> dict[UUID, tuple[date, int]]:
    """(first day, data days) of the window that holds each patient's today; none before the first data."""
    values = {
        "tenant": at.tenant,
        "episodes": list(wanted),
        "todays": list(todays),
        "test_counts": at.test_counts,
    }
    return {row["episode_id"]: (row["first"], row["days"]) for row in tx.execute(_WINDOWS, values)}


def pain_reports(tx: Tx, at: Clinic, episode: UUID, since: date) -> list[PainReport]:
    """One patient's reports in the order they came."""
    found = tx.execute(_PAIN, {"tenant": at.tenant, "episodes": [episode], "since": since})
    return [PainReport(row["local_day"], row["score"]) for row in found]


def facts_of(
    item: Episode,
    doses: list[adherence.Dose],
    done: list[adherence.Done],
    pain: list[PainReport],
    last_data: date | None,
    today: date,
) -> PatientFacts:
    """What the rules look at, on the patient's own days."""
    shares = adherence.by_day(doses, done)
    first = max(item.started, today - LOOK_BACK)
    return PatientFacts(
        today=today,
        started=item.started,
        prescribed=adherence.due_days(doses, first, today),
        adherence={day: share for day, share in shares.items() if share is not None},
        last_data=last_data,
        pain=pain,
    )


def _row(
    item: Episode, facts: PatientFacts, window: tuple[date, int] | None, minutes: tuple[float, bool]
) -> Row:
    month = [facts.today - timedelta(days=offset) for offset in range(29, -1, -1)]
    return Row(
        patient=item.patient,
        name=item.name,
        birth_year=item.born.year,
        condition=item.condition,
        week=item.week(facts.today),
        reasons=reasons(facts),
        spark=tuple(_known(facts, day) for day in month),
        adherence=mean_adherence(facts, month[0], facts.today - timedelta(days=1)),
        data_days=0 if window is None else window[1],
        days_needed=supply_need(item.organ_system, facts.today)[1],
        window_last=None if window is None else window[0] + timedelta(days=adherence.WINDOW_DAYS - 1),
        minutes=minutes[0],
        minutes_needed=management_need(facts.today),
        contact=minutes[1],
        last_data=facts.last_data,
    )


def _known(facts: PatientFacts, day: date) -> float | None:
    """The share of a day; zero only when it was due and later data have come without it."""
    if day in facts.adherence:
        return facts.adherence[day]
    missed = day in facts.prescribed and facts.last_data is not None and day < facts.last_data
    return 0.0 if missed else None
