"""`/p/{id}` and what can be done there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Form, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import RedirectResponse, Response

from rtm_server.analyses import set_aside
from rtm_server.store import Tx
from rtm_server.web import clinic, trail
from rtm_server.web.enrolment.fields import EXERCISE_CHOICES
from rtm_server.web.errors import ConflictError, InvalidError, PageError
from rtm_server.web.patient import plan, repository, session, time_log
from rtm_server.web.patient.angle import series
from rtm_server.web.policy import Action, Actor, allow
from rtm_server.web.services import Services, Svc, Who

router = APIRouter()

Text = Annotated[str, Field(max_length=300)]
NOTES = {
    "undone": "Taken back. It stays in the log and no longer counts.",
    "plan": "The plan is changed.",
    "corrected": "Your count is kept beside the result.",
    "aside": "Noted. The day is counted anew within a minute.",
}


class TimeForm(BaseModel):
    """Minutes and contact, as typed."""

    model_config = ConfigDict(extra="forbid")

    activity: Text
    minutes: Text
    ended: Text
    note: Text = ""
    idle: Text = ""


class PlanForm(BaseModel):
    """A dose, as typed."""

    model_config = ConfigDict(extra="forbid")

    exercise: Text
    sets: Text
    amount: Text
    effective: Text


class CorrectionForm(BaseModel):
    """A clinician's count."""

    model_config = ConfigDict(extra="forbid")

    repetitions: Annotated[int, Field(ge=0, le=10_000)]
    why: Annotated[str, Field(min_length=1, max_length=300)]


class ArtefactForm(BaseModel):
    """Why a recording is no exercise; empty takes it back in."""

    model_config = ConfigDict(extra="forbid")

    reason: Text = ""


@router.get("/p/{patient}")
@allow(Action.PATIENT_READ)
def show(
    request: Request, svc: Svc, who: Who, patient: UUID, logged: str = "", note: str = "", sessions: str = ""
) -> Response:
    """The page. `logged` names an entry that was just written, so that it can be undone."""
    return _page(
        request, svc, who, patient, logged=logged, note=NOTES.get(note), all_sessions=sessions == "all"
    )


@router.post("/p/{patient}/time")
@allow(Action.PATIENT_WRITE)
def log_time(
    request: Request, svc: Svc, who: Who, patient: UUID, form: Annotated[TimeForm, Form()]
) -> Response:
    """Log minutes or a contact."""
    now = svc.now()
    try:
        with svc.store.tenant_tx(who.tenant) as tx:
            at = clinic.clinic(tx, who.tenant)
            item = clinic.episode_of(svc.store, tx, who.tenant, patient)
            work = time_log.checked(
                form.activity, form.minutes, form.ended, form.note, at.zone, now, idle=form.idle
            )
            entry = time_log.log(svc.store, tx, at, who, patient, item.episode, work, now)
            trail.note(tx, who, "time_logged", patient, {"entry": str(entry)})
    except (InvalidError, ConflictError) as problem:
        return _page(request, svc, who, patient, problem=problem, form=form.model_dump())
    return RedirectResponse(f"/p/{patient}?logged={entry}#main", status_code=303)


@router.post("/p/{patient}/time/{entry}/undo")
@allow(Action.PATIENT_WRITE)
def undo(request: Request, svc: Svc, who: Who, patient: UUID, entry: UUID) -> Response:
    """Take an entry back."""
    try:
        with svc.store.tenant_tx(who.tenant) as tx:
            at = clinic.clinic(tx, who.tenant)
            item = clinic.episode_of(svc.store, tx, who.tenant, patient)
            time_log.take_back(tx, at, who, item.episode, entry, svc.now())
            trail.note(tx, who, "time_taken_back", patient, {"entry": str(entry)})
    except ConflictError as problem:
        return _page(request, svc, who, patient, problem=problem)
    return RedirectResponse(f"/p/{patient}?note=undone#main", status_code=303)


@router.post("/p/{patient}/plan")
@allow(Action.PATIENT_WRITE)
def change_plan(
    request: Request, svc: Svc, who: Who, patient: UUID, form: Annotated[PlanForm, Form()]
) -> Response:
    """Change a dose from a day on."""
    return _write_plan(request, svc, who, patient, form, plan.change, "plan_changed", field="exercise")


@router.post("/p/{patient}/plan/add")
@allow(Action.PATIENT_WRITE)
def add_to_plan(
    request: Request, svc: Svc, who: Who, patient: UUID, form: Annotated[PlanForm, Form()]
) -> Response:
    """One more exercise from a day on."""
    return _write_plan(request, svc, who, patient, form, plan.add, "plan_added", field="new_exercise")


@router.post("/p/{patient}/plan/end")
@allow(Action.PATIENT_WRITE)
def end_of_plan(
    request: Request, svc: Svc, who: Who, patient: UUID, form: Annotated[PlanForm, Form()]
) -> Response:
    """Stop an exercise from a day on."""
    return _write_plan(request, svc, who, patient, form, plan.end, "plan_ended", field="exercise")


