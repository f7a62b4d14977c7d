"""The month: every episode's ledger evaluated by `rtm_billing`, beside the lines already released."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from rtm_billing import RULES_VERSION, evaluate
from rtm_server import ledger
from rtm_server.claims import errors as claims_errors
from rtm_server.claims import lifecycle
from rtm_server.enrol import user_name
from rtm_server.ledger import Doubtful
from rtm_server.store import Store, Tx
from rtm_server.web import clinic
from rtm_server.web.billing.views import Line, Month, NotBillable, OpenPeriod, State
from rtm_server.web.clinic import Clinic, Episode
from rtm_server.web.errors import ConflictError
from rtm_server.web.policy import Actor
from rtm_server.web.wording import full_day, plural, sentence

# Every episode that was open at some time of the month or of the two before, whose windows may end in it.
_EPISODES = """
SELECT e.patient_id, e.episode_id, e.timezone, e.started, e.discharged, e.organ_system, e.title_enc,
       p.identifiers_enc
FROM episode e
JOIN patient p ON p.tenant_id = e.tenant_id AND p.patient_id = e.patient_id
WHERE e.tenant_id = %(tenant)s AND p.erased_at IS NULL AND e.started <= %(last)s
  AND (e.discharged IS NULL OR e.discharged >= %(early)s)
ORDER BY e.episode_id
"""
_STORED = """
SELECT l.line_id, l.episode_id, l.code, l.units, l.modifiers, l.service_date, l.period_from, l.period_to,
       l.decision, l.reasons, l.evidence, l.rules_version, l.state, v.actor_id, v.at, v.reason, u.name_enc,
       (SELECT n.reason FROM claim_line_event n WHERE n.tenant_id = l.tenant_id AND n.line_id = l.line_id
          AND n.event_no > 1 AND l.state IN ('approved', 'denied') ORDER BY n.event_no DESC LIMIT 1) AS remark
FROM claim_line l
LEFT JOIN claim_line_event v ON v.tenant_id = l.tenant_id AND v.line_id = l.line_id AND v.event_no = 1
LEFT JOIN app_user u ON u.tenant_id = v.tenant_id AND u.user_id = v.actor_id
WHERE l.tenant_id = %(tenant)s AND l.service_date BETWEEN %(first)s AND %(last)s
  AND l.state NOT IN ('rejected', 'withdrawn')
"""


# Why a line that may be released anew was rejected the last time, newest last.
_REJECTED = """
SELECT l.episode_id, l.code, l.period_from, l.period_to, v.reason
FROM claim_line l JOIN claim_line_event v USING (tenant_id, line_id)
WHERE l.tenant_id = %(tenant)s AND l.service_date BETWEEN %(first)s AND %(last)s
  AND l.state = 'rejected' AND v.state = 'rejected' ORDER BY v.at, v.event_no
"""


_PATH = re.compile(r" \((?:patient|practice)\.[^()\s]*\)")
"""Where something is filed, in a sentence that names it already: for who writes files, not for who reads pages."""
IN_DOUBT = ".doubt"
"""After the key of a line: what doubtful evidence adds to it."""


# By the partial index `recording_unfinished`. What waits for samples may wait for ever: it is no reason to wait.
_WAITING = """
SELECT count(*) AS n FROM recording
WHERE tenant_id = %(tenant)s AND state = 'complete' AND opened_at >= %(early)s::date AND opened_at < %(last)s::date + 2
"""


@dataclass(frozen=True, slots=True)
class Found:
    """A line of the month with what a release stores beside it."""

    line: Line
    episode: UUID
    evidence: Mapping[str, Any]
    rules_version: str
    doubts: Sequence[Doubtful] = ()
    stored: UUID | None = None


@dataclass(frozen=True, slots=True)
class Evaluated:
    """The month with its lines by key."""

    month: Month
    found: Mapping[str, Found]


def last_day(first: date) -> date:
    """The month's last day."""
    return (first + timedelta(days=32)).replace(day=1) - timedelta(days=1)


