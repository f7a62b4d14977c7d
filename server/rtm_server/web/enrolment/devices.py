"""`/p/{patient}/devices`: what a patient wears, what the home says, what the gateway is to be told; the sign-in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi import Form as Posted
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import RedirectResponse, Response

from rtm_server.home_status import homes_of, warnings_of
from rtm_server.store import Tx
from rtm_server.web import clinic, trail
from rtm_server.web.clinic import Episode
from rtm_server.web.enrolment import enrolling, homes, wearing
from rtm_server.web.enrolment.fields import PLACE_CHOICES, PLACES, home, sensor, worn_for
from rtm_server.web.enrolment.wearing import Told
from rtm_server.web.errors import ConflictError, InvalidError, NotFoundError, PageError
from rtm_server.web.forms.fields import Group, check
from rtm_server.web.forms.fields import fields as all_of
from rtm_server.web.forms.typed import Form
from rtm_server.web.patient.repository import banner
from rtm_server.web.policy import Action, Actor, allow
from rtm_server.web.services import Services, Svc, Who

router = APIRouter()

WARNINGS_SHOWN = timedelta(days=14)
DONE = {
    "added": "The sensor is assigned from now on.",
    "moved": "Changed from now on. A recording in which the sensor took part has ended.",
    "returned": "The sensor is returned. What it measured stays.",
    "undone": "It is as it was before.",
}
UNTOLD = "The gateway cannot be told just now: tell it again below."
NOTES = {
    "told": "The gateway is told once more. When it is in touch, it answers within half a minute.",
    "untold": UNTOLD,
    **DONE,
    **{f"{what}_untold": f"{words} {UNTOLD}" for what, words in DONE.items()},
}


class PlaceForm(BaseModel):
    """Where a sensor is worn, and for what without Start (empty: free exercise)."""

    model_config = ConfigDict(extra="forbid")

    placement: Annotated[str, Field(min_length=1, max_length=64)]
    exercise: Annotated[str, Field(max_length=64)] = ""


_PATIENT_USER = """
SELECT user_id FROM app_user WHERE tenant_id = %s AND patient_id = %s AND role = 'patient' AND disabled_at IS NULL
"""


@router.get("/p/{patient}/devices")
@allow(Action.PATIENT_READ)
def show(
    request: Request, svc: Svc, who: Who, patient: UUID, note: str = "", sensor: UUID | None = None
) -> Response:
    """The page. `sensor` names the one that was just changed, so that it can be undone."""
    return devices_page(request, svc, who, patient, note=NOTES.get(note), undo=sensor)


@router.post("/p/{patient}/devices")
@allow(Action.ENROL)
def add(request: Request, svc: Svc, who: Who, patient: UUID, form: Form) -> Response:
    """Assign one more sensor from now on."""
    now = svc.now()
    problems: dict[str, str] = {}
    try:
        with svc.store.tenant_tx(who.tenant) as tx:
            item = clinic.episode_of(svc.store, tx, who.tenant, patient)
            typed = check(_groups(tx, who.tenant, _plan(tx, who, item, now), now), form)
            problems = {**typed.problems, **enrolling.sensor_problems(typed.values, "sensor")}
            worn = _chosen({} if problems else typed.values)
            gateway = enrolling.home_of(svc.store, tx, who, typed.values)
            made, told = enrolling.put_on(tx, who, item.episode, worn, gateway, now)
            trail.note(tx, who, "sensor_assigned", patient, {"sensor": str(made)})
    except (InvalidError, ConflictError) as problem:
        return devices_page(request, svc, who, patient, problem=problem, form=form, problems=problems)
    return _changed(svc, patient, made, told, "added")


@router.post("/p/{patient}/devices/{worn}/place")
@allow(Action.ENROL)
def place(
    request: Request, svc: Svc, who: Who, patient: UUID, worn: UUID, form: Annotated[PlaceForm, Posted()]
) -> Response:
    """Worn elsewhere, or for something else, from now on."""

    def change(tx: Tx, item: Episode, now: datetime) -> Told:
        chosen = form.exercise or None
        if form.placement not in PLACES or chosen not in {None, *_plan(tx, who, item, now)}:
            raise InvalidError("Choose where the sensor is worn, and an exercise of the plan or none.")
        return wearing.move(tx, who, item.episode, worn, wearing.Place(form.placement, chosen), now)

    try:
        return _change(svc, who, patient, worn, "moved", change)
    except (InvalidError, ConflictError) as problem:
        return devices_page(request, svc, who, patient, problem=problem)


@router.post("/p/{patient}/devices/{worn}/return")
@allow(Action.ENROL)
def give_back(svc: Svc, who: Who, patient: UUID, worn: UUID) -> Response:
    """End a sensor's assignment now."""
    return _change(
        svc, who, patient, worn, "returned",
        lambda tx, item, now: wearing.give_back(tx, who, item.episode, worn, now),
    )  # fmt: skip


