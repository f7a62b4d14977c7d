"""The audit entry of a page: who did or read what. Ids, codes and counts only."""

from __future__ import annotations

from uuid import UUID

from rtm_server import audit
from rtm_server.store import Tx
from rtm_server.web.policy import Actor


def note(tx: Tx, who: Actor, action: str, subject: UUID | None, detail: audit.Detail | None = None) -> None:
    """Append an entry within the caller's transaction: the entry and the deed stand or fall together."""
    audit.append(tx, who.tenant, action, actor=who.user, subject=subject, detail=detail)
