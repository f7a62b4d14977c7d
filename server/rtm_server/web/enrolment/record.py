"""`/p/{patient}/record`: consent, plan of care, set-up, device, discharge: what lines rest on, and its changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from rtm_server import enrol
from rtm_server.enrol import user_name
from rtm_server.store import Store, Tx
from rtm_server.web import clinic, trail
from rtm_server.web.enrolment.fields import consent, device, plan_of_care
from rtm_server.web.errors import InvalidError
from rtm_server.web.forms import checks
from rtm_server.web.forms.checks import Value
from rtm_server.web.forms.fields import Field, Group, check
from rtm_server.web.forms.fields import fields as all_of
from rtm_server.web.forms.typed import Form
from rtm_server.web.patient.repository import banner
from rtm_server.web.policy import Action, Actor, allow
from rtm_server.web.services import Services, Svc, Who

router = APIRouter()

GROUPS: tuple[Group, ...] = (
    consent(needed=False),
    Group("Consent withdrawn", (Field("consent.ended", "Last day", checks.day, kind="date"),)),
    plan_of_care(),
    device(),
    Group(
        "Discharge",
        (Field("episode.discharged", "Last day", checks.day, "Days after it count for nothing.", kind="date"),),
    ),
)  # fmt: skip

_SPANS = """
SELECT 'Consent' AS what, how, valid_from, valid_to, recorded_by, recorded_at FROM consent
WHERE tenant_id = %(tenant)s AND episode_id = %(episode)s
UNION ALL
SELECT 'Plan of care', NULL, valid_from, valid_to, recorded_by, recorded_at FROM plan_of_care
WHERE tenant_id = %(tenant)s AND episode_id = %(episode)s
ORDER BY what, valid_from, recorded_at
"""
_END_CONSENT = """
UPDATE consent SET valid_to = %(day)s
WHERE tenant_id = %(tenant)s AND episode_id = %(episode)s AND valid_from <= %(day)s
  AND (valid_to IS NULL OR valid_to > %(day)s)
