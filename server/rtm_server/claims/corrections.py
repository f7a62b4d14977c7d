"""Corrections a payer makes on request: Medicare reopens an adjudicated claim and takes no replacement claim.

The work item names the claim, what stood on it and what it becomes; somebody asks the payer for it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from rtm_server.claims import lifecycle
from rtm_server.claims.assemble import Prepared
from rtm_server.claims.errors import ClaimsError
from rtm_server.claims.numbers import next_number
from rtm_server.store import Tx


def take(
    tx: Tx, tenant: UUID, reopened: Sequence[Prepared], actor: UUID | None, at: datetime
) -> list[dict[str, Any]]:
    """Move the lines onto the claim that is to be reopened, and say what to ask for."""
    return [_item(tx, tenant, each, actor, at) for each in reopened]


def text(items: Sequence[dict[str, Any]]) -> bytes:
    """The file."""
    return (json.dumps(items, indent=2, ensure_ascii=False) + "\n").encode()


def figures(items: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Its part of the manifest."""
    lines = [line for item in items for line in item["becomes"]]
    return {
        "claims": len(items),
        "rows": len(lines),
        "units": sum(line["units"] for line in lines),
        "charge": str(sum((Decimal(line["charge"]) for line in lines), Decimal("0.00"))),
    }


def _item(tx: Tx, tenant: UUID, prepared: Prepared, actor: UUID | None, at: datetime) -> dict[str, Any]:
    old, claim = prepared.replaces, prepared.claim
    if old is None:
        raise ClaimsError("a correction names no claim")
    becomes = []
    for line_id, line in zip(prepared.lines, claim.lines, strict=True):
        control = f"L{next_number(tx, tenant, 'line'):09}"
        tx.execute(
            "UPDATE claim_line SET claim_id = %s, control = %s WHERE tenant_id = %s AND line_id = %s",
            (old.claim, control, tenant, line_id),
        )
        becomes.append(
            {
                "line": control,
                "code": line.code,
                "modifiers": list(line.modifiers),
                "units": line.units,
                "service_date": line.service_date.isoformat(),
                "charge": f"{line.charge:.2f}",
            }
        )
    reason = f"asked for by reopening claim {old.number}"
    lifecycle.move(tx, tenant, prepared.lines, "exported", actor=actor, reason=reason, at=at)
    lifecycle.move(tx, tenant, prepared.replaced, "replaced", actor=actor, reason=reason, at=at)
    return {
        "ask_for": "clerical-error reopening",
        "claim": old.number,
        "claim_at_payer": old.payer_control,
        "payer": claim.payer.name,
        "patient": {
            "last": claim.subscriber.last,
            "first": claim.subscriber.first,
            "born": claim.subscriber.born.isoformat(),
            "member_id": claim.subscriber.member_id,
        },
        "stood": [
            {
                "line": line["control"],
                "code": line["code"],
                "modifiers": line["modifiers"],
                "units": line["units"],
                "service_date": line["service_date"].isoformat(),
            }
            for line in old.lines
            if line["line_id"] in prepared.replaced
        ],
        "becomes": becomes,
    }
