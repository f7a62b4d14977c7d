"""`/billing/{YYYY-MM}`: the month, its evidence, releasing lines, and the CSV."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Annotated

from fastapi import APIRouter, Form, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import RedirectResponse, Response

from rtm_server.web import clinic, trail
from rtm_server.web.billing import csv_file, repository
from rtm_server.web.billing.repository import Found
from rtm_server.web.billing.views import State
from rtm_server.web.errors import ConflictError, InvalidError, NotFoundError, PageError
from rtm_server.web.policy import Action, Actor, allow
from rtm_server.web.services import Services, Svc, Who
from rtm_server.web.wording import month_name, plural

router = APIRouter()

NOTES = {
    "withdrawn": "Taken back. The line stands where the evidence puts it today, and may be released again.",
    "rejected": "Noted as rejected. The line may be released again once it is mended.",
}
MONTH = re.compile(r"(20\d\d)-(0[1-9]|1[0-2])")
Key = Annotated[str, Field(max_length=80)]


class ReleaseForm(BaseModel):
    """Ready lines, ticked."""

    model_config = ConfigDict(extra="forbid")

    line: Annotated[list[Key], Field(max_length=5_000)] = []


class ReleaseHeldForm(BaseModel):
    """One held line and why it goes out all the same."""

    model_config = ConfigDict(extra="forbid")

    line: Key
    reason: Annotated[str, Field(max_length=300)]


def first_of(month: str) -> date:
    """`2026-11` as its first day; anything else is no page."""
    found = MONTH.fullmatch(month)
    if found is None:
        raise NotFoundError
    return date(int(found[1]), int(found[2]), 1)


@router.get("/billing")
@allow(Action.BILLING_READ)
def current(svc: Svc, who: Who) -> Response:
    """The month that runs."""
    with svc.store.tenant_tx(who.tenant) as tx:
        today = clinic.clinic(tx, who.tenant).today(svc.now())
    return RedirectResponse(f"/billing/{today:%Y-%m}", status_code=303)


@router.get("/billing/{month}.csv")
@allow(Action.BILLING_READ)
def export(svc: Svc, who: Who, month: str) -> Response:
    """All lines of the month with their state, as CSV. The file's name is ours."""
    first = first_of(month)
    with svc.store.tenant_tx(who.tenant) as tx:
        at = clinic.clinic(tx, who.tenant)
        page = repository.load(svc.store, tx, at, first, svc.now()).month
        trail.note(tx, who, "billing_exported", None, {"month": f"{first:%Y-%m}", "lines": len(page.lines)})
    return Response(
        csv_file.write(page.lines, page.rules_version),
        media_type="text/csv; charset=utf-8",
        headers={"content-disposition": f'attachment; filename="homestretch-{first:%Y-%m}.csv"'},
    )


@router.get("/billing/{month}")
@allow(Action.BILLING_READ)
def show(request: Request, svc: Svc, who: Who, month: str, released: int = 0, note: str = "") -> Response:
    """The page."""
    note = f"Released {plural(released, 'line')}." if 0 < released < 100_000 else NOTES.get(note, "")
    return month_page(request, svc, who, first_of(month), note=note or None)


@router.post("/billing/{month}/release")
@allow(Action.BILLING_RELEASE)
def release(
    request: Request, svc: Svc, who: Who, month: str, form: Annotated[ReleaseForm, Form()]
) -> Response:
    """Release ready lines in bulk."""
    return _release(request, svc, who, first_of(month), form.line, State.READY, "")


@router.post("/billing/{month}/release-held")
@allow(Action.BILLING_RELEASE)
def release_held(
    request: Request, svc: Svc, who: Who, month: str, form: Annotated[ReleaseHeldForm, Form()]
) -> Response:
    """Release one held line with a reason."""
    return _release(request, svc, who, first_of(month), [form.line], State.HOLD, form.reason.strip())


def _release(
    request: Request, svc: Services, who: Actor, first: date, keys: list[str], state: State, reason: str
) -> Response:
    now = svc.now()
    try:
        _require(keys, state, reason)
        with svc.store.tenant_tx(who.tenant) as tx:
            found = repository.load(svc.store, tx, clinic.clinic(tx, who.tenant), first, now).found
            chosen = [_chosen(found.get(key), state) for key in dict.fromkeys(keys)]
            repository.release(tx, who, chosen, reason, now)
    except (InvalidError, ConflictError) as problem:
        return month_page(request, svc, who, first, problem=problem)
    return RedirectResponse(f"/billing/{first:%Y-%m}?released={len(chosen)}", status_code=303)


def _require(keys: list[str], state: State, reason: str) -> None:
    if not keys:
        raise InvalidError("Tick at least one line.")
    if state is State.HOLD and len(reason) < 8:
        raise InvalidError("A held line needs a reason of at least a few words.")


def _chosen(item: Found | None, state: State) -> Found:
    """The line, as long as it is what the page showed."""
    if item is None or item.line.state is not state:
        raise ConflictError(
            "One of these lines has changed in the meantime. Nothing was released; look again."
        )
    return item


def month_page(
    request: Request, svc: Services, who: Actor, first: date, *, note: str | None = None,
    problem: PageError | None = None, besides: Sequence[str] = (),
) -> Response:  # fmt: skip
    """The month with what has just happened on top. besides: what a payer said of the practice as a whole."""
    now = svc.now()
    with svc.store.tenant_tx(who.tenant) as tx:
        at = clinic.clinic(tx, who.tenant)
        month = repository.load(svc.store, tx, at, first, now).month
        trail.note(tx, who, "billing_read", None, {"month": f"{first:%Y-%m}"})
    previous = (first - timedelta(days=1)).replace(day=1)
    following = (first + timedelta(days=32)).replace(day=1)
    values = {
        "month": month,
        "previous": f"{previous:%Y-%m}",
        "previous_name": month_name(previous),
        "next": f"{following:%Y-%m}" if following <= at.today(now) else None,
        "next_name": month_name(following),
        "this_month": first == at.today(now).replace(day=1),
        "note": note,
        "besides": besides,
        "error": None if problem is None else problem.sentence,
    }
    return svc.pages.render(request, "billing.html", values, 200 if problem is None else problem.status)