@router.post("/p/{patient}/devices/{worn}/undo")
@allow(Action.ENROL)
def undo(request: Request, svc: Svc, who: Who, patient: UUID, worn: UUID) -> Response:
    """As it was before the last change; refused where somebody else wears the sensor by now."""
    try:
        return _change(
            svc, who, patient, worn, "undone",
            lambda tx, item, now: wearing.undo(tx, who, item.episode, worn, now),
        )  # fmt: skip
    except ConflictError as problem:
        return devices_page(request, svc, who, patient, problem=problem)


@router.post("/p/{patient}/devices/{worn}/tell")
@allow(Action.ENROL)
def tell(svc: Svc, who: Who, patient: UUID, worn: UUID) -> Response:
    """Tell the gateway once more what it has not confirmed."""
    with svc.store.tenant_tx(who.tenant) as tx:
        item = clinic.episode_of(svc.store, tx, who.tenant, patient)
        told = wearing.tell(tx, who, item.episode, worn)
    note = "told" if told.send(svc) else "untold"
    return RedirectResponse(f"/p/{patient}/devices?note={note}#main", status_code=303)


def _change(
    svc: Services, who: Actor, patient: UUID, sensor: UUID, what: str,
    change: Callable[[Tx, Episode, datetime], Told],
) -> Response:  # fmt: skip
    with svc.store.tenant_tx(who.tenant) as tx:
        item = clinic.episode_of(svc.store, tx, who.tenant, patient)
        told = change(tx, item, svc.now())
        trail.note(tx, who, f"sensor_{what}", patient, {"sensor": str(sensor)})
    return _changed(svc, patient, sensor, told, what)


def _changed(svc: Services, patient: UUID, sensor: UUID, told: Told, what: str) -> Response:
    """Tell the gateway; then the page, with the way back."""
    note = what if told.send(svc) else f"{what}_untold"
    return RedirectResponse(f"/p/{patient}/devices?note={note}&sensor={sensor}#main", status_code=303)


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
    problems: Mapping[str, str] | None = None, sign_in: tuple[str, str] | None = None, undo: UUID | None = None,
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
        plan = _plan(tx, who, item, now)
        groups = _groups(tx, who.tenant, plan, now)
        trail.note(tx, who, "devices_read", patient)
    given = dict(form or {})
    if found.gateways:
        given.setdefault("home.gateway", str(found.gateways[0][0]))
    if len(plan) == 1:
        given.setdefault("sensor.exercise", plan[0])
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
        "undo": undo,
        "plan": plan,
        "places": PLACE_CHOICES,
    }
    return svc.pages.render(request, "devices.html", values, 200 if problem is None else problem.status)


def _chosen(values: enrolling.Values) -> enrolling.Worn:
    """The sensor to assign."""
    worn = enrolling.worn_of(values, "sensor")
    if worn is None or not values.get("home.gateway"):
        raise InvalidError("Choose the sensor, where it is worn, and its gateway.")
    return worn


def _plan(tx: Tx, who: Actor, item: Episode, now: datetime) -> list[str]:
    """Exercises of the plan that is in force, or will be."""
    doses = clinic.doses(tx, who.tenant, [item.episode])[item.episode]
    today = item.today(now)
    return sorted({each.exercise for each in doses if each.valid_to is None or each.valid_to >= today})


def _groups(tx: Tx, tenant: UUID, plan: Sequence[str], now: datetime) -> list[Group]:
    worn = (*sensor("sensor", homes.stock(tx, tenant, now), needed=True), worn_for("sensor.exercise", plan))
    return [Group("One more sensor", worn), home(homes.gateways(tx, tenant))]