def load(store: Store, tx: Tx, at: Clinic, first: date, now: datetime) -> Evaluated:
    """Evaluate the month as of today in the clinic's zone."""
    last, today = last_day(first), at.today(now)
    scope = {"tenant": at.tenant, "first": first, "last": last, "early": first - timedelta(days=62)}
    items = clinic.episodes_from(store, tx, at.tenant, tx.execute(_EPISODES, scope).fetchall())
    by_episode = {item.episode: item for item in items}
    found = _stored(store, tx, at, scope, by_episode)
    not_billable: list[NotBillable] = []
    open_periods: list[OpenPeriod] = []
    warnings: list[str] = []
    rejected = {line_key(r["episode_id"], r["code"], (r["period_from"], r["period_to"])): r["reason"]
                for r in tx.execute(_REJECTED, scope)}  # fmt: skip
    for item in items:
        case = ledger.case(tx, at.tenant, item.episode, today)
        result: Mapping[str, Any] = evaluate(case)
        doubts = ledger.doubtful(case["data"])
        for fresh in _with_joined_units(_evaluated(item, result, doubts)):
            if not first <= fresh.line.service_date <= last or _stood_for(fresh, found):
                continue
            if (why := rejected.get(fresh.line.key)) is not None:
                sent = replace(fresh.line, reasons=(*fresh.line.reasons, f"sent before and rejected: {why}"))
                fresh = replace(fresh, line=sent)  # noqa: PLW2901 - the same line, with what became of it
            standing = found.get(fresh.line.key)
            if standing is None:
                found[fresh.line.key] = fresh
            elif fresh.line.joins and standing.line.units < fresh.line.joins + fresh.line.units:
                found[fresh.line.key + IN_DOUBT] = _joined(fresh, standing.line.units)
        not_billable += [
            NotBillable(item.name, item.record_number, entry["code"], _period(entry["period"]), entry["why"])
            for entry in result["not_billable"]
            if first <= _period(entry["period"])[1] <= last and not _shown_as_sent(item, entry, found)
        ]
        open_periods += _open(item, result, first, last)
        warnings += [
            f"{item.name}: {text}" for text in (*result["warnings"], *_in_doubt(doubts, first, last))
        ]
    lines = sorted(
        (f.line for f in found.values()), key=lambda n: (n.name.casefold(), n.code, n.service_date)
    )
    not_billable.sort(key=lambda n: (n.name.casefold(), n.code, n.period))
    open_periods.sort(key=lambda n: (n.name.casefold(), n.codes, n.period))
    row = tx.execute(_WAITING, scope).fetchone()
    waiting = 0 if row is None else row["n"]
    month = Month(first, lines, not_billable, open_periods, warnings, RULES_VERSION, now, at.zone, waiting)
    return Evaluated(month, found)


def _in_doubt(doubts: Sequence[Doubtful], first: date, last: date) -> Iterable[str]:
    """Days in doubt that belong to the month, or whose wrong clock put them elsewhere though they arrived in it."""
    by_reason: dict[str, list[date]] = {}
    for each in doubts:
        if any(first <= day <= last for day in (each.on, *each.received)):
            by_reason.setdefault(each.why, []).append(each.on)
    for why, days in by_reason.items():
        span = full_day(days[0]) if len(days) == 1 else f"{full_day(days[0])} to {full_day(days[-1])}"
        yield f"{plural(len(days), 'day')} in doubt ({span}), not counted without a person's decision: {why}"


def _evaluated(item: Episode, result: Mapping[str, Any], doubts: Sequence[Doubtful]) -> Iterable[Found]:
    for entry in result["lines"]:
        period = _period(entry["period"])
        line = Line(
            key=line_key(item.episode, entry["code"], period),
            name=item.name,
            account=item.record_number,
            code=entry["code"],
            units=entry["units"],
            modifiers=tuple(entry["modifiers"]),
            service_date=date.fromisoformat(entry["service_date"]),
            period=period,
            decision=entry["decision"],
            state=State.HOLD if entry["decision"] == "hold" else State.READY,
            reasons=tuple(entry["reasons"]),
            patient=item.patient,
        )
        inside = [each for each in doubts if period[0] <= each.on <= period[1]]
        more = {name: entry[name] for name in ("replaces", "correction") if name in entry}
        yield Found(line, item.episode, {**entry["evidence"], **more}, result["rules_version"], inside)


def _with_joined_units(found: Iterable[Found]) -> Iterable[Found]:
    """The rules give a line twice where doubtful evidence adds units: what stands, and what is held of it."""
    certain: dict[str, int] = {}
    for each in found:
        key = each.line.key
        yield each if key not in certain else replace(each, line=replace(each.line, joins=certain[key]))
        certain.setdefault(key, each.line.units)


