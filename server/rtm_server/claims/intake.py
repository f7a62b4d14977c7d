"""Taking in a payer's answer: kept as it came, and moving the lines it speaks about. Twice is once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from rtm_billing.errors import CaseError
from rtm_billing.remittance import Answer, read_response
from rtm_server import audit
from rtm_server.claims import lifecycle
from rtm_server.claims.errors import ClaimsError
from rtm_server.crypto import tenant_place
from rtm_server.store import Store, Tx

_LONGEST_REASON = 600  # characters of a history entry

_BY_LINE = "SELECT line_id, state FROM claim_line WHERE tenant_id = %s AND control = %s FOR UPDATE"
_BY_CLAIM = """
SELECT l.line_id, l.state FROM claim_line l JOIN claim c USING (tenant_id, claim_id)
WHERE l.tenant_id = %s AND c.number = %s ORDER BY l.control FOR UPDATE OF l
"""
# What a provider's adjustment refers to may be our claim's number or the payer's.
_BY_REFERENCE = """
SELECT l.line_id, l.state FROM claim_line l JOIN claim c USING (tenant_id, claim_id)
WHERE l.tenant_id = %s AND %s IN (c.number, c.payer_control) ORDER BY l.control FOR UPDATE OF l
"""
# A line that a replacement claim carried over has left this interchange: its newer claim is meant no more.
_BY_INTERCHANGE = """
SELECT l.line_id, l.state FROM claim_line l JOIN claim c USING (tenant_id, claim_id)
JOIN claim_document d USING (tenant_id, batch_id)
WHERE l.tenant_id = %s AND d.control = %s ORDER BY l.control FOR UPDATE OF l
"""


@dataclass(frozen=True, slots=True)
class Taken:
    """What a response did. known: it had been taken in before, and nothing moved.

    moved: lines whose state changed; unchanged: those that stood so already or could not go there;
    unmatched: numbers that are not ours. besides: what the payer says of the practice as a whole (PLB), in words.
    """

    kind: str
    known: bool
    moved: int = 0
    unchanged: int = 0
    unmatched: int = 0
    besides: tuple[str, ...] = ()


def take_in(store: Store, tenant: UUID, content: bytes, *, actor: UUID, now: datetime) -> Taken:
    """Take in a TA1, 999, 277CA or 835 for a clerk. ClaimsError: one sentence, and nothing was changed."""
    try:
        text = content.decode("ascii")
    except UnicodeDecodeError:
        raise ClaimsError("the file is not X12 text: it has a character outside ASCII") from None
    try:
        response = read_response(text)
    except CaseError as problem:
        raise ClaimsError(str(problem)) from None
    besides = tuple(answer.words for answer in response.answers if answer.of_the_practice)
    digest = hashlib.sha256(content)
    with store.tenant_tx(tenant) as tx:
        lifecycle.one_at_a_time(tx, tenant)
        lifecycle.require_clerk(tx, tenant, actor)
        if tx.execute(
            "SELECT 1 FROM claim_response WHERE tenant_id = %s AND sha256 = %s", (tenant, digest.digest())
        ).fetchone():
            return Taken(response.kind, known=True, besides=besides)
        moved = unchanged = unmatched = 0
        for answer in response.answers:
            lines = _lines(tx, tenant, answer)
            if answer.payer_control and answer.claim:
                tx.execute(
                    "UPDATE claim SET payer_control = %s WHERE tenant_id = %s AND number = %s",
                    (answer.payer_control, tenant, answer.claim),
                )
            unmatched += not lines and not answer.of_the_practice
            for line in lines:
                if _apply(tx, tenant, line, answer, actor, now):
                    moved += 1
                else:
                    unchanged += not answer.of_the_practice
        box = store.tenant_key(tx, tenant).seal(
            content, tenant_place(tenant, f"claim_response|{digest.hexdigest()}")
        )
        tx.execute(
            "INSERT INTO claim_response (tenant_id, response_id, kind, sha256, document, moved, unmatched, received_by,"
            " received_at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
            (tenant, uuid4(), response.kind, digest.digest(), box, moved, unmatched, actor, now),
        )
        audit.append(
            tx, tenant, "claim_response_taken_in", actor=actor,
            detail={
                "kind": response.kind, "sha256": digest.hexdigest(), "moved": moved, "unchanged": unchanged,
                "unmatched": unmatched, "besides": len(besides),
            },
        )  # fmt: skip
    return Taken(
        response.kind, known=False, moved=moved, unchanged=unchanged, unmatched=unmatched, besides=besides
    )


def _lines(tx: Tx, tenant: UUID, answer: Answer) -> list[dict[str, Any]]:
    """The lines an answer speaks about: the line it names, else those of its claim, else of its interchange."""
    asked: Iterable[tuple[str, object]] = (
        ((_BY_LINE, answer.line),) if answer.line
        else ((_BY_CLAIM, answer.claim),) if answer.claim
        else ((_BY_REFERENCE, answer.reference),) if answer.of_the_practice
        else ((_BY_INTERCHANGE, answer.interchange),)
    )  # fmt: skip
    return [row for query, key in asked for row in tx.execute(query, (tenant, key)).fetchall()]


def _apply(tx: Tx, tenant: UUID, line: dict[str, Any], answer: Answer, actor: UUID, now: datetime) -> bool:
    """Move a line, or note what was said where it moves nothing; whether it moved."""
    words = answer.words[:_LONGEST_REASON]
    if answer.verdict != "noted" and answer.verdict in lifecycle.NEXT[line["state"]]:
        lifecycle.move(tx, tenant, [line["line_id"]], answer.verdict, actor=actor, reason=words, at=now)
        return True
    if answer.verdict != line["state"]:
        lifecycle.remark(tx, tenant, line["line_id"], actor=actor, reason=words, at=now)
    return False