"""
_OF_EPISODE: Mapping[str, str] = {
    "device.setup_on": "UPDATE episode SET setup_on = %(value)s",
    "device.basis": "UPDATE episode SET device_basis = %(value)s",
    "episode.discharged": "UPDATE episode SET discharged = %(value)s",
}
_WHICH = " WHERE tenant_id = %(tenant)s AND episode_id = %(episode)s"


@dataclass(frozen=True, slots=True)
class Span:
    """A consent or a plan of care with its dates and who recorded it."""

    what: str
    how: str
    first: date
    last: date | None
    by: str


@router.get("/p/{patient}/record")
@allow(Action.PATIENT_READ)
def show(request: Request, svc: Svc, who: Who, patient: UUID, note: str = "") -> Response:
    """The page."""
    return _page(request, svc, who, patient, note="Recorded." if note == "saved" else None)


@router.post("/p/{patient}/record")
@allow(Action.ENROL)
def save(request: Request, svc: Svc, who: Who, patient: UUID, form: Form) -> Response:
    """Record what was filled in. Consents and plans are added, never changed; a withdrawal ends the consent."""
    typed = check(GROUPS, form)
    problems = dict(typed.problems)
    try:
        with svc.store.tenant_tx(who.tenant) as tx:
            item = clinic.episode_of(svc.store, tx, who.tenant, patient)
            problems = problems or _problems(typed.values, item.started)
            _refuse(problems)
            changed = _save(tx, who, item.episode, typed.values)
            trail.note(tx, who, "record_changed", patient, {"fields": [*changed]})
    except InvalidError as problem:
        return _page(request, svc, who, patient, error=problem, form=form, problems=problems)
    return RedirectResponse(f"/p/{patient}/record?note=saved", status_code=303)


def _refuse(problems: Mapping[str, str]) -> None:
    if problems:
        raise InvalidError("Nothing was recorded yet: see what is marked below.")


def _problems(values: Mapping[str, Value | None], started: date) -> dict[str, str]:
    found: dict[str, str] = {}
    if bool(values.get("consent.how")) != bool(values.get("consent.from")):
        found["consent.from"] = "A consent needs how it was given and from when."
    if values.get("plan.to") and not values.get("plan.from"):
        found["plan.from"] = "Give the day the plan begins."
    first, last = values.get("plan.from"), values.get("plan.to")
    if isinstance(first, str) and isinstance(last, str) and last < first:
        found["plan.to"] = "A plan ends on or after the day it begins."
    discharged = values.get("episode.discharged")
    if isinstance(discharged, str) and discharged < started.isoformat():
        found["episode.discharged"] = "The discharge lies before the monitoring began."
    return found


def _save(tx: Tx, who: Actor, episode: UUID, values: Mapping[str, Value | None]) -> list[str]:
    """Write it down; the fields that were filled in."""
    day = {
        path: date.fromisoformat(str(value))
        for path, value in values.items()
        if value and path not in {"consent.how", "device.basis"}
    }
    scope = {"tenant": who.tenant, "episode": episode}
    if "consent.ended" in day:
        tx.execute(_END_CONSENT, {**scope, "day": day["consent.ended"]})
    if "consent.from" in day:
        enrol.record_consent(
            tx, who.tenant, episode, who.user, valid_from=day["consent.from"], how=str(values["consent.how"])
        )
    if "plan.from" in day:
        enrol.record_plan(
            tx, who.tenant, episode, who.user, valid_from=day["plan.from"], valid_to=day.get("plan.to")
        )
    for path in values.keys() & _OF_EPISODE.keys():
        tx.execute(_OF_EPISODE[path] + _WHICH, {**scope, "value": values[path]})
    return sorted(path for path, value in values.items() if value)


def _spans(store: Store, tx: Tx, tenant: UUID, episode: UUID) -> list[Span]:
    names = {
        row["user_id"]: user_name(store, tx, tenant, row["user_id"], row["name_enc"])
        for row in tx.execute(
            "SELECT user_id, name_enc FROM app_user WHERE tenant_id = %s AND role <> 'patient'", (tenant,)
        ).fetchall()
    }
    return [
        Span(
            row["what"], row["how"] or "", row["valid_from"], row["valid_to"],
            names.get(row["recorded_by"], "unknown"),
        )
        for row in tx.execute(_SPANS, {"tenant": tenant, "episode": episode})
    ]  # fmt: skip


def _page(
    request: Request, svc: Services, who: Actor, patient: UUID, *, note: str | None = None,
    error: InvalidError | None = None, form: Mapping[str, str] | None = None,
    problems: Mapping[str, str] | None = None,
) -> Response:  # fmt: skip
    now = svc.now()
    with svc.store.tenant_tx(who.tenant) as tx:
        item = clinic.episode_of(svc.store, tx, who.tenant, patient)
        row: Mapping[str, Any] = (
            tx.execute(
                "SELECT setup_on, device_basis, discharged FROM episode WHERE tenant_id = %s AND episode_id = %s",
                (who.tenant, item.episode),
            ).fetchone()
            or {}
        )
        spans: Sequence[Span] = _spans(svc.store, tx, who.tenant, item.episode)
        trail.note(tx, who, "record_read", patient)
    on_file = {
        "device.setup_on": row["setup_on"],
        "device.basis": row["device_basis"],
        "episode.discharged": row["discharged"],
    }
    shown = {path: "" if value is None else str(value) for path, value in on_file.items()}
    given = shown if form is None else form
    values = {
        "banner_of": banner(item, item.today(now)),
        "as_of": now,
        "spans": spans,
        "groups": GROUPS,
        "values": {field.path: given.get(field.path, "") for field in all_of(GROUPS)},
        "problems": problems or {},
        "note": note,
        "error": None if error is None else error.sentence,
    }
    return svc.pages.render(request, "record.html", values, 200 if error is None else error.status)
