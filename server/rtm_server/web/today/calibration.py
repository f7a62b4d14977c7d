"""`/today/calibrate` and what became of it: keep still, a few repetitions, and how it went in plain words.

While it runs it is a set like any other (`/today/set/{recording}`), with a page of its own that says what to do.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form, Request
from starlette.responses import RedirectResponse, Response

from rtm_server import calibrations
from rtm_server.calibrations import Calibration
from rtm_server.web import clinic, trail
from rtm_server.web.errors import NotFoundError, PageError
from rtm_server.web.policy import Action, Actor, allow
from rtm_server.web.services import Services, Svc, Who
from rtm_server.web.today import repository, sensors
from rtm_server.web.today.begin import begin, own
from rtm_server.web.today.fields import StartForm
from rtm_server.web.today.outcome import REPETITIONS, outcome

router = APIRouter()


@dataclass(frozen=True, slots=True)
class Measured:
    """An exercise of today's plan and when it was last measured; None: never."""

    exercise: str
    at: datetime | None


@router.get("/today/calibrate")
@allow(Action.OWN_DAY)
def show(request: Request, svc: Svc, who: Who) -> Response:
    """Why, how, and one button an exercise."""
    return _page(request, svc, who)


@router.post("/today/calibrate")
@allow(Action.OWN_DAY)
def start(request: Request, svc: Svc, who: Who, form: Annotated[StartForm, Form()]) -> Response:
    """Begin; what stands in the way is said at once, and nothing is begun."""
    try:
        recording = begin(svc, who, form.exercise, calibration=True)
    except PageError as problem:
        return _page(request, svc, who, problem=problem)
    return RedirectResponse(f"/today/set/{recording}", status_code=303)


@router.get("/today/calibration/{recording}")
@allow(Action.OWN_DAY)
def show_outcome(request: Request, svc: Svc, who: Who, recording: UUID) -> Response:
    """How it went; until it is known the page looks again by itself."""
    patient, now = own(who), svc.now()
    with svc.store.tenant_tx(who.tenant) as tx:
        found = calibrations.find(svc.store, tx, who.tenant, patient, recording)
        asked = repository.asked_for(tx, who.tenant, patient, recording)
        running = repository.open_set(tx, who.tenant, patient, now)
    if found is None and asked is None:
        raise NotFoundError
    if running is not None and running.recording == recording:
        return RedirectResponse(f"/today/set/{recording}", status_code=303)
    exercise, since = asked or (None, now)
    values = {
        "recording": recording,
        "outcome": outcome(found, now - since),
        "exercise": exercise if found is None else found.exercise,
    }
    return svc.pages.render(request, "calibrated.html", values)


@router.post("/today/calibration/{recording}/undo")
@allow(Action.OWN_DAY)
def undo(svc: Svc, who: Who, recording: UUID) -> Response:
    """Do not measure against it; what was used before is used again."""
    return _choose(svc, who, recording, use=False)


@router.post("/today/calibration/{recording}/use")
@allow(Action.OWN_DAY)
def use(svc: Svc, who: Who, recording: UUID) -> Response:
    """Use it after all."""
    return _choose(svc, who, recording, use=True)


def _choose(svc: Services, who: Actor, recording: UUID, *, use: bool) -> Response:
    choose(svc, who, own(who), recording, use=use)
    return RedirectResponse(f"/today/calibration/{recording}", status_code=303)


def choose(svc: Services, who: Actor, patient: UUID, recording: UUID, *, use: bool) -> Calibration:
    """Of the patient's own page and of the therapist's."""
    with svc.store.tenant_tx(who.tenant) as tx:
        item = clinic.episode_of(svc.store, tx, who.tenant, patient)
        found = calibrations.find(svc.store, tx, who.tenant, patient, recording)
        if found is None:
            raise NotFoundError
        calibrations.choose(tx, who.tenant, item.episode, found, item.today(svc.now()), use=use)
        what = "calibration_used" if use else "calibration_taken_back"
        trail.note(tx, who, what, patient, {"recording": str(recording)})
    return found


def _page(request: Request, svc: Services, who: Actor, *, problem: PageError | None = None) -> Response:
    patient, now = own(who), svc.now()
    with svc.store.tenant_tx(who.tenant) as tx:
        item = clinic.episode_of(svc.store, tx, who.tenant, patient)
        today = item.today(now)
        doses = clinic.doses(tx, who.tenant, [item.episode])[item.episode]
        used = calibrations.in_use(tx, who.tenant, item.episode)
        ready = sensors.of(tx, who.tenant, item.episode, now)
        trail.note(tx, who, "calibration_read", patient)
    due = dict.fromkeys(dose.exercise for dose in doses if dose.due(today))
    values = {
        "exercises": [Measured(each, used[each].at if each in used else None) for each in due],
        "zone": item.zone,
        "ready": ready,
        "repetitions": REPETITIONS,
        "error": None if problem is None else problem.sentence,
    }
    return svc.pages.render(request, "calibrate.html", values, 200 if problem is None else problem.status)
