"""Erasing a patient: the key that all of the patient's data are sealed with is dropped, and nothing is sealed after it.

What was billed stays: claims and payers' files are sealed with the clinic's key, and while they may be asked for, so
may the evidence behind them. Until then an erasure is refused, with the date.
"""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from rtm_server import audit, replays
from rtm_server.claims.sent import STANDING
from rtm_server.crypto import tenant_place
from rtm_server.errors import ServerError
from rtm_server.store import Store, Tx

EVIDENCE_YEARS = 7
"""From the date of service: 42 CFR 424.516(f). A payer's contract may ask for more."""

_LAST_BILLED = """
SELECT max(l.service_date) AS on_day FROM claim_line l JOIN episode e USING (tenant_id, episode_id)
WHERE l.tenant_id = %s AND e.patient_id = %s AND l.state = ANY(%s)
"""
_DROP_KEY = """
UPDATE patient SET data_key = NULL, identifiers_enc = NULL, record_index = NULL, erased_at = %s
WHERE tenant_id = %s AND patient_id = %s
"""
_FORGET_USER = """
UPDATE app_user SET disabled_at = coalesce(disabled_at, now()), password_hash = '', name_enc = %s, login_index = %s
WHERE tenant_id = %s AND user_id = %s
"""


class KeptError(ServerError):
    """A claim needs the evidence. until: the last day it does; None while a released line waits to leave."""

    def __init__(self, sentence: str, until: date | None) -> None:
        super().__init__(sentence)
        self.until = until


def erase(store: Store, tx: Tx, tenant: UUID, patient: UUID, *, actor: UUID | None, now: datetime) -> None:
    """Erase a patient in the caller's transaction; again changes nothing. KeptError while a claim needs the evidence.

    Waits for whoever is sealing something of the patient's at this moment (`Store.sealing_keys`).
    """
    row = tx.execute(
        "SELECT data_key FROM patient WHERE tenant_id = %s AND patient_id = %s FOR UPDATE", (tenant, patient)
    ).fetchone()
    if row is None:
        raise ServerError("there is no such patient")
    if row["data_key"] is None:
        return
    _require_no_claim(tx, tenant, patient, now)
    tx.execute(_DROP_KEY, (now, tenant, patient))
    replays.forget(tx, tenant, patient)
    _forget_sign_ins(store, tx, tenant, patient)
    audit.append(tx, tenant, "patient_erased", actor=actor, subject=patient)
    store.forget_keys()


def _require_no_claim(tx: Tx, tenant: UUID, patient: UUID, now: datetime) -> None:
    if _last_billed(tx, tenant, patient, ["approved"]) is not None:
        raise KeptError("a released claim line waits to leave: take it back or export it first", None)
    last = _last_billed(tx, tenant, patient, list(STANDING))
    if last is None:
        return
    until = _years_later(last, EVIDENCE_YEARS)
    if now.date() <= until:
        raise KeptError(f"claims of this patient need the evidence until {until}", until)


def _last_billed(tx: Tx, tenant: UUID, patient: UUID, states: list[str]) -> date | None:
    row = tx.execute(_LAST_BILLED, (tenant, patient, states)).fetchone()
    return None if row is None else row["on_day"]


def _forget_sign_ins(store: Store, tx: Tx, tenant: UUID, patient: UUID) -> None:
    """The name and the hash of a sign-in are keyed with the clinic's key and the master's: they go by themselves."""
    users = tx.execute(
        "SELECT user_id FROM app_user WHERE tenant_id = %s AND patient_id = %s", (tenant, patient)
    ).fetchall()
    for user in (each["user_id"] for each in users):
        nobody = store.tenant_key(tx, tenant).seal(
            b"Erased patient", tenant_place(tenant, f"name_enc|{user}")
        )
        tx.execute(_FORGET_USER, (nobody, store.master.index("erased", user.bytes), tenant, user))
        tx.execute("DELETE FROM session WHERE tenant_id = %s AND user_id = %s", (tenant, user))
        tx.execute("DELETE FROM directory WHERE tenant_id = %s AND subject_id = %s", (tenant, user))


def _years_later(day: date, years: int) -> date:
    try:
        return day.replace(year=day.year + years)
    except ValueError:  # 29 February
        return day.replace(year=day.year + years, day=28)
