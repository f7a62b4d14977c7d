"""Claims that have left, with the lines that are on them now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from rtm_server.store import Tx

# A line in one of these states stands with the payer (`ledger` hands the same ones to the rules as sent).
STANDING = ("exported", "accepted", "paid", "denied")


@dataclass(frozen=True, slots=True)
class Sent:
    """A claim at the payer. lines: rows of `claim_line`, by their control number."""

    claim: UUID
    number: str
    payer_control: str | None
    lines: tuple[dict[str, Any], ...]


def sent_claims(tx: Tx, tenant: UUID, episode: UUID) -> list[Sent]:
    """The claims of an episode that stand with the payer, oldest first."""
    claims = tx.execute(
        "SELECT claim_id, number, payer_control FROM claim WHERE tenant_id = %s AND episode_id = %s ORDER BY number",
        (tenant, episode),
    ).fetchall()
    found = []
    for row in claims:
        lines = tx.execute(
            "SELECT * FROM claim_line WHERE tenant_id = %s AND claim_id = %s AND state = ANY(%s) ORDER BY control",
            (tenant, row["claim_id"], list(STANDING)),
        ).fetchall()
        if lines:
            found.append(Sent(row["claim_id"], row["number"], row["payer_control"], tuple(lines)))
    return found
