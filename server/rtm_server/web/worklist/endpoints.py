"""`/`: the start of each role; for a therapist the worklist."""

from __future__ import annotations

from enum import StrEnum
from typing import TypeVar

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from rtm_server.web import trail
from rtm_server.web.policy import Action, Role, allow
from rtm_server.web.services import Svc, Who
from rtm_server.web.worklist import repository
from rtm_server.web.worklist.views import Row, Show, Sort

router = APIRouter()

START = {Role.PATIENT: "/today", Role.BILLING: "/billing"}
Choice = TypeVar("Choice", bound=StrEnum)


def chosen(kind: type[Choice], value: str, default: Choice) -> Choice:
    """A choice of the address, or the default for anything unknown."""
    return kind(value) if value in {item.value for item in kind} else default


def spark_label(row: Row) -> str:
    """The sparkline in words."""
    days = sum(value is not None and value > 0 for value in row.spark)
    if row.adherence is None:
        return "Last 30 days: no data yet"
    return f"Last 30 days: data on {days} days, {row.adherence:.0%} of the plan done"


@router.get("/")
@allow(Action.HOME)
def start(
    request: Request, svc: Svc, who: Who, show: str = "all", sort: str = "need", q: str = ""
) -> Response:
    """Who needs me today."""
    if who.role in START:
        return RedirectResponse(START[who.role], status_code=303)
    with svc.store.tenant_tx(who.tenant) as tx:
        worklist = repository.load(svc.store, tx, who.tenant, svc.now())
        trail.note(tx, who, "worklist_read", None, {"rows": len(worklist.rows)})
    wanted, order, text = chosen(Show, show, Show.ALL), chosen(Sort, sort, Sort.NEED), q[:80]
    return svc.pages.render(
        request,
        "worklist.html",
        {
            "list": worklist,
            "groups": worklist.groups(wanted, order, text),
            "counts": {item.value: worklist.count(item) for item in Show},
            "show": wanted.value,
            "sort": order.value,
            "q": text,
            "spark_label": spark_label,
        },
    )