def _joined(fresh: Found, standing: int) -> Found:
    """The units in doubt beside those that stand, as a line of its own to decide on; released, they are one line."""
    whole = fresh.line.joins + fresh.line.units
    line = replace(fresh.line, key=fresh.line.key + IN_DOUBT, joins=standing, units=whole - standing)
    evidence = {**fresh.evidence, "units_in_doubt": fresh.line.units}
    return replace(fresh, line=line, evidence=evidence)


def _open(item: Episode, result: Mapping[str, Any], first: date, last: date) -> list[OpenPeriod]:
    """Periods that touch the month and still run."""
    return [
        OpenPeriod(
            item.name,
            item.record_number,
            tuple(entry["codes"]),
            period,
            entry["have"],
            entry["need"],
            entry["unit"],
            entry["days_left"],
            entry["reachable"],
            item.patient,
        )
        for entry in result["open"]
        if (period := _period(entry["period"]))[0] <= last and period[1] >= first
    ]


def _stored(
    store: Store, tx: Tx, at: Clinic, scope: Mapping[str, Any], items: Mapping[UUID, Episode]
) -> dict[str, Found]:
    """Lines somebody has released. They stand as they were released, whatever the evidence says today."""
    found: dict[str, Found] = {}
    for row in tx.execute(_STORED, scope).fetchall():
        item = items.get(row["episode_id"])
        period = (row["period_from"], row["period_to"])
        by = None
        if row["name_enc"] is not None:
            by = user_name(store, tx, at.tenant, row["actor_id"], row["name_enc"])
        line = Line(
            key=line_key(row["episode_id"], row["code"], period),
            name="Erased patient" if item is None else item.name,
            account="" if item is None else item.record_number,
            code=row["code"],
            units=row["units"],
            modifiers=tuple(row["modifiers"]),
            service_date=row["service_date"],
            period=period,
            decision=row["decision"],
            state=State.RELEASED,
            reasons=tuple(row["reasons"]),
            released_by=by,
            released_at=row["at"],
            release_reason=row["reason"] or None,
            standing=row["state"],
            remark=_PATH.sub("", row["remark"] or ""),
            patient=None if item is None else item.patient,
        )
        found[line.key] = Found(
            line, row["episode_id"], row["evidence"], row["rules_version"], stored=row["line_id"]
        )
    return found


def _shown_as_sent(item: Episode, entry: Mapping[str, Any], found: Mapping[str, Found]) -> bool:
    """Whether all that is said is that the line has left, and it stands among the released ones already."""
    line = found.get(line_key(item.episode, entry["code"], _period(entry["period"])))
    return (
        line is not None
        and line.stored is not None
        and re.fullmatch(r"already sent as \S+", entry["why"]) is not None
    )


def _stood_for(fresh: Found, found: Mapping[str, Found]) -> bool:
    """Whether a released line stands instead of this one, which then never goes out beside it."""
    return any(
        each.stored is not None
        and each.episode == fresh.episode
        and each.line.period == fresh.line.period
        and fresh.line.code in (each.evidence.get("instead_of") or ())
        for each in found.values()
    )


def release(tx: Tx, who: Actor, chosen: Sequence[Found], reason: str, now: datetime) -> None:
    """Approve lines in this person's name. All or none; a line taken by somebody else is a ConflictError."""
    for item in chosen:
        line = item.line
        draft = lifecycle.Draft(
            item.episode, line.code, line.joins + line.units, line.modifiers, line.service_date, line.period,
            line.decision, line.reasons, item.evidence, item.rules_version,
        )  # fmt: skip
        try:
            lifecycle.approve(tx, who.tenant, who.user, draft, reason=reason, at=now)
        except claims_errors.ConflictError as problem:
            raise ConflictError(f"{sentence(str(problem))}. Nothing was changed.") from None


def line_key(episode: UUID, code: str, period: tuple[date, date]) -> str:
    """Names a line within a month as the store's unique key does; nothing personal in it."""
    return f"{episode}.{code}.{period[0]:%Y%m%d}"


def _period(pair: Sequence[str | None]) -> tuple[date, date]:
    """First and last day; an open end is as far as dates go."""
    first, last = pair
    return date.fromisoformat(first) if first else date.min, date.fromisoformat(last) if last else date.max