def _write_plan(
    request: Request,
    svc: Services,
    who: Actor,
    patient: UUID,
    form: PlanForm,
    write: Callable[[Tx, Actor, UUID, plan.NewDose], str | None],
    what: str,
    *,
    field: str,
) -> Response:
    """Check the form and write; a mistake shows the page again with `field` of it filled in."""
    try:
        with svc.store.tenant_tx(who.tenant) as tx:
            item = clinic.episode_of(svc.store, tx, who.tenant, patient)
            dose = plan.checked(form.exercise, form.sets, form.amount, form.effective, item.today(svc.now()))
            said = write(tx, who, item.episode, dose)
            written = {"exercise": dose.exercise} | ({} if said is None else {"dose": said})
            trail.note(tx, who, what, patient, written)
    except InvalidError as problem:
        return _page(request, svc, who, patient, problem=problem, form={field: form.exercise})
    return RedirectResponse(f"/p/{patient}?note=plan#main", status_code=303)


@router.get("/p/{patient}/s/{recording}")
@allow(Action.PATIENT_READ)
def show_session(
    request: Request, svc: Svc, who: Who, patient: UUID, recording: UUID, note: str = "", angle: str = ""
) -> Response:
    """One recording; `angle=draw` computes its angle from the samples."""
    with svc.store.tenant_tx(who.tenant) as tx:
        at = clinic.clinic(tx, who.tenant)
        page = session.load(svc.store, tx, at, patient, recording, svc.now())
        trail.note(tx, who, "session_read", patient, {"recording": str(recording)})
    drawn = angle == "draw"
    if drawn and page.exercise is not None:
        day = page.at.astimezone(ZoneInfo(page.banner.zone)).date()
        found = series(svc.store, who.tenant, recording, page.exercise, day, page.pipeline_version)
        page = replace(page, angle=found)
    values = {"page": page, "note": NOTES.get(note), "error": None, "drawn": drawn}
    return svc.pages.render(request, "session.html", values)


@router.post("/p/{patient}/s/{recording}/correction")
@allow(Action.PATIENT_WRITE)
def correct(
    svc: Svc, who: Who, patient: UUID, recording: UUID, form: Annotated[CorrectionForm, Form()]
) -> Response:
    """Keep a clinician's count beside the result."""
    with svc.store.tenant_tx(who.tenant) as tx:
        at = clinic.clinic(tx, who.tenant)
        session.correct(
            svc.store, tx, at, who, patient, recording, form.repetitions, form.why.strip(), svc.now()
        )
        trail.note(tx, who, "count_corrected", patient, {"recording": str(recording)})
    return RedirectResponse(f"/p/{patient}/s/{recording}?note=corrected#main", status_code=303)


@router.post("/p/{patient}/s/{recording}/artefact")
@allow(Action.PATIENT_WRITE)
def artefact(
    svc: Svc, who: Who, patient: UUID, recording: UUID, form: Annotated[ArtefactForm, Form()]
) -> Response:
    """Set a recording aside, or take it back in. Nothing is deleted; the next analysis counts anew."""
    with svc.store.tenant_tx(who.tenant) as tx:
        session.require(tx, who.tenant, patient, recording)
        reason = form.reason.strip()
        set_aside(tx, who.tenant, recording, reason or None)
        trail.note(
            tx, who, "set_aside" if reason else "taken_back_in", patient, {"recording": str(recording)}
        )
    return RedirectResponse(f"/p/{patient}/s/{recording}?note=aside#main", status_code=303)


def _page(
    request: Request,
    svc: Services,
    who: Actor,
    patient: UUID,
    *,
    logged: str = "",
    note: str | None = None,
    all_sessions: bool = False,
    problem: PageError | None = None,
    form: dict[str, str] | None = None,
) -> Response:
    now = svc.now()
    with svc.store.tenant_tx(who.tenant) as tx:
        at = clinic.clinic(tx, who.tenant)
        page = repository.load(svc.store, tx, at, patient, now, all_sessions=all_sessions)
        trail.note(tx, who, "patient_read", patient)
    written = next((e for e in page.time if str(e.entry) == logged and not e.superseded), None)
    ended = now.astimezone(ZoneInfo(at.zone)).strftime("%Y-%m-%dT%H:%M")
    empty = {
        "activity": "phone",
        "minutes": "",
        "ended": ended,
        "note": "",
        "idle": "",
        "exercise": "",
        "new_exercise": "",
    }
    values = {
        "page": page,
        "clinic_zone": at.zone,
        "undo": None if written is None else {"entry": written.entry, "text": _written(written.minutes)},
        "note": note,
        "error": None if problem is None else problem.sentence,
        "form": {**empty, **(form or {})},
        "exercises": EXERCISE_CHOICES,
        "activities": [(key, words) for key, (words, _, _) in time_log.ACTIVITIES.items()],
        "more_sessions": not all_sessions and len(page.sessions) >= repository.SESSIONS_SHOWN,
    }
    return svc.pages.render(request, "patient.html", values, 200 if problem is None else problem.status)


def _written(minutes: float) -> str:
    return f"Logged {minutes:.0f} min." if minutes >= 1 else "Logged."
