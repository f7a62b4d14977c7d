"""`/p/{patient}/devices`: what a patient wears, what the home says, what the gateway is to be told; the sign-in."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta
from uuid import UUID

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from rtm_server import enrol
from rtm_server.home_status import homes_of, warnings_of
from rtm_server.store import Tx
from rtm_server.web import clinic, trail
from rtm_server.web.enrolment import enrolling, homes
from rtm_server.web.enrolment.fields import home, sensor
from rtm_server.web.errors import ConflictError, InvalidError, NotFoundError, PageError
from rtm_server.web.forms.fields import Group, check
from rtm_server.web.forms.fields import fields as all_of
from rtm_server.web.forms.typed import Form
from rtm_server.web.patient.repository import banner
from rtm_server.web.policy import Action, Actor, allow
from rtm_server.web.services import Services, Svc, Who

router = APIRouter()

WARNINGS_SHOWN = timedelta(days=14)
SHORTEST = timedelta(milliseconds=1)  # an assignment has a length, also one that was a mistake
NOTES = {
    "added": "The sensor is assigned from now on. Tell the gateway: its settings are below.",
    "returned": "The sensor is returned. What it measured stays.",
}

_PATIENT_USER = """
SELECT user_id FROM app_user WHERE tenant_id = %s AND patient_id = %s AND role = 'patient' AND disabled_at IS NULL
"""


@router.get("/p/{patient}/devices")
@allow(Action.PATIENT_READ)
def show(request: Request, svc: Svc, who: Who, patient: UUID, note: str = "") -> Response:
    """The page."""
    return devices_page(request, svc, who, patient, note=NOTES.get(note))


@router.post("/p/{patient}/devices")
@allow(Action.ENROL)
def add(request: Request, svc: Svc, who: Who, patient: UUID, form: Form) -> Response:
    """Assign one more sensor from now on."""
    now = svc.now()
    problems: dict[str, str] = {}
    try:
        with svc.store.tenant_tx(who.tenant) as tx:
            item = clinic.episode_of(svc.store, tx, who.tenant, patient)
            typed = check(_groups(tx, who.tenant, now), form)
            problems = {**typed.problems, **enrolling.sensor_problems(typed.values, "sensor")}
            places = {each.placement for each in homes.worn(tx, who.tenant, item.episode, now)}
            worn = _chosen({} if problems else typed.values, places)
            gateway = enrolling.home_of(svc.store, tx, who, typed.values)
            made = enrolling.put_on(tx, who, item.episode, worn, gateway, now)
            trail.note(tx, who, "sensor_assigned", patient, {"sensor": str(made)})
    except (InvalidError, ConflictError) as problem:
        return devices_page(request, svc, who, patient, problem=problem, form=form, problems=problems)
    return RedirectResponse(f"/p/{patient}/devices?note=added", status_code=303)


@router.post("/p/{patient}/devices/{worn}/return")
@allow(Action.ENROL)
def give_back(svc: Svc, who: Who, patient: UUID, worn: UUID) -> Response:
    """End a sensor's assignment now."""
    now = svc.now()
    with svc.store.tenant_tx(who.tenant) as tx:
        item = clinic.episode_of(svc.store, tx, who.tenant, patient)
        begun = {each.sensor: each.since for each in homes.worn(tx, who.tenant, item.episode, now)}
        if worn not in begun:
            raise NotFoundError
        enrol.return_sensor(tx, who.tenant, worn, max(now, begun[worn] + SHORTEST))
        trail.note(tx, who, "sensor_returned", patient, {"sensor": str(worn)})
    return RedirectResponse(f"/p/{patient}/devices?note=returned", status_code=303)


@router.post("/p/{patient}/password")
@allow(Action.ENROL)
def new_password(request: Request, svc: Svc, who: Who, patient: UUID) -> Response:
    """A new password for the patient, shown once; who was signed in with the old one is signed out."""
    password = enrolling.first_password()
    with svc.store.tenant_tx(who.tenant) as tx:
        clinic.episode_of(svc.store, tx, who.tenant, patient)
        row = tx.execute(_PATIENT_USER, (who.tenant, patient)).fetchone()
        if row is None:
            raise NotFoundError("This patient has no sign-in.")
        tx.execute(
            "UPDATE app_user SET password_hash = %s WHERE tenant_id = %s AND user_id = %s",
            (svc.passwords.hash(password), who.tenant, row["user_id"]),
        )
        tx.execute("DELETE FROM session WHERE tenant_id = %s AND user_id = %s", (who.tenant, row["user_id"]))
        trail.note(tx, who, "password_renewed", patient)
    return devices_page(request, svc, who, patient, note="The old password is void.", sign_in=("", password))


def devices_page(
    request: Request, svc: Services, who: Actor, patient: UUID, *, note: str | None = None,
    problem: PageError | None = None, form: Mapping[str, str] | None = None,
    problems: Mapping[str, str] | None = None, sign_in: tuple[str, str] | None = None,
) -> Response:  # fmt: skip
    """The page, after an enrolment with the patient's first password: (email, password)."""
    now = svc.now()
    with svc.store.tenant_tx(who.tenant) as tx:
        item = clinic.episode_of(svc.store, tx, who.tenant, patient)
        found = homes.Devices(
            homes.worn(tx, who.tenant, item.episode, now),
            homes_of(tx, who.tenant, item.episode, now),
            warnings_of(tx, who.tenant, item.episode, now - WARNINGS_SHOWN),
        )
        groups = _groups(tx, who.tenant, now)
        trail.note(tx, who, "devices_read", patient)
    given = dict(form or {})
    if found.gateways:
        given.setdefault("home.gateway", str(found.gateways[0][0]))
    values = {
        "banner_of": banner(item, item.today(now)),
        "as_of": now,
        "tenant": who.tenant,
        "devices": found,
        "groups": groups,
        "values": {field.path: given.get(field.path, "") for field in all_of(groups)},
        "problems": problems or {},
        "note": note,
        "error": None if problem is None else problem.sentence,
        "sign_in": sign_in,
    }
    return svc.pages.render(request, "devices.html", values, 200 if problem is None else problem.status)


def _chosen(values: enrolling.Values, places: AbstractSet[str]) -> enrolling.Worn:
    """The sensor to assign; places: where one is worn already."""
    worn = enrolling.worn_of(values, "sensor")
    if worn is None or not values.get("home.gateway"):
        raise InvalidError("Choose the sensor, where it is worn, and its gateway.")
    if worn.place in places:
        raise ConflictError("A sensor is worn there already: return it first.")
    return worn


def _groups(tx: Tx, tenant: UUID, now: datetime) -> list[Group]:
    return [
        Group("One more sensor", sensor("sensor", homes.stock(tx, tenant, now), needed=True)),
        home(homes.gateways(tx, tenant)),
    ]
