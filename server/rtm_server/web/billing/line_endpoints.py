"""One claim line: why, on what, where it stands, what became of it, and what a clerk writes down about it."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from fastapi import APIRouter, Form, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import RedirectResponse, Response

from rtm_server.store import Tx
from rtm_server.web import clinic, trail
from rtm_server.web.billing import evidence, line_history, repository
from rtm_server.web.billing.data_day import DayPage, load_day
from rtm_server.web.billing.endpoints import first_of
from rtm_server.web.billing.repository import Found
from rtm_server.web.billing.time_entries import entries
from rtm_server.web.billing.views import LinePage
from rtm_server.web.clinic import Clinic
from rtm_server.web.errors import ConflictError, InvalidError, NotFoundError, PageError
from rtm_server.web.policy import Action, Actor, allow
from rtm_server.web.services import Services, Svc, Who

router = APIRouter()

NOTES = {"noted": "Noted in the history."}


class StepForm(BaseModel):
    """What became of a line, and how the practice knows."""

    model_config = ConfigDict(extra="forbid")

    to: Literal["withdrawn", "accepted", "rejected", "paid", "denied"]
    reason: Annotated[str, Field(max_length=300)] = ""


@router.get("/billing/{month}/lines/{key}")
@allow(Action.BILLING_READ)
def show_line(request: Request, svc: Svc, who: Who, month: str, key: str, note: str = "") -> Response:
    """One line with its evidence and its history."""
    return _page(request, svc, who, first_of(month), key, note=NOTES.get(note))


@router.post("/billing/{month}/lines/{key}/step")
@allow(Action.BILLING_RELEASE)
def step(
    request: Request, svc: Svc, who: Who, month: str, key: str, form: Annotated[StepForm, Form()]
) -> Response:
    """Take a release back, or write down what the payer said by telephone or on paper."""
    first = first_of(month)
    try:
        with svc.store.tenant_tx(who.tenant) as tx:
            _, item = _found(svc, tx, who, first, key)
            line_history.take_step(tx, who, item.stored, form.to, form.reason.strip(), svc.now())
    except (ConflictError, InvalidError) as problem:
        return _page(request, svc, who, first, key, problem=problem, form=form)
    month_path = f"/billing/{first:%Y-%m}"
    ended = form.to in line_history.ENDS
    target = f"{month_path}?note={form.to}" if ended else f"{month_path}/lines/{key}?note=noted"
    return RedirectResponse(target, status_code=303)


@router.get("/billing/{month}/lines/{key}/days/{day}")
@allow(Action.BILLING_READ)
def show_day(request: Request, svc: Svc, who: Who, month: str, key: str, day: date) -> Response:
    """One counted day down to its waveform: each recording with its angle, drawn from the samples."""
    first, now = first_of(month), svc.now()
    with svc.store.tenant_tx(who.tenant) as tx:
        at, item = _found(svc, tx, who, first, key)
        if not item.line.period[0] <= day <= item.line.period[1]:
            raise NotFoundError
        found = load_day(tx, at, item.episode, day, item.evidence)
        trail.note(tx, who, "data_day_read", item.episode, {"day": day.isoformat()})
    page = DayPage(first, item.line, day, found, now)
    return svc.pages.render(request, "billing_day.html", {"page": page.drawn(svc.store, who.tenant)})


def _found(svc: Services, tx: Tx, who: Actor, first: date, key: str) -> tuple[Clinic, Found]:
    at = clinic.clinic(tx, who.tenant)
    item = repository.load(svc.store, tx, at, first, svc.now()).found.get(key)
    if item is None:
        raise NotFoundError
    return at, item


def _page(
    request: Request, svc: Services, who: Actor, first: date, key: str, *, note: str | None = None,
    problem: PageError | None = None, form: StepForm | None = None,
) -> Response:  # fmt: skip
    with svc.store.tenant_tx(who.tenant) as tx:
        at, item = _found(svc, tx, who, first, key)
        line = item.line
        page = LinePage(
            month=first,
            line=line,
            evidence=[
                *evidence.items(item.evidence, item.doubts),
                *(
                    entries(svc.store, tx, at, item.episode, line.period)
                    if "minutes" in item.evidence
                    else ()
                ),
            ],
            rules_version=item.rules_version,
            as_of=svc.now(),
            zone=at.zone,
            standing=None if item.stored is None else line_history.standing(tx, who.tenant, item.stored),
            steps=line_history.steps(svc.store, tx, who.tenant, item.episode, line.code, line.period),
        )
        trail.note(tx, who, "claim_line_read", item.episode, {"code": line.code})
    values = {
        "page": page,
        "note": note,
        "error": None if problem is None else problem.sentence,
        "reason": "" if form is None else form.reason,
    }
    return svc.pages.render(request, "billing_line.html", values, 200 if problem is None else problem.status)
