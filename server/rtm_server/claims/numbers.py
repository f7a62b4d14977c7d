"""Control numbers: given by the database, once each, in order."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from rtm_server.claims.errors import ClaimsError
from rtm_server.store import Tx

Kind = Literal["interchange", "claim", "line"]
_MOST = 999_999_999  # ISA13 has nine digits; the others keep to it


def next_number(tx: Tx, tenant: UUID, kind: Kind) -> int:
    """The next number of a kind, 1 to 999 999 999; taken back if the transaction is."""
    row = tx.execute(
        "INSERT INTO control_number (tenant_id, kind, last) VALUES (%s, %s, 1)"
        " ON CONFLICT (tenant_id, kind) DO UPDATE SET last = control_number.last + 1 RETURNING last",
        (tenant, kind),
    ).fetchone()
    if row is None or row["last"] > _MOST:
        raise ClaimsError(f"the {kind} numbers of this clinic are used up")
    return int(row["last"])
