"""`/billing/practice` and `/billing/accounts/{patient}`: what claims need, typed by the clerk."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request
from psycopg.types.json import Jsonb
from starlette.responses import RedirectResponse, Response

from rtm_server.crypto import patient_place
from rtm_server.enrol import identifiers, user_name
from rtm_server.errors import CryptoError
from rtm_server.store import Store, Tx
from rtm_server.web import trail
from rtm_server.web.errors import ConflictError, InvalidError, NotFoundError, PageError
from rtm_server.web.forms import fields
from rtm_server.web.forms.fields import Group
from rtm_server.web.forms.typed import Form
from rtm_server.web.policy import Action, allow
from rtm_server.web.practice.fields import account_groups, practice_groups
from rtm_server.web.services import Services, Svc, Who

router = APIRouter()

STATE = "state"  # the form's hidden field: which state of the file it was made from
SAVED = "Saved. Claims that waited for it can go now."
SAVED_IN_PART = "Saved. Claims still wait for what stands below."

_THERAPISTS = """
SELECT user_id, name_enc FROM app_user
WHERE tenant_id = %s AND role = 'therapist' AND disabled_at IS NULL ORDER BY created_at, user_id
"""


@router.get("/billing/practice")
@allow(Action.BILLING_READ)
def show_practice(request: Request, svc: Svc, who: Who, note: str = "") -> Response:
    """The practice's data and charges."""
    with svc.store.tenant_tx(who.tenant) as tx:
        filed, groups = _practice(svc.store, tx, who.tenant)
    return _page(request, svc, "practice.html", groups, filed, note=note)


@router.post("/billing/practice")
@allow(Action.BILLING_RELEASE)
def save_practice(request: Request, svc: Svc, who: Who, form: Form) -> Response:
    """Keep what was typed, all or nothing."""
    with svc.store.tenant_tx(who.tenant) as tx:
        tx.execute("SELECT 1 FROM tenant WHERE tenant_id = %s FOR UPDATE", (who.tenant,))
        filed, groups = _practice(svc.store, tx, who.tenant)
        try:
            made = _merged(groups, filed, form)
        except PageError as problem:
            return _page(request, svc, "practice.html", groups, filed, problem=problem, form=form)
        tx.execute("UPDATE tenant SET practice = %s WHERE tenant_id = %s", (Jsonb(made), who.tenant))
        trail.note(
            tx, who, "practice_changed", who.tenant, {"fields": [*fields.changed(groups, filed, made)]}
        )
    return RedirectResponse("/billing/practice?note=saved", status_code=303)


@router.get("/billing/accounts/{patient}")
@allow(Action.BILLING_READ)
def show_account(request: Request, svc: Svc, who: Who, patient: UUID, note: str = "") -> Response:
    """What a claim needs of one patient."""
    with svc.store.tenant_tx(who.tenant) as tx:
        filed = _account(svc.store, tx, who.tenant, patient)
        trail.note(tx, who, "account_read", patient)
    return _page(request, svc, "account.html", account_groups(), filed, note=note, patient=patient)


@router.post("/billing/accounts/{patient}")
@allow(Action.BILLING_RELEASE)
def save_account(request: Request, svc: Svc, who: Who, patient: UUID, form: Form) -> Response:
    """Keep what was typed, all or nothing, under the patient's own key."""
    groups = account_groups()
    with svc.store.tenant_tx(who.tenant) as tx:
        filed = _account(svc.store, tx, who.tenant, patient)
        try:
            made = _merged(groups, filed, form)
        except PageError as problem:
            return _page(
                request, svc, "account.html", groups, filed, problem=problem, form=form, patient=patient
            )
        sealed = svc.store.sealing_key(tx, who.tenant, patient).seal(
            json.dumps(made).encode(), patient_place(who.tenant, patient, "identifiers_enc")
        )
        tx.execute(
            "UPDATE patient SET identifiers_enc = %s WHERE tenant_id = %s AND patient_id = %s",
            (sealed, who.tenant, patient),
        )
        trail.note(tx, who, "account_changed", patient, {"fields": [*fields.changed(groups, filed, made)]})
    return RedirectResponse(f"/billing/accounts/{patient}?note=saved", status_code=303)


def _practice(store: Store, tx: Tx, tenant: UUID) -> tuple[dict[str, Any], list[Group]]:
    row = tx.execute("SELECT practice FROM tenant WHERE tenant_id = %s", (tenant,)).fetchone()
    if row is None:
        raise NotFoundError
    filed: dict[str, Any] = row["practice"]
    therapists = {
        each["user_id"]: user_name(store, tx, tenant, each["user_id"], each["name_enc"])
        for each in tx.execute(_THERAPISTS, (tenant,)).fetchall()
    }
    charges = filed.get("charges")
    return filed, practice_groups(therapists, list(charges) if isinstance(charges, Mapping) else ())


def _account(store: Store, tx: Tx, tenant: UUID, patient: UUID) -> dict[str, Any]:
    row = tx.execute(
        "SELECT identifiers_enc FROM patient WHERE tenant_id = %s AND patient_id = %s AND erased_at IS NULL FOR UPDATE",
        (tenant, patient),
    ).fetchone()
    if row is None or row["identifiers_enc"] is None:
        raise NotFoundError
    try:
        return identifiers(store, tx, tenant, patient, row["identifiers_enc"])
    except CryptoError:
        raise NotFoundError from None


def _merged(groups: Sequence[Group], filed: Mapping[str, Any], form: Mapping[str, str]) -> dict[str, Any]:
    """What is on file with the form in it, or a PageError that says what to do."""
    if form.get(STATE) != fields.fingerprint(filed):
        raise ConflictError(
            "Somebody has saved this page since you opened it. Nothing was changed; open it again."
        )
    checked = fields.check(groups, {name: text for name, text in form.items() if name != STATE})
    if checked.problems:
        raise InvalidError("Nothing was saved yet: see what is marked below.")
    return fields.merged(filed, checked.values)


def _page(
    request: Request, svc: Services, template: str, groups: Sequence[Group], filed: Mapping[str, Any], *,
    note: str = "", problem: PageError | None = None, form: Mapping[str, str] | None = None,
    patient: UUID | None = None,
) -> Response:  # fmt: skip
    known = {field.path for field in fields.fields(groups)}
    again = {name: text for name, text in (form or {}).items() if name in known}
    lacking = fields.lacking(groups, filed)
    saved = SAVED_IN_PART if lacking else SAVED
    values = {
        "groups": groups,
        "values": {**fields.shown(groups, filed), **again},
        "problems": fields.check(groups, again).problems if problem else {},
        "lacking": lacking,
        "state": fields.fingerprint(filed),
        "note": saved if note == "saved" else None,
        "error": None if problem is None else problem.sentence,
        "patient": patient,
        "filed": filed,
    }
    return svc.pages.render(request, template, values, 200 if problem is None else problem.status)
