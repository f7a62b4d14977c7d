"""`/enrol`: one form, one transaction; then the devices page with the patient's first password."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from fastapi import APIRouter, Request
from starlette.responses import Response

from rtm_server.store import Tx
from rtm_server.web import clinic, trail
from rtm_server.web.clinic import Clinic
from rtm_server.web.enrolment import enrolling, fields, homes
from rtm_server.web.enrolment.devices import devices_page
from rtm_server.web.errors import ConflictError
from rtm_server.web.forms.fields import Group, Typed, check
from rtm_server.web.forms.fields import fields as all_of
from rtm_server.web.forms.typed import Form
from rtm_server.web.policy import Action, allow
from rtm_server.web.services import Services, Svc, Who

router = APIRouter()

MARKED = "Nobody was enrolled yet: see what is marked below."


@router.get("/enrol")
@allow(Action.ENROL)
def show(request: Request, svc: Svc, who: Who) -> Response:
    """The form, with today's date where a date begins."""
    with svc.store.tenant_tx(who.tenant) as tx:
        at, groups = _groups(svc, tx, who.tenant)
    return _page(request, svc, groups, fields.defaults(at.zone, at.today(svc.now())))


@router.post("/enrol")
@allow(Action.ENROL)
def enrol(request: Request, svc: Svc, who: Who, form: Form) -> Response:
    """Enrol, or show the form again with what is to be mended; nothing is made by halves."""
    now = svc.now()
    with svc.store.tenant_tx(who.tenant) as tx:
        at, groups = _groups(svc, tx, who.tenant)
    typed = check(groups, form)
    apart = {**_missing(groups, typed), **typed.problems}
    problems = {**enrolling.problems(typed.values, at.today(now)), **apart}
    if problems:
        return _page(request, svc, groups, form, problems, MARKED, 422)
    try:
        with svc.store.tenant_tx(who.tenant) as tx:
            made = enrolling.enrol_patient(svc.store, tx, who, typed.values, now)
            trail.note(tx, who, "patient_enrolled", made.patient)
    except ConflictError as problem:
        return _page(request, svc, groups, form, {}, problem.sentence, problem.status)
    for told in made.told:
        told.send(svc)  # a gateway out of reach is told again from the page that follows
    return devices_page(
        request, svc, who, made.patient, note="Enrolled.", sign_in=(made.email, made.password)
    )


def _groups(svc: Services, tx: Tx, tenant: UUID) -> tuple[Clinic, list[Group]]:
    at = clinic.clinic(tx, tenant)
    stock = homes.stock(tx, tenant, svc.now())
    return at, fields.enrolment_groups(at.zone, homes.gateways(tx, tenant), stock)


def _missing(groups: list[Group], typed: Typed) -> dict[str, str]:
    return {
        field.path: "This is needed."
        for field in all_of(groups)
        if field.needed and typed.values.get(field.path) is None
    }


def _page(
    request: Request, svc: Services, groups: list[Group], form: Mapping[str, str],
    problems: Mapping[str, str] | None = None, error: str | None = None, status: int = 200,
) -> Response:  # fmt: skip
    values = {
        "groups": groups,
        "values": {field.path: form.get(field.path, "") for field in all_of(groups)},
        "problems": problems or {},
        "error": error,
    }
    return svc.pages.render(request, "enrol.html", values, status)
