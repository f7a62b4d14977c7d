"""The life of a claim line, with its history: who moved it, when, why.

A *draft* is what the rules say today and is not stored. A person's release stores it (`approved`, ready to go);
an export makes it `exported`; payers' answers make it `accepted`, `rejected`, `paid` or `denied`; a correction makes
it `replaced`. `withdrawn` was released and taken back before it left. `rejected` and `withdrawn` lines may be
released anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal
from uuid import UUID, uuid4

from psycopg.types.json import Jsonb

from rtm_server import audit
from rtm_server.claims.errors import ClaimsError, ConflictError, NotAllowedError
from rtm_server.store import Tx

State = Literal["approved", "exported", "accepted", "rejected", "paid", "denied", "replaced", "withdrawn"]

# Which state may follow which. A rejection ends a line because its claim never reached adjudication; a payer may
# take a payment back or pay what it denied; a replacement claim carries a claim's other lines out once more.
NEXT: Mapping[State, frozenset[State]] = {
    "approved": frozenset({"exported", "withdrawn"}),
    "exported": frozenset({"accepted", "rejected", "paid", "denied", "replaced"}),
    "accepted": frozenset({"rejected", "paid", "denied", "replaced", "exported"}),
    "paid": frozenset({"denied", "replaced", "exported"}),
    "denied": frozenset({"paid", "replaced", "exported"}),
    "rejected": frozenset(),
    "replaced": frozenset(),
    "withdrawn": frozenset(),
}
# What only a person may write down. A payer that denies a claim as not processable (remark MA130) wants a new one: no
# file says that of a line so that it could be relied on, and a late rejection must not open a denied line.
BY_HAND: Mapping[State, frozenset[State]] = {**NEXT, "denied": NEXT["denied"] | {"rejected"}}
GONE: tuple[State, ...] = ("rejected", "withdrawn", "replaced")
LEAST_REASON = 8  # characters: a word is no reason

_SIBLINGS = """
SELECT line_id, code, units, state, evidence FROM claim_line
WHERE tenant_id = %s AND episode_id = %s AND period_from = %s AND period_to = %s AND state <> ALL(%s)
ORDER BY code FOR UPDATE
"""
_INSERT = """
INSERT INTO claim_line (tenant_id, line_id, episode_id, code, units, modifiers, service_date, period_from,
                        period_to, decision, reasons, evidence, rules_version, created_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING RETURNING line_id
"""
_EVENT = """
INSERT INTO claim_line_event (tenant_id, line_id, event_no, state, actor_id, reason, at)
SELECT %(tenant)s, %(line)s, coalesce(max(event_no), 0) + 1, %(state)s, %(actor)s, %(reason)s, %(at)s
FROM claim_line_event WHERE tenant_id = %(tenant)s AND line_id = %(line)s
"""


@dataclass(frozen=True, slots=True)
class Draft:
    """A line as `rtm_billing.evaluate` gives it, of an episode."""

    episode: UUID
    code: str
    units: int
    modifiers: Sequence[str]
    service_date: date
    period: tuple[date, date]
    decision: str
    reasons: Sequence[str]
    evidence: Mapping[str, Any]
    rules_version: str


@dataclass(frozen=True, slots=True)
class Event:
    """One step of a line's history. actor None: the platform, on a payer's word or the command line's."""

    number: int
    state: State
    actor: UUID | None
    reason: str
    at: datetime


def draft(episode: UUID, line: Mapping[str, Any], rules_version: str) -> Draft:
    """From a line of an evaluation; `replaces` and `correction` are kept with the evidence."""
    low, high = line["period"]
    more = {name: line[name] for name in ("replaces", "correction") if name in line}
    return Draft(
        episode=episode,
        code=line["code"],
        units=line["units"],
        modifiers=tuple(line["modifiers"]),
        service_date=date.fromisoformat(line["service_date"]),
        period=(date.fromisoformat(low), date.fromisoformat(high)),
        decision=line["decision"],
        reasons=tuple(line["reasons"]),
        evidence={**line["evidence"], **more},
        rules_version=rules_version,
    )


def one_at_a_time(tx: Tx, tenant: UUID) -> None:
    """Releases, exports and answers of one clinic take turns until they commit."""
    tx.execute("SELECT pg_advisory_xact_lock(hashtextextended('claims ' || %s::text, 0))", (tenant,))


def require_clerk(tx: Tx, tenant: UUID, actor: UUID) -> None:
    """NotAllowedError unless the person has the role billing and may still sign in."""
    row = tx.execute(
        "SELECT 1 FROM app_user WHERE tenant_id = %s AND user_id = %s AND role = 'billing'"
        " AND disabled_at IS NULL",
        (tenant, actor),
    ).fetchone()
    if row is None:
        raise NotAllowedError("only somebody with the role billing may do this")


def approve(tx: Tx, tenant: UUID, actor: UUID, line: Draft, *, reason: str, at: datetime) -> UUID:
    """Release a line in a person's name; the line's id.

    A held line needs a reason; if it stands instead of others (`evidence.instead_of`), those are withdrawn, and none
    of them may be released beside it. One with units in doubt (`evidence.units_in_doubt`) takes the place of the same
    line without them. ConflictError: somebody was faster, or what it excludes has left already.
    """
    one_at_a_time(tx, tenant)
    require_clerk(tx, tenant, actor)
    if line.decision == "hold" and len(reason.strip()) < LEAST_REASON:
        raise ClaimsError("a held line needs a reason of at least a few words")
    for rival in _rivals(tx, tenant, line):
        why = f"{line.code} with {line.units} units" if rival["code"] == line.code else line.code
        move(
            tx,
            tenant,
            [rival["line_id"]],
            "withdrawn",
            actor=actor,
            reason=f"{why} was released instead",
            at=at,
        )
    made = tx.execute(
        _INSERT,
        (
            tenant, uuid4(), line.episode, line.code, line.units, list(line.modifiers), line.service_date,
            *line.period, line.decision, list(line.reasons), Jsonb(dict(line.evidence)), line.rules_version, at,
        ),
    ).fetchone()  # fmt: skip
    if made is None:
        raise ConflictError(f"{line.code} of this period was released already")
    made_id: UUID = made["line_id"]
    _note(tx, tenant, made_id, "approved", actor, reason, at)
    audit.append(
        tx, tenant, "claim_line_released", actor=actor, subject=made_id,
        detail={
            "code": line.code, "units": line.units, "units_in_doubt": line.evidence.get("units_in_doubt"),
            "service_date": line.service_date.isoformat(), "decision": line.decision,
        },
    )  # fmt: skip
    return made_id


def withdraw(tx: Tx, tenant: UUID, actor: UUID, line: UUID, *, reason: str, at: datetime) -> None:
    """Take a released line back before it has left."""
    one_at_a_time(tx, tenant)
    require_clerk(tx, tenant, actor)
    move(tx, tenant, [line], "withdrawn", actor=actor, reason=reason, at=at)


def mark(tx: Tx, tenant: UUID, actor: UUID, line: UUID, to: State, *, reason: str, at: datetime) -> None:
    """What a clerk learned from the payer otherwise: by telephone, on paper. Needs a reason."""
    if to not in ("accepted", "rejected", "paid", "denied"):
        raise ClaimsError("by hand a line becomes accepted, rejected, paid or denied")
    if len(reason.strip()) < LEAST_REASON:
        raise ClaimsError("say in a few words how the practice knows")
    one_at_a_time(tx, tenant)
    require_clerk(tx, tenant, actor)
    move(tx, tenant, [line], to, actor=actor, reason=reason, at=at, allowed=BY_HAND)


def remark(tx: Tx, tenant: UUID, line: UUID, *, actor: UUID | None, reason: str, at: datetime) -> None:
    """A step of the history that moves nothing."""
    row = tx.execute(
        "SELECT state FROM claim_line WHERE tenant_id = %s AND line_id = %s", (tenant, line)
    ).fetchone()
    if row is None:
        raise ClaimsError("there is no such claim line")
    _note(tx, tenant, line, row["state"], actor, reason, at)


def remark_once(tx: Tx, tenant: UUID, line: UUID, *, actor: UUID | None, reason: str, at: datetime) -> None:
    """The same, unless it is what the history says last."""
    if history(tx, tenant, line)[-1].reason != reason:
        remark(tx, tenant, line, actor=actor, reason=reason, at=at)


def move(
    tx: Tx, tenant: UUID, lines: Iterable[UUID], to: State, *, actor: UUID | None, reason: str, at: datetime,
    allowed: Mapping[State, frozenset[State]] = NEXT,
) -> None:  # fmt: skip
    """Move lines to a state and write their history. ConflictError when one of them cannot go there."""
    for line in lines:
        row = tx.execute(
            "SELECT state FROM claim_line WHERE tenant_id = %s AND line_id = %s FOR UPDATE", (tenant, line)
        ).fetchone()
        if row is None:
            raise ClaimsError("there is no such claim line")
        if to not in allowed[row["state"]]:
            raise ConflictError(f"a line that is {row['state']} cannot become {to}")
        tx.execute(
            "UPDATE claim_line SET state = %s WHERE tenant_id = %s AND line_id = %s", (to, tenant, line)
        )
        _note(tx, tenant, line, to, actor, reason, at)
        audit.append(
            tx, tenant, f"claim_line_{to}", actor=actor, subject=line, detail={"from": str(row["state"])}
        )


def history(tx: Tx, tenant: UUID, line: UUID) -> list[Event]:
    """Every step of a line, oldest first."""
    rows = tx.execute(
        "SELECT event_no, state, actor_id, reason, at FROM claim_line_event"
        " WHERE tenant_id = %s AND line_id = %s ORDER BY event_no",
        (tenant, line),
    )
    return [Event(row["event_no"], row["state"], row["actor_id"], row["reason"], row["at"]) for row in rows]


def _rivals(tx: Tx, tenant: UUID, line: Draft) -> list[dict[str, Any]]:
    """Released lines that this one stands instead of."""
    instead_of = set(line.evidence.get("instead_of") or ())
    found: list[dict[str, Any]] = []
    for other in tx.execute(_SIBLINGS, (tenant, line.episode, *line.period, list(GONE))).fetchall():
        if line.code in (other["evidence"].get("instead_of") or ()):
            raise ConflictError(f"{other['code']} was released instead of {line.code}, never beside it")
        more = (
            other["code"] == line.code and "units_in_doubt" in line.evidence and other["units"] < line.units
        )
        if more or other["code"] in instead_of:
            if other["state"] != "approved":
                raise ConflictError(
                    f"{other['code']} of the same period has left already: it must be corrected, not joined"
                )
            found.append(other)
    return found


def _note(
    tx: Tx, tenant: UUID, line: UUID, state: State, actor: UUID | None, reason: str, at: datetime
) -> None:
    tx.execute(
        _EVENT,
        {"tenant": tenant, "line": line, "state": state, "actor": actor, "reason": reason, "at": at},
    )
