"""What became of a claim line: every step of it, the numbers a payer asks for, and what a clerk may write down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from rtm_server.claims import lifecycle
from rtm_server.claims.errors import ClaimsError
from rtm_server.claims.errors import ConflictError as ClaimsConflict
from rtm_server.claims.lifecycle import State
from rtm_server.enrol import user_name
from rtm_server.store import Store, Tx
from rtm_server.web.errors import ConflictError, InvalidError
from rtm_server.web.policy import Actor
from rtm_server.web.wording import sentence

STATE_WORDS: Mapping[str, str] = {
    "approved": "released, ready to go",
    "exported": "sent",
    "accepted": "accepted by the payer",
    "rejected": "rejected before it was decided",
    "paid": "paid",
    "denied": "denied",
    "replaced": "replaced by another line",
    "withdrawn": "taken back",
}

# What a clerk writes down by hand, in the order of a claim's life; the rest is done by exports and payers' files.
BY_HAND: Mapping[State, str] = {
    "withdrawn": "Take back",
    "accepted": "Accepted",
    "paid": "Paid",
    "denied": "Denied",
    "rejected": "Rejected",
}
ENDS: frozenset[State] = frozenset({"withdrawn", "rejected"})
"""After these the line may be released anew: it stands on the month's page again, not on its own."""

# Every life of a line: one that was taken back or rejected may have been released again. One ends before the next.
_STEPS = """
SELECT v.state, v.at, v.reason, v.actor_id, u.name_enc
FROM claim_line l
JOIN claim_line_event v ON v.tenant_id = l.tenant_id AND v.line_id = l.line_id
LEFT JOIN app_user u ON u.tenant_id = v.tenant_id AND u.user_id = v.actor_id
WHERE l.tenant_id = %s AND l.episode_id = %s AND l.code = %s AND l.period_from = %s AND l.period_to = %s
ORDER BY l.created_at, l.state NOT IN ('withdrawn', 'rejected'), l.line_id, v.event_no
"""
_NUMBERS = """
SELECT l.state, l.control, c.number, c.payer_control FROM claim_line l
LEFT JOIN claim c ON c.tenant_id = l.tenant_id AND c.claim_id = l.claim_id
WHERE l.tenant_id = %s AND l.line_id = %s
"""


@dataclass(frozen=True, slots=True)
class Step:
    """One step. by: the person's name, or the platform."""

    words: str
    at: datetime
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a released line stands. may: states a clerk can write down now, with the words of the button."""

    state: State
    words: str
    claim: str | None
    control: str | None
    payer_control: str | None
    may: Mapping[State, str]


def steps(
    store: Store, tx: Tx, tenant: UUID, episode: UUID, code: str, period: tuple[date, date]
) -> list[Step]:
    """The history of a line, oldest first; empty for one that nobody ever released."""
    rows = tx.execute(_STEPS, (tenant, episode, code, *period)).fetchall()
    return [
        Step(
            STATE_WORDS[row["state"]],
            row["at"],
            "the platform"
            if row["name_enc"] is None
            else user_name(store, tx, tenant, row["actor_id"], row["name_enc"]),
            row["reason"],
        )
        for row in rows
    ]


def standing(tx: Tx, tenant: UUID, line: UUID) -> Standing | None:
    """Where a stored line stands; None when there is none."""
    row = tx.execute(_NUMBERS, (tenant, line)).fetchone()
    if row is None:
        return None
    state: State = row["state"]
    may = {to: words for to, words in BY_HAND.items() if to in lifecycle.BY_HAND[state]}
    return Standing(state, STATE_WORDS[state], row["number"], row["control"], row["payer_control"], may)


def take_step(tx: Tx, who: Actor, line: UUID | None, to: State, reason: str, now: datetime) -> None:
    """Write down what a clerk knows. ConflictError when the line cannot go there, InvalidError without a reason."""
    if line is None:
        raise ConflictError("This line is not released, or is taken back already. Nothing was changed.")
    try:
        if to == "withdrawn":
            if len(reason.strip()) < lifecycle.LEAST_REASON:
                raise InvalidError("Say in a few words why the release is taken back.")
            lifecycle.withdraw(tx, who.tenant, who.user, line, reason=reason, at=now)
        else:
            lifecycle.mark(tx, who.tenant, who.user, line, to, reason=reason, at=now)
    except ClaimsConflict as problem:
        raise ConflictError(f"{sentence(str(problem))}. Nothing was changed.") from None
    except ClaimsError as problem:
        raise InvalidError(f"{sentence(str(problem))}. Nothing was changed.") from None
